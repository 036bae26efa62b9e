// A change of the members that a user asked for on this node (Node::change_members), until it is made or its time
// is over.
//
// It goes to the leader, which may be this node itself; where none is known, to any member, which knows better or
// not. Each change names a state to be reached, so it may be asked for again after any failure that time may heal,
// also when an answer was lost. Loop thread.
#pragma once

#include <functional>
#include <map>

#include "raft/net/network.h"
#include "raft/node/completion.h"
#include "raft/node/executor.h"

namespace dqlite::raft {

using MemberCompletion = std::shared_ptr<Completion<Result<MemberAnswer>>>;

class MemberClient {
 public:
  // Hands a request to this node's own desk, which may answer at once.
  using AskHere = std::function<void(const net::MemberRequest&)>;

  MemberClient(Core& core, net::Network& network, const Executor& loop, AskHere ask_here)
      : core_(core), network_(network), loop_(loop), ask_here_(std::move(ask_here)) {}

  void begin(MemberChange change, Deadline deadline, MemberCompletion completion);
  // `from`: a member, or this node.
  void handle_reply(NodeId from, const net::MemberReply& reply);
  void handle_link_lost(NodeId peer);
  // Asks again what waits, and ends what is late. Once per tick.
  void tick();
  void fail_all(const Status& reason);

 private:
  struct Ask {
    MemberChange change;
    Deadline deadline;
    MemberCompletion completion;
    NodeId asked = 0;              // 0: nobody just now
    NodeId hint = 0;               // who was said to lead
    NodeId leader_before = 0;      // who led when it was first asked
    bool may_have_effect = false;  // an answer was lost
    Status last_refusal{};
  };

  void ask(uint64_t id, Ask& ask);
  [[nodiscard]] NodeId next_to_ask(const Ask& ask);
  [[nodiscard]] bool is_reached(const Ask& ask, const net::MemberReply& reply) const;
  void finish(uint64_t id, const Result<MemberAnswer>& outcome);
  [[nodiscard]] Status late(const Ask& ask) const;

  Core& core_;
  net::Network& network_;
  const Executor& loop_;
  const AskHere ask_here_;
  uint64_t next_id_ = 1;
  size_t next_member_ = 0;  // to ask where no leader is known
  std::map<uint64_t, Ask> asks_;
};

}  // namespace dqlite::raft
