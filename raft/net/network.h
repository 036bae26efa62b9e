// The network as a member sees it: what it says to others, and where it reaches them.
//
// `Transport` is the real one; a simulation loses, delays and repeats as it likes. Messages may be lost, and
// Raft repeats what matters. Loop thread; nothing blocks.
#pragma once

#include <functional>
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
  [[nodiscard]] virtual std::vector<NodeId> peers() const = 0;
  [[nodiscard]] virtual bool has_peer(NodeId peer) const = 0;
  // False: dropped.
  virtual bool send(const Message& message) = 0;
  virtual bool send_forward(NodeId peer, const ForwardRequest& request) = 0;
  // False where there is no connection, too: then one is begun, and a loss of the link tells of nothing that was
  // sent.
  virtual bool send_member_request(NodeId peer, const MemberRequest& request) = 0;
  // The same.
  virtual bool send_inquiry(NodeId peer, const Inquiry& inquiry) = 0;
  // Connects to the peer, if there is no connection: the greeting says where this node is.
  virtual void wake(NodeId peer) = 0;
  // False: dropped.
  virtual bool send_boot_report(NodeId peer, const BootReport& report) = 0;
  // A connection of this start of a member is open, and something arrived on it within the last few seconds.
  [[nodiscard]] virtual bool hears(uint64_t instance, uint64_t boot_nonce) const = 0;
  // The link to the peer is up, and something came over it within the last few seconds.
  [[nodiscard]] virtual bool answers(NodeId peer) const = 0;
  // Ends the connections of members that `judge` does not want any more, with its reason as the refusal. Not from
  // inside a delegate's call.
  virtual void refuse_members(const std::function<Status(const Hello&)>& judge) = 0;
  virtual void reply(ConnectionId to, const JoinReply& reply) = 0;
  virtual void reply(ConnectionId to, const ForwardReply& reply) = 0;
  virtual void reply(ConnectionId to, const MemberReply& reply) = 0;
  virtual void reply(ConnectionId to, const InquiryReply& reply) = 0;
  // Why the link to `peer` is not up, or ok.
  [[nodiscard]] virtual Status link_failure(NodeId peer) const = 0;
  // The same, but ok for a peer that only cannot be reached: the failures that no repair of the network ends.
  [[nodiscard]] virtual Status link_refusal(NodeId peer) const = 0;
};

}  // namespace dqlite::raft::net
