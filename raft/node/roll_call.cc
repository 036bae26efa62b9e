#include "raft/node/roll_call.h"

#include <utility>

namespace dqlite::raft {

namespace {

// In shortest election time-outs: a leader without a majority has stepped down, and every link has tried.
constexpr int kPatience = 4;

}  // namespace

void RollCall::begin(Done done) {
  if (waiting_.empty()) ticks_ = 0;
  waiting_.push_back(std::move(done));
  wake_all();
}

void RollCall::tick() {
  if (waiting_.empty()) return;
  ticks_++;
  const bool is_over = ticks_ >= kPatience * election_ticks_;
  Status refusal = judge();
  // It may only not know yet that it has lost the others.
  if (core_.role() == Role::kLeader && core_.configuration().voter_count() > 1 && !is_over)
    refusal = Status::ok();
  if (!refusal || is_over) return finish(refusal);
  if (ticks_ % election_ticks_ == 0) wake_all();
}

void RollCall::wake_all() {
  for (const Member& member : core_.configuration().members) network_.wake(member.id);
}

bool RollCall::answers(const Member& member) const {
  if (member.id == core_.self()) return !core_.is_mute();
  const Status refusal = network_.link_refusal(member.id);
  // A node that is new at the address of a member is not that member any more.
  const bool refuses = !refusal && refusal.code() != Code::kNoQuorum;
  return refuses || network_.answers(member.id) || greeter_.is_heard(member);
}

Status RollCall::judge() const {
  Status judged = judge_leader();
  // By then a leader has been heard, if there is one, and links have tried.
  if (ticks_ < election_ticks_) return judged;
  if (judged) judged = judge_voters(core_.configuration());
  // The newest one may not be agreed on, and then the others may go on with this one.
  if (judged) judged = judge_voters(core_.committed_configuration());
  return judged;
}

Status RollCall::judge_leader() const {
  if (core_.role() == Role::kLeader) {
    return {Code::kRefused,
            "this node leads its cluster, which has all that it needs: there is nothing to recover"};
  }
  for (const PeerStatus& peer : core_.peers()) {
    const bool is_heard =
        peer.is_leader && peer.ticks_since_contact >= 0 && peer.ticks_since_contact < ticks_;
    if (!is_heard) continue;
    return {Code::kRefused, "the cluster has a leader, " + text(peer.member) +
                                ", which this node hears: there is nothing to recover"};
  }
  return Status::ok();
}

Status RollCall::judge_voters(const Configuration& configuration) const {
  Configuration answering;
  bool others = false;
  for (const Member& member : configuration.members) {
    if (member.role != MemberRole::kVoter || !answers(member)) continue;
    answering.members.push_back(member);
    others = others || member.id != core_.self();
  }
  if (!others || answering.members.size() < configuration.quorum()) return Status::ok();
  return {Code::kRefused,
          "a majority of the voters answers, " + text(answering) +
              ", and can elect a leader: wait a moment, and see problem in dqlite_cluster. If they cannot "
              "for good, end the processes of the others first, and call this on the node that has the most"};
}

void RollCall::finish(const Status& refusal) {
  std::vector<Done> waiting;
  waiting.swap(waiting_);
  for (const Done& done : waiting) done(refusal);
}

}  // namespace dqlite::raft
