// How a member that lost its majority becomes a cluster of one: the part of the driver that carries out
// raft/node/lone_cluster.h while the node runs.
#include "raft/node/driver.h"

namespace dqlite::raft {

void Driver::recover(bool force, const LoneCompletion& completion) {
  switch (phase_) {
    case Phase::kEnded:
      return completion->complete(end_reason_);
    case Phase::kNew:
    case Phase::kFounding:
      return completion->complete(
          Status(Code::kRefused,
                 "this node belongs to no cluster yet: there is nothing to recover. A write founds "
                 "one, and dqlite_join makes it a member of another"));
    case Phase::kJoining:
    case Phase::kEntering:
      return completion->complete(Status(
          Code::kRefused, refusal_without_cluster().sentence() +
                              ": it holds nothing that could be recovered. If that cluster is lost, name a "
                              "member of another with dqlite_join, or empty this node's directory"));
    case Phase::kLeaving:
      return completion->complete(Status(Code::kBusy, refusal_without_cluster().sentence() + " already"));
    case Phase::kMember:
      break;
  }
  // What it holds is older than what the cluster agreed on without it, and its own users were told to go.
  if (member_->is_removed()) {
    return completion->complete(Status(
        Code::kRefused,
        refusal_of_removed().sentence() +
            ". It is not recovered by force, since the cluster went on without it: recover a member. If that whole "
            "cluster is lost, move dqlite-node away: the database file is then the first state of a new one"));
  }
  member_->call_roll(
      [this, force, completion](const Status& refusal) { roll_called(force, refusal, completion); });
}

void Driver::roll_called(bool force, const Status& refusal, const LoneCompletion& completion) {
  if (phase_ != Phase::kMember) return completion->complete(refusal ? refusal_without_cluster() : refusal);
  const LonePlan plan = member_->lone_plan();
  Status allowed = refusal;
  if (allowed && plan.kept < plan.self.id) {
    allowed = {Code::kRefused,
               "this node has not got the state of its cluster yet, so it holds nothing that could be "
               "recovered: recover another member"};
  }
  if (!force) {
    const std::string text =
        allowed ? text_of_proposal(plan)
                : "Nothing was changed, and dqlite_recover('force') would be refused: " + allowed.sentence();
    return completion->complete(LoneAnswer{false, text});
  }
  if (!allowed) return completion->complete(allowed);
  phase_ = Phase::kLeaving;  // no message comes in any more
  parts_.reader.post([this, plan, completion] {
    Result<Identity> identity = decide_to_be_alone(parts_.file);
    loop_.post([this, plan, identity, completion] { decided(plan, identity, completion); });
  });
}

void Driver::decided(const LonePlan& plan, const Result<Identity>& identity,
                     const LoneCompletion& completion) {
  if (phase_ != Phase::kLeaving) return completion->complete(end_reason_);
  if (!identity) {
    const Status reason = identity.status().in("making this node a cluster of one");
    completion->complete(reason);
    phase_ = Phase::kMember;
    // It may be on the disk all the same: then this is no member of the old cluster any more.
    if (failure_class(reason.code()) == FailureClass::kFatal) poison(reason);
    return;
  }
  set_identity(*identity);
  const std::string report = text_of_report(plan, identity->cluster_id);
  if (!member_->can_become_alone()) {
    completion->complete(LoneAnswer{false, report + " " + kAtNextStart});
    return poison({Code::kPoisoned, "this node was made a cluster of one by dqlite_recover('force'). " +
                                        std::string(kAtNextStart)});
  }
  phase_ = Phase::kMember;
  Result<Index> at = member_->become_alone(*identity);
  if (!at) {
    completion->complete(at.status());
    return poison(at.status());
  }
  alone_at_ = *at;
  completion->complete(LoneAnswer{true, report});
}

// A failure costs nothing: the next start does it once more.
void Driver::maybe_end_being_alone() {
  if (alone_at_ == 0 || member_->commit_index() < alone_at_) return;
  alone_at_ = 0;
  identity_.becomes_alone = false;
  parts_.reader.post([this] { (void)end_being_alone(parts_.file); });
}

}  // namespace dqlite::raft
