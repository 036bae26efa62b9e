// Changes of the membership, one voter at a time (dissertation 4.1 to 4.3; raft.md 1.4, 1.5).
//
// The five conditions: (a) the previous configuration is committed; (b) an entry of the leader's own term is
// committed, Ongaro's correction of 2015, without which two leaders can each commit a change that the other
// never saw; (c) the new one differs by one voter; (d) it takes effect when appended and is undone when
// truncated (configuration_history.h); (e) a log's start carries the last committed one (Core::log_start_at).
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

namespace {

Member* find(Configuration& configuration, NodeId id) {
  return const_cast<Member*>(std::as_const(configuration).find(id));
}

Status no_member(NodeId id) {
  return {Code::kNotFound, "there is no member " + std::to_string(id) + " in this cluster"};
}

}  // namespace

Status Core::State::may_change_membership() const {
  if (fault) return {Code::kPoisoned, fault->sentence()};
  if (role != Role::kLeader) return {Code::kNotLeader, "only the leader can change the membership"};
  if (transfer) {
    return {Code::kBusy, "leadership is being handed over to member " + std::to_string(transfer->target)};
  }
  if (configurations.newest_index() > commit) {
    return {Code::kBusy, "the change of the membership at index " +
                             std::to_string(configurations.newest_index()) +
                             " is not committed yet: one at a time"};
  }
  if (commit < noop) {
    return {Code::kBusy,
            "this node was just elected: no entry of its term " + std::to_string(term) + " is committed yet"};
  }
  return Status::ok();
}

Result<Index> Core::State::change_configuration(Configuration next) {
  if (Status refusal = may_change_membership(); !refusal) return refusal;
  size_t changed_voters = 0;
  for (const Member& member : next.members) {
    if (next.is_voter(member.id) != configuration().is_voter(member.id)) changed_voters++;
  }
  for (const Member& member : configuration().members) {
    if (next.find(member.id) == nullptr && member.role == MemberRole::kVoter) changed_voters++;
  }
  if (changed_voters > 1) {
    return Status(Code::kRefused,
                  "a change of the membership may change one voter, not " + std::to_string(changed_voters));
  }
  if (next.voter_count() == 0) {
    return Status(Code::kRefused, "the last voter cannot be removed or demoted: add another first");
  }
  const EntryId entry =
      append_as_leader(EntryKind::kConfiguration, std::make_shared<const Bytes>(encode(next)));
  configurations.append(entry.index, std::move(next));
  set_configuration_changed();
  sync_peers();
  return entry.index;
}

Result<Index> Core::State::add_member(uint64_t instance, const std::string& address) {
  if (role != Role::kLeader || fault) return may_change_membership();
  if (instance == 0 || address.empty()) {
    return Status(Code::kInvalid, "a new member needs an instance number and an address");
  }
  for (const Member& member : configuration().members) {
    const std::string id = std::to_string(member.id);
    if (member.instance == instance) {
      // The request came again: its first answer may have been lost. An id is the index of the entry that
      // added it.
      if (member.address == address) return member.id;
      return Status(Code::kRefused, "this node is member " + id + " already, at " + member.address +
                                        ": change its address instead of adding it again");
    }
    if (member.address == address) {
      return Status(Code::kRefused, text(member) +
                                        " has this address: if its directory is lost, dqlite_remove(" + id +
                                        ") on any member makes room, else use another address");
    }
  }
  Configuration next = configuration();
  bool promote = wants_voter();
  if (promote && would_be_second()) {
    const auto waits = std::find_if(next.members.begin(), next.members.end(),
                                    [this](const Member& member) { return is_ready_to_vote(member); });
    promote = waits != next.members.end();
    if (promote) waits->promote = true;
  }
  next.members.push_back({log.last_index() + 1, instance, address, MemberRole::kStandby, promote});
  return change_configuration(std::move(next));
}

Result<Index> Core::State::change_role(NodeId id, MemberRole wanted, bool pinned) {
  if (role != Role::kLeader || fault) return may_change_membership();
  Configuration next = configuration();
  Member* member = find(next, id);
  if (member == nullptr) return no_member(id);
  const Member before = *member;
  member->pinned = pinned;
  if (wanted != MemberRole::kVoter) {
    member->role = wanted;
    member->promote = false;
  } else if (before.role == MemberRole::kStandby && is_caught_up(id)) {
    member->role = MemberRole::kVoter;
    member->promote = false;
  } else if (before.role != MemberRole::kVoter) {
    member->role = MemberRole::kStandby;
    member->promote = true;
  }
  if (*member == before) return configurations.newest_index();
  return change_configuration(std::move(next));
}

