#include "raft/node/role_tender.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kIntervalMs = 1000;

}  // namespace

void RoleTender::tick() {
  now_ms_ += static_cast<uint64_t>(options_.tick_ms);
  if (core_.role() != Role::kLeader) return;
  if (term_ != core_.term()) {
    term_ = core_.term();
    elected_ms_ = now_ms_;
    answers_since_.clear();
  }
  std::vector<KeptMember> members;
  for (const PeerStatus& peer : core_.peers()) members.push_back(describe(peer));
  if (now_ms_ < next_ms_) return;
  next_ms_ = now_ms_ + std::min(kIntervalMs, options_.roles.grace_ms);
  const std::optional<RoleChange> change = next_role_change(members, options_.roles);
  // Refused while another change is under way: the next look decides anew.
  if (change) (void)core_.change_role(change->id, change->role);
}

KeptMember RoleTender::describe(const PeerStatus& peer) {
  KeptMember member;
  member.member = peer.member;
  member.is_leader = peer.is_leader;
  member.is_caught_up = peer.is_caught_up;
  member.answers = core_.is_in_contact(peer.member.id);
  // Who has not answered this leader yet had as long as it leads.
  member.silent_ms = peer.ticks_since_contact < 0 ? now_ms_ - elected_ms_
                                                  : static_cast<uint64_t>(peer.ticks_since_contact) *
                                                        static_cast<uint64_t>(options_.tick_ms);
  if (member.answers) {
    member.steady_ms = now_ms_ - answers_since_.try_emplace(peer.member.id, now_ms_).first->second;
  } else {
    answers_since_.erase(peer.member.id);
  }
  const Place place = greeter_.place_of(peer.member.id).value_or(Place{});
  member.failure_domain = place.failure_domain;
  member.weight = place.weight;
  return member;
}

}  // namespace dqlite::raft
