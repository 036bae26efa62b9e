#include "raft/node/member_desk.h"

namespace dqlite::raft {

void MemberDesk::handle(net::ConnectionId from, const net::MemberRequest& request) {
  const Asker asker{from, request.request_id};
  if (core_.role() != Role::kLeader) return refer_to_leader(asker);
  const Result<NodeId> id = resolve(request.change);
  if (!id) return refuse(asker, id.status());
  if (request.change.action == MemberAction::kTransfer) return transfer(asker, *id);
  change(asker, *id, request.change);
}

// 0: nobody in particular, for a transfer.
Result<NodeId> MemberDesk::resolve(const MemberChange& change) const {
  const Configuration& configuration = core_.configuration();
  if (change.id == 0 && change.address.empty()) {
    if (change.action == MemberAction::kTransfer) return NodeId{0};
    return Status(Code::kInvalid,
                  "name the member by its id or address: the members are " + text(configuration));
  }
  for (const Member& member : configuration.members) {
    if (change.id != 0 ? member.id == change.id : member.address == change.address) return member.id;
  }
  return Status(Code::kNotFound, "there is no member " +
                                     (change.id != 0 ? std::to_string(change.id) : "at " + change.address) +
                                     ": the members are " + text(configuration));
}

// --- answers ---

void MemberDesk::answer(const Asker& asker, const net::MemberReply& reply) {
  if (asker.from == 0) return answer_here_(reply);
  network_.reply(asker.from, reply);
}

void MemberDesk::refuse(const Asker& asker, const Status& reason) {
  net::MemberReply reply;
  reply.request_id = asker.request_id;
  reply.status = reason;
  answer(asker, reply);
}

void MemberDesk::succeed(const Asker& asker, Index index) {
  net::MemberReply reply;
  reply.request_id = asker.request_id;
  reply.index = index;
  reply.leader = core_.leader();
  if (const Member* leader = core_.configuration().find(reply.leader)) reply.leader_address = leader->address;
  reply.member_count = static_cast<uint32_t>(core_.configuration().members.size());
  answer(asker, reply);
}

void MemberDesk::refer_to_leader(const Asker& asker) {
  net::MemberReply reply;
  reply.request_id = asker.request_id;
  const Member* leader = core_.configuration().find(core_.leader());
  if (leader == nullptr || leader->id == core_.self()) {
    reply.status = {
        Code::kNoQuorum,
        "no leader is known now: a majority of the cluster's voters must be running and reachable"};
  } else {
    reply.status = {Code::kNotLeader, text(*leader) + " leads"};
    reply.leader = leader->id;
    reply.leader_address = leader->address;
  }
  answer(asker, reply);
}

void MemberDesk::answer_committed() {
  std::erase_if(waiting_, [this](const Waiting& each) {
    if (core_.commit_index() >= each.entry.index) {
      // A leader that removed itself does not lead any more; its entry may also be another leader's by now.
      const Result<LogStart> there = core_.log_start_at(each.entry.index);
      const bool is_same = core_.term() == each.term || (there && there->last == each.entry);
      if (is_same) {
        succeed(each.asker, each.entry.index);
        return true;
      }
    } else if (core_.role() == Role::kLeader && core_.term() == each.term) {
      return false;
    }
    refuse(each.asker,
           {Code::kUnknown, "the leader lost its office before the cluster agreed to the change"});
    return true;
  });
}

// --- transfer ---

void MemberDesk::transfer(const Asker& asker, NodeId target) {
  if (target == core_.self()) return succeed(asker, 0);
  if (Status refusal = check_target(target); !refusal) return refuse(asker, refusal);
  if (transfer_runs_ && transfer_target_ != target) {
    return refuse(asker, {Code::kBusy, "leadership is being handed over already"});
  }
  transfer_askers_.push_back(asker);
  if (std::exchange(transfer_runs_, true)) return;
  transfer_target_ = target;
  core_.transfer(target);
}

Status MemberDesk::check_target(NodeId target) const {
  const Configuration& configuration = core_.configuration();
  if (target == 0) {
    for (const Member& member : configuration.members) {
      if (member.role == MemberRole::kVoter && member.id != core_.self() && core_.is_in_contact(member.id))
        return Status::ok();
    }
    if (configuration.voter_count() > 1)
      return {Code::kBusy, "no other voter answers: leadership stays where it is"};
    return {
        Code::kRefused,
        "no other member has a vote, so that none could lead: add one with dqlite_join(), or give one a vote "
        "with dqlite_role(id, 'voter')"};
  }
  const Member& member = *configuration.find(target);
  if (member.role != MemberRole::kVoter) {
    return {Code::kRefused, text(member) + " is a " + role_name(member.role) +
                                " and cannot lead: give it a vote first, with dqlite_role(" +
                                std::to_string(member.id) + ", 'voter')"};
  }
  if (core_.is_in_contact(target)) return Status::ok();
  for (const PeerStatus& peer : core_.peers()) {
    if (peer.member.id != target) continue;
    // A leader that was just elected may not have heard of it yet.
    return {peer.ticks_since_contact < 0 ? Code::kBusy : Code::kRefused,
            text(member) + " does not answer: leadership stays where it is"};
  }
  return Status::ok();
}

void MemberDesk::transfer_ended(const Status& outcome) {
  if (std::exchange(hands_over_first_, false) && !outcome) handed_over_in_vain_ = core_.term();
  transfer_runs_ = false;
  std::vector<Asker> askers;
  askers.swap(transfer_askers_);
  for (const Asker& asker : askers) {
    if (outcome) {
      succeed(asker, 0);
    } else if (core_.role() == Role::kLeader && outcome.code() == Code::kTimeout) {
      refuse(asker, {Code::kTimeout, outcome.sentence() + ": leadership stays where it is"});
    } else {
      const bool is_final = failure_class(outcome.code()) == FailureClass::kCaller;
      refuse(asker, is_final ? outcome : Status(Code::kBusy, outcome.sentence()));
    }
  }
}

void MemberDesk::hand_over() {
  if (std::exchange(transfer_runs_, true)) return;
  transfer_target_ = 0;
  core_.transfer(0);
}

// --- removal and roles ---

void MemberDesk::change(const Asker& asker, NodeId id, const MemberChange& wanted) {
  const bool removes = wanted.action == MemberAction::kRemove;
  const bool loses_vote =
      core_.configuration().is_voter(id) && (removes || wanted.role != MemberRole::kVoter);
  if (loses_vote) {
    if (Status refusal = check_majority_without(id); !refusal) return refuse(asker, refusal);
    if (id == core_.self()) {
      if (Status refusal = hand_over_first(); !refusal) return refuse(asker, refusal);
    }
  }
  const Result<Index> changed = removes ? core_.remove_member(id) : core_.change_role(id, wanted.role, true);
  if (!changed) return refuse(asker, changed.status());
  const Member* member = core_.configuration().find(id);
  if (!removes && wanted.role == MemberRole::kVoter && member->role != MemberRole::kVoter) {
    return refuse(asker,
                  {Code::kBusy, text(*member) + " gets its vote by itself as soon as it has caught up"});
  }
  waiting_.push_back({asker, {*changed, core_.term()}, core_.term()});
}

// Without this a change could be begun that nobody alive can agree to any more.
Status MemberDesk::check_majority_without(NodeId id) const {
  size_t voters = 0;
  size_t living = 0;
  std::string silent;
  for (const Member& member : core_.configuration().members) {
    if (member.role != MemberRole::kVoter || member.id == id) continue;
    voters++;
    if (core_.is_in_contact(member.id)) {
      living++;
    } else {
      silent += (silent.empty() ? "" : ", ") + text(member);
    }
  }
  if (voters == 0 || living > voters / 2) return Status::ok();
  return {Code::kNoQuorum, "without member " + std::to_string(id) + ", " + std::to_string(living) + " of " +
                               std::to_string(voters) + " voters would answer, which is no majority: start " +
                               silent + ", or remove the silent one first"};
}

// A leader that loses its vote would take the transactions with it that are under way (M8): the next leader makes
// the change, unless nobody takes over.
Status MemberDesk::hand_over_first() {
  if (core_.configuration().voter_count() < 2 || handed_over_in_vain_ == core_.term()) return Status::ok();
  hands_over_first_ = true;
  hand_over();
  return {Code::kBusy, "leadership is handed over first"};
}

}  // namespace dqlite::raft
