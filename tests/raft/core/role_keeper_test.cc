// Every rule of the policy that gives votes and takes them, as a table, and what it leads to over time.
#include "raft/core/role_keeper.h"

#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kGrace = 10000;
constexpr uint64_t kLong = 60000;

KeptMember member(NodeId id, MemberRole role) {
  KeptMember each;
  each.member.id = id;
  each.member.role = role;
  each.answers = each.is_caught_up = true;
  each.steady_ms = kLong;
  return each;
}
KeptMember voter(NodeId id) {
  return member(id, MemberRole::kVoter);
}
KeptMember leader(NodeId id) {
  KeptMember each = voter(id);
  each.is_leader = true;
  return each;
}
KeptMember standby(NodeId id) {
  return member(id, MemberRole::kStandby);
}
KeptMember spare(NodeId id) {
  KeptMember each = member(id, MemberRole::kSpare);
  each.answers = each.is_caught_up = false;
  return each;
}
KeptMember silent(KeptMember each, uint64_t for_ms = kLong) {
  each.answers = each.is_caught_up = false;
  each.silent_ms = for_ms;
  each.steady_ms = 0;
  return each;
}
KeptMember lagging(KeptMember each) {
  each.is_caught_up = false;
  return each;
}
KeptMember pinned(KeptMember each) {
  each.member.pinned = true;
  return each;
}
KeptMember fresh(KeptMember each) {
  each.steady_ms = 100;
  return each;
}
KeptMember in(const char* domain, KeptMember each) {
  each.failure_domain = domain;
  return each;
}
KeptMember weighs(uint64_t weight, KeptMember each) {
  each.weight = weight;
  return each;
}

std::string said(const std::optional<RoleChange>& change) {
  if (!change) return "nothing";
  return std::to_string(change->id) + " " + role_name(change->role);
}

struct Row {
  const char* what;
  std::vector<KeptMember> members;
  const char* expected;
  size_t standbys = std::numeric_limits<size_t>::max();
};

}  // namespace

TEST_GROUP(RoleKeeper){};

