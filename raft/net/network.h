// The network as a member sees it: what it says to others, and where it reaches them.
//
// `Transport` is the real one; a simulation loses, delays and repeats as it likes. Messages may be lost, and
// Raft repeats what matters. Loop thread; nothing blocks.
#pragma once

#include <vector>

#include "raft/net/address.h"
#include "raft/net/wire.h"

namespace dqlite::raft::net {

using ConnectionId = uint64_t;  // of an accepted connection; never used twice

class Network {
 public:
  virtual ~Network() = default;
  // Where a member is reached. Creates or moves its link.
  virtual void set_peer(NodeId peer, const Address& address) = 0;
  // Drops the links of everybody who is not in the list. Not from inside a delegate's call.
  virtual void keep_peers(const std::vector<NodeId>& peers) = 0;
  // False: dropped.
  virtual bool send(const Message& message) = 0;
  virtual bool send_forward(NodeId peer, const ForwardRequest& request) = 0;
  virtual void reply(ConnectionId to, const JoinReply& reply) = 0;
  virtual void reply(ConnectionId to, const ForwardReply& reply) = 0;
  // Why the link to `peer` is not up, or ok; ok, too, for a peer that only cannot be reached. So: the failures
  // that no repair of the network ends.
  [[nodiscard]] virtual Status link_refusal(NodeId peer) const = 0;
};

}  // namespace dqlite::raft::net
