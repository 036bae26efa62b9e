#include "raft/core/role_keeper.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace dqlite::raft {

namespace {

using Members = std::vector<KeptMember>;
using Which = std::function<bool(const KeptMember&)>;

bool has_role(const KeptMember& each, MemberRole role) {
  return each.member.role == role;
}

class Keeper {
 public:
  Keeper(const Members& members, const RoleTargets& targets) : members_(members), targets_(targets) {}

  std::optional<RoleChange> next() const {
    if (!stays_majority(0, 0)) return std::nullopt;
    if (living_voters() < targets_.voters) return more_voters();
    if (auto change = demote_silent()) return change;
    if (living_voters() > targets_.voters) {
      const Which surplus = [](const KeptMember& each) {
        return has_role(each, MemberRole::kVoter) && !each.is_leader && !each.member.pinned;
      };
      if (const KeptMember* worst = worst_of(surplus); worst != nullptr && stays_majority(-1, worst->answers))
        return RoleChange{worst->member.id, MemberRole::kStandby};
    }
    return level_standbys();
  }

 private:
  [[nodiscard]] bool is_silent(const KeptMember& each) const {
    return !each.is_leader && each.silent_ms >= targets_.grace_ms;
  }
  [[nodiscard]] size_t count(const Which& which) const {
    return static_cast<size_t>(std::count_if(members_.begin(), members_.end(), which));
  }
  [[nodiscard]] size_t living_voters() const {
    return count(
        [this](const KeptMember& each) { return has_role(each, MemberRole::kVoter) && !is_silent(each); });
  }
  // With `added` voters more, of whom (or, taken away: minus) `answering` answer.
  [[nodiscard]] bool stays_majority(int added, int answering) const {
    const auto voters =
        static_cast<int>(count([](const KeptMember& e) { return has_role(e, MemberRole::kVoter); }));
    const auto living = static_cast<int>(count(
        [](const KeptMember& e) { return has_role(e, MemberRole::kVoter) && (e.answers || e.is_leader); }));
    const int sign = added < 0 ? -1 : 1;
    return 2 * (living + sign * answering) > voters + added;
  }
  [[nodiscard]] size_t voters_in(const std::string& domain) const {
    return count([&](const KeptMember& each) {
      return has_role(each, MemberRole::kVoter) && !is_silent(each) && each.failure_domain == domain;
    });
  }
  // The lower, the better.
  [[nodiscard]] std::tuple<size_t, uint64_t, NodeId> rank(const KeptMember& each) const {
    return {each.failure_domain.empty() ? 0 : voters_in(each.failure_domain), each.weight, each.member.id};
  }
  [[nodiscard]] const KeptMember* best_of(const Which& which) const {
    const KeptMember* best = nullptr;
    for (const KeptMember& each : members_) {
      if (which(each) && (best == nullptr || rank(each) < rank(*best))) best = &each;
    }
    return best;
  }
  [[nodiscard]] const KeptMember* worst_of(const Which& which) const {
    const auto steady = [this](const KeptMember& each) { return each.steady_ms >= targets_.grace_ms; };
    const KeptMember* worst = nullptr;
    for (const KeptMember& each : members_) {
      if (!which(each)) continue;
      const bool is_worse = worst == nullptr || (steady(*worst) && !steady(each)) ||
                            (steady(*worst) == steady(each) && rank(*worst) < rank(each));
      if (is_worse) worst = &each;
    }
    return worst;
  }

  [[nodiscard]] std::optional<RoleChange> more_voters() const {
    const Which ready = [](const KeptMember& each) {
      return has_role(each, MemberRole::kStandby) && each.answers && each.is_caught_up && !each.member.pinned;
    };
    const size_t voters = count([](const KeptMember& each) { return has_role(each, MemberRole::kVoter); });
    const size_t together = voters == 1 && targets_.voters > 2 ? 2 : 1;
    if (count(ready) >= together) {
      if (!stays_majority(1, 1)) return std::nullopt;
      return RoleChange{best_of(ready)->member.id, MemberRole::kVoter};
    }
    const Which coming = [](const KeptMember& each) {
      return has_role(each, MemberRole::kStandby) && each.answers && !each.member.pinned;
    };
    if (count(coming) >= together) return std::nullopt;
    return wake_spare();
  }
  [[nodiscard]] std::optional<RoleChange> wake_spare() const {
    const Which spare = [](const KeptMember& each) {
      return has_role(each, MemberRole::kSpare) && !each.member.pinned;
    };
    if (const KeptMember* best = best_of(spare)) return RoleChange{best->member.id, MemberRole::kStandby};
    return std::nullopt;
  }
  [[nodiscard]] std::optional<RoleChange> demote_silent() const {
    for (const KeptMember& each : members_) {
      if (!has_role(each, MemberRole::kVoter) || !is_silent(each)) continue;
      if (stays_majority(-1, 0)) return RoleChange{each.member.id, MemberRole::kStandby};
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<RoleChange> level_standbys() const {
    const size_t standbys =
        count([](const KeptMember& each) { return has_role(each, MemberRole::kStandby); });
    if (standbys < targets_.standbys) return wake_spare();
    if (standbys == targets_.standbys) return std::nullopt;
    const Which surplus = [](const KeptMember& each) {
      return has_role(each, MemberRole::kStandby) && !each.member.pinned &&
             (each.is_caught_up || !each.answers);  // who joins gets the data first
    };
    if (const KeptMember* worst = worst_of(surplus)) return RoleChange{worst->member.id, MemberRole::kSpare};
    return std::nullopt;
  }

  const Members& members_;
  const RoleTargets& targets_;
};

}  // namespace

std::optional<RoleChange> next_role_change(const std::vector<KeptMember>& members,
                                           const RoleTargets& targets) {
  return Keeper(members, targets).next();
}

}  // namespace dqlite::raft
