// Who should vote: the policy by which a leader keeps the wanted number of voters and standbys alive.
//
// A pure function of what the leader knows; it names at most one change, and after that is committed it is asked
// again. The rules, in their order; "silent" is who has not answered for the grace period, "ready" who answers and
// has the log:
//   1. without a majority of answering voters: nothing
//   2. fewer voters than wanted that are not silent: the best ready standby becomes one; where no standby answers,
//      the best spare becomes a standby first. Of three wanted, a second only if a third is ready, too: two voters
//      would stop whenever either does [C1]
//   3. enough voters without the silent ones: a silent one becomes a standby
//   4. more voters than wanted: the worst becomes a standby, but not the leader
//   5. then the standbys: too many, and the worst becomes a spare; too few, and the best spare a standby
// Best: from the failure domain with the fewest voters, then of the lowest weight, then of the lowest id. Worst: one
// that fell silent not long ago, then the opposite of best. A role that was given by hand (Member::pinned) stays,
// except by rule 3. Nobody changes because somebody better came back: so a member that comes and goes causes no
// change but the first two. Tested by the table in tests/raft/core/role_keeper_test.cc.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/types.h"

namespace dqlite::raft {

struct RoleTargets {
  size_t voters = 3;
  size_t standbys = std::numeric_limits<size_t>::max();
  uint64_t grace_ms = 10000;
};

struct KeptMember {
  Member member;
  bool is_leader = false;
  bool is_caught_up = false;
  uint64_t silent_ms = 0;  // since it last answered
  uint64_t steady_ms = 0;  // for so long it has answered without a pause
  bool answers = false;    // within an election time-out
  std::string failure_domain{};
  uint64_t weight = 0;
};

struct RoleChange {
  NodeId id = 0;
  MemberRole role = MemberRole::kVoter;
  bool operator==(const RoleChange&) const = default;
};

std::optional<RoleChange> next_role_change(const std::vector<KeptMember>& members,
                                           const RoleTargets& targets);

}  // namespace dqlite::raft
