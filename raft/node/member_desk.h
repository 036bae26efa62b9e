// The leader's side of a change of the members that a user asked for (Node::change_members): hands it to the
// core, and answers when it is committed or, for a transfer, when the next leader is known.
//
// Nothing waits here for a better moment: what may succeed later is refused with a temporary code, and who asks
// asks again (raft/node/member_client.h). Changes that would leave the cluster without a living majority are
// refused before the core sees them. Loop thread.
#pragma once

#include <functional>
#include <vector>

#include "raft/core/core.h"
#include "raft/net/network.h"

namespace dqlite::raft {

class MemberDesk {
 public:
  using Answer = std::function<void(const net::MemberReply&)>;

  // `answer_here` takes the answers to what this node itself asked.
  MemberDesk(Core& core, net::Network& network, Answer answer_here)
      : core_(core), network_(network), answer_here_(std::move(answer_here)) {}

  // `from` 0: this node itself. May answer at once.
  void handle(net::ConnectionId from, const net::MemberRequest& request);
  // To whoever has most of the log, for a reason of this node's own.
  void hand_over();
  // A transfer that the core had begun ended so.
  void transfer_ended(const Status& outcome);
  // Once per turn: answers who can be answered.
  void answer_committed();

 private:
  struct Asker {
    net::ConnectionId from = 0;
    uint64_t request_id = 0;
  };
  struct Waiting {
    Asker asker;
    EntryId entry;  // the configuration entry that must be committed
    Term term = 0;  // in which this node led when it was asked
  };

  void answer(const Asker& asker, const net::MemberReply& reply);
  void refuse(const Asker& asker, const Status& reason);
  void succeed(const Asker& asker, Index index);
  void refer_to_leader(const Asker& asker);
  [[nodiscard]] Result<NodeId> resolve(const MemberChange& change) const;

  void transfer(const Asker& asker, NodeId target);
  [[nodiscard]] Status check_target(NodeId target) const;
  void change(const Asker& asker, NodeId id, const MemberChange& wanted);
  [[nodiscard]] Status check_majority_without(NodeId id) const;
  Status hand_over_first();

  Core& core_;
  net::Network& network_;
  const Answer answer_here_;
  std::vector<Waiting> waiting_;
  std::vector<Asker> transfer_askers_;
  bool transfer_runs_ = false;
  NodeId transfer_target_ = 0;
  bool hands_over_first_ = false;  // a change waits for the end of the transfer that runs
  Term handed_over_in_vain_ = 0;   // the term in which nobody took leadership over before a change
};

}  // namespace dqlite::raft