Result<Index> Core::State::change_address(NodeId id, const std::string& address) {
  if (role != Role::kLeader || fault) return may_change_membership();
  if (address.empty()) return Status(Code::kInvalid, "the new address of a member must not be empty");
  Configuration next = configuration();
  Member* member = find(next, id);
  if (member == nullptr) return no_member(id);
  if (member->address == address) return configurations.newest_index();
  for (const Member& other : configuration().members) {
    if (other.address == address) {
      return Status(Code::kRefused, "member " + std::to_string(other.id) + " has the address " + address);
    }
  }
  member->address = address;
  return change_configuration(std::move(next));
}

Result<Index> Core::State::remove_member(NodeId id) {
  if (role != Role::kLeader || fault) return may_change_membership();
  if (configuration().find(id) == nullptr) return no_member(id);
  Configuration next = configuration();
  std::erase_if(next.members, [id](const Member& member) { return member.id == id; });
  return change_configuration(std::move(next));
}

// By force, and the only change that asks nobody: the majority is lost, so no condition of above can be met. It is safe
// because the result is another cluster, which no member of this one talks to any more (raft/node/lone_cluster.h). The
// tail stays, since the majority may have acknowledged it before it was lost [C2]; the term rises, since this member's
// vote of the present one may be another's.
Result<Index> Core::State::become_alone(uint64_t instance, const std::string& address) {
  if (fault) return Status(Code::kPoisoned, fault->sentence());
  if (role == Role::kLeader) {
    return Status(Code::kRefused, "this node leads its cluster: there is nothing to recover");
  }
  if (installing || is_mute()) {
    return Status(Code::kBusy, "the log of this node is being replaced or repaired: nothing was changed");
  }
  if (log.last_index() < options.self) {
    return Status(Code::kRefused, "the log of this node does not reach to where it became member " +
                                      std::to_string(options.self) + ": it has no state of the cluster");
  }
  become_follower(term + 1, 0);
  Configuration alone;
  alone.members.push_back({options.self, instance, address, MemberRole::kVoter});
  const EntryId entry =
      append_as_leader(EntryKind::kConfiguration, std::make_shared<const Bytes>(encode(alone)));
  configurations.append(entry.index, std::move(alone));
  set_configuration_changed();
  return entry.index;
}

// Counts joiners that are on their way to a vote.
bool Core::State::wants_voter() const {
  const auto& members = configuration().members;
  const auto voting = std::count_if(members.begin(), members.end(), [](const Member& member) {
    return member.role == MemberRole::kVoter || member.promote;
  });
  return static_cast<size_t>(voting) < options.max_voters;
}

bool Core::State::would_be_second() const {
  return options.avoids_two_voters && options.max_voters > 2 && configuration().voter_count() == 1;
}

bool Core::State::is_ready_to_vote(const Member& member) const {
  const auto peer = peers.find(member.id);
  return member.role == MemberRole::kStandby && !member.pinned && is_caught_up(member.id) &&
         peer != peers.end() && is_in_contact(peer->second);
}

// Rounds (dissertation 4.2.1): a round ends when the follower has what the log held when the round began. One
// that took less than an election time-out shows that the follower keeps up, and would not hold up commits as
// a voter.
void Core::State::note_catch_up(Progress& peer) {
  const bool fast = now - peer.catch_up_began < static_cast<uint64_t>(options.election_ticks);
  if (peer.match >= peer.catch_up_target) {
    peer.caught_up = fast;
    peer.catch_up_target = log.last_index();
    peer.catch_up_began = now;
  } else if (!fast) {
    peer.caught_up = false;
  }
}

bool Core::State::is_caught_up(NodeId id) const {
  const auto peer = peers.find(id);
  return peer != peers.end() && peer->second.caught_up && is_in_contact(peer->second);
}

void Core::State::maybe_promote() {
  if (!may_change_membership()) return;
  const auto& members = configuration().members;
  const auto ready = std::count_if(members.begin(), members.end(), [this](const Member& member) {
    return member.promote && is_ready_to_vote(member);
  });
  for (const Member& member : members) {
    if (member.role != MemberRole::kStandby || !member.promote || !is_caught_up(member.id)) continue;
    // Another one may have become a voter in its place meanwhile.
    if (!member.pinned && configuration().voter_count() >= options.max_voters) continue;
    if (!member.pinned && would_be_second() && ready < 2) continue;
    Configuration next = configuration();
    find(next, member.id)->role = MemberRole::kVoter;
    find(next, member.id)->promote = false;
    // Cannot be refused: it changes one voter, and was allowed a moment ago.
    if (Result<Index> changed = change_configuration(std::move(next)); !changed) poison(changed.status());
    return;
  }
}

}  // namespace dqlite::raft