TEST(RoleKeeper, the_table) {
  const std::vector<Row> table = {
      {"one alone", {leader(1)}, "nothing"},
      {"C1: a second one alone", {leader(1), standby(2)}, "nothing"},
      {"with a third that lags", {leader(1), standby(2), lagging(standby(3))}, "nothing"},
      {"with a third that is silent", {leader(1), standby(2), silent(standby(3))}, "nothing"},
      {"with a third", {leader(1), standby(2), standby(3)}, "2 voter"},
      {"with a spare", {leader(1), standby(2), spare(3)}, "3 standby", 0},
      {"three voters", {leader(1), voter(2), voter(3)}, "nothing"},
      {"three and a standby", {leader(1), voter(2), voter(3), standby(4)}, "nothing"},
      {"a place is free", {leader(1), voter(2), standby(4)}, "4 voter"},
      {"but who waits for it lags", {leader(1), voter(2), lagging(standby(4))}, "nothing"},
      {"or is silent", {leader(1), voter(2), silent(standby(4))}, "nothing"},
      {"or was put aside", {leader(1), voter(2), pinned(standby(4))}, "nothing"},
      {"a voter is silent, not for long",
       {leader(1), voter(2), silent(voter(3), kGrace - 1), standby(4)},
       "nothing"},
      {"a voter is silent", {leader(1), voter(2), silent(voter(3)), standby(4)}, "4 voter"},
      {"and has its successor", {leader(1), voter(2), silent(voter(3)), voter(4)}, "3 standby"},
      {"by hand or not", {leader(1), voter(2), pinned(silent(voter(3))), voter(4)}, "3 standby"},
      {"and there is nobody for it", {leader(1), voter(2), silent(voter(3))}, "nothing"},
      {"nobody but a spare", {leader(1), voter(2), silent(voter(3)), spare(4)}, "4 standby", 0},
      {"who catches up",
       {leader(1), voter(2), silent(voter(3)), lagging(standby(4)), spare(5)},
       "nothing",
       0},
      {"no majority answers", {leader(1), silent(voter(2)), silent(voter(3)), standby(4)}, "nothing"},
      {"a majority that is about to be lost",
       {leader(1), voter(2), silent(voter(3), 2000), silent(voter(4), 2000)},
       "nothing"},
      {"the silent one came back", {leader(1), voter(2), fresh(voter(3)), voter(4)}, "3 standby"},
      {"one too many", {leader(1), voter(2), voter(3), voter(4)}, "4 standby"},
      {"and it leads", {voter(1), voter(2), voter(3), leader(4)}, "3 standby"},
      {"and was made so by hand",
       {leader(1), pinned(voter(2)), pinned(voter(3)), pinned(voter(4))},
       "nothing"},
      {"the lightest", {leader(1), voter(2), weighs(7, standby(3)), weighs(5, standby(4))}, "4 voter"},
      {"the oldest", {leader(1), voter(2), standby(3), standby(4)}, "3 voter"},
      {"where there is none yet",
       {in("x", leader(1)), in("y", voter(2)), in("x", standby(3)), weighs(9, in("z", standby(4)))},
       "4 voter"},
      {"where there are most",
       {in("x", leader(1)), in("x", voter(2)), in("y", voter(3)), in("z", voter(4))},
       "2 standby"},
      {"standbys enough", {leader(1), voter(2), voter(3), standby(4), standby(5)}, "5 spare", 1},
      {"but it joins just now",
       {leader(1), voter(2), voter(3), standby(4), lagging(standby(5))},
       "4 spare",
       1},
      {"a standby wanted", {leader(1), voter(2), voter(3), spare(4), spare(5)}, "4 standby", 1},
      {"a spare by hand", {leader(1), voter(2), voter(3), pinned(spare(4))}, "nothing", 1},
  };
  for (const Row& row : table) {
    RoleTargets targets;
    targets.standbys = row.standbys;
    targets.grace_ms = kGrace;
    STRCMP_EQUAL_TEXT(row.expected, said(next_role_change(row.members, targets)).c_str(), row.what);
  }
}

TEST(RoleKeeper, a_voter_that_comes_and_goes_is_replaced_once) {
  std::vector<KeptMember> members = {leader(1), voter(2), voter(3), standby(4)};
  RoleTargets targets;
  targets.grace_ms = kGrace;
  int changes = 0;
  for (int flap = 0; flap < 20; flap++) {
    for (const bool is_there : {false, true}) {
      members[2] = is_there ? member(3, members[2].member.role) : silent(member(3, members[2].member.role));
      for (auto change = next_role_change(members, targets); change;
           change = next_role_change(members, targets)) {
        members[change->id - 1].member.role = change->role;
        changes++;
        CHECK(changes < 100);
      }
    }
  }
  CHECK_EQUAL(2, changes);
  CHECK(members[2].member.role == MemberRole::kStandby);
}

TEST(RoleKeeper, a_joiner_gets_a_vote_while_there_are_fewer_voters_than_wanted) {
  Cluster cluster(2, 100);
  cluster.set_options([](CoreOptions& options) { options.max_voters = 3; });
  cluster.elect(1);
  cluster.tick_all(3);
  std::vector<NodeId> joiners;
  for (uint64_t instance : {77, 78}) {
    const Result<Index> id = cluster.core(1).add_member(instance, "new" + std::to_string(instance) + ":1");
    CHECK(id.is_ok());
    cluster.collect(cluster.member(1));
    cluster.add_blank(*id);
    cluster.tick_all(20);
    joiners.push_back(*id);
  }
  const Configuration& configuration = cluster.core(1).configuration();
  CHECK(configuration.find(joiners[0])->role == MemberRole::kVoter);
  CHECK(configuration.find(joiners[1])->role == MemberRole::kStandby);
  CHECK_EQUAL(cluster.core(1).commit_index(), cluster.core(joiners[1]).applied_index());
}

}  // namespace dqlite::raft
