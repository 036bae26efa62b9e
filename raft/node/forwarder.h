// Commands that depend on nothing and may be proposed by whoever leads (Node::propose_anywhere), on both
// sides: sent to the leader by this node, and taken from other members while this node leads.
//
// A command is tried again as long as it certainly had no effect; an outcome that nobody knows (the link to
// the leader broke after the command was sent) is told as such, and not repeated. Loop thread.
#pragma once

#include <map>
#include <unordered_map>

#include "raft/net/network.h"
#include "raft/node/completion.h"
#include "raft/node/executor.h"

namespace dqlite::raft {

class Forwarder {
 public:
  // `propose` hands a payload to the core, to be answered through `decided` under the ticket.
  using Propose = std::function<void(uint64_t ticket, SharedBytes payload)>;

  Forwarder(Core& core, net::Network& network, const Executor& loop, Propose propose)
      : core_(core), network_(network), loop_(loop), propose_(std::move(propose)) {}

  void begin(SharedBytes payload, Deadline deadline, IndexCompletion completion);
  void handle_request(net::ConnectionId from, net::ForwardRequest request);
  void handle_reply(NodeId from, const net::ForwardReply& reply);
  void handle_link_lost(NodeId peer);
  void decided(uint64_t ticket, const Result<Index>& outcome);
  // Tries what waits, and ends what is late. Once per tick, and when a leader becomes known.
  void try_waiting();
  void fail_all(const Status& reason);

 private:
  struct Command {
    SharedBytes payload;
    Deadline deadline;
    IndexCompletion completion;
    NodeId sent_to = 0;     // 0: not on its way
    bool proposed = false;  // here
    Status last_refusal;
  };
  struct Guest {
    net::ConnectionId from = 0;
    uint64_t request_id = 0;
  };

  void try_now(uint64_t id, Command& command);
  void finish(uint64_t id, const Result<Index>& outcome);
  void refused(uint64_t id, const Result<Index>& outcome);

  Core& core_;
  net::Network& network_;
  const Executor& loop_;
  const Propose propose_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Command> commands_;        // by ticket, which is also the request id
  std::unordered_map<uint64_t, Guest> guests_;  // by ticket
};

}  // namespace dqlite::raft
