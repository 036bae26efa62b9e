// Removal, roles and transfer, asked for on any member: what is answered, and what those learn who are concerned.
#include <thread>

#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

NodeId id_of(const TestNode& node) {
  return node.node->status().identity.node_id;
}

MemberChange removal_of(NodeId id) {
  return {MemberAction::kRemove, id, "", MemberRole::kVoter};
}

MemberChange transfer_to(NodeId id) {
  return {MemberAction::kTransfer, id, "", MemberRole::kVoter};
}

MemberChange role_of(NodeId id, MemberRole role) {
  return {MemberAction::kSetRole, id, "", role};
}

Result<MemberAnswer> change(const TestNode& asked, const MemberChange& wanted) {
  return asked.node->change_members(wanted, patience());
}

MemberAnswer done(const TestNode& asked, const MemberChange& wanted) {
  Result<MemberAnswer> answer = change(asked, wanted);
  WORKS(answer.status());
  return answer ? *answer : MemberAnswer{};
}

bool is_removed(const TestNode& node) {
  return eventually([&] { return node.node->standing() == Standing::kRemoved; });
}

}  // namespace

TEST_GROUP(NodeMembers) {
  TestNode a, b, c;

  // `leader` has not heard of it for longer than an election time-out.
  static void wait_silent(const TestNode& leader, NodeId id) {
    CHECK(eventually([&] {
      for (const MemberStatus& member : leader.node->status().members) {
        if (member.member.id == id) return member.last_contact_ms > 300;
      }
      return false;
    }));
  }
};

TEST(NodeMembers, M9_a_member_is_removed_by_any_other_and_learns_it) {
  found_three(a, b, c);
  const NodeId removed = id_of(c);
  LONGS_EQUAL(2, done(b, removal_of(removed)).member_count);
  LONGS_EQUAL(2, b.node->status().members.size());
  CHECK(is_removed(c));
  const NodeStatus status = c.node->status();
  STRCMP_CONTAINS("was removed from its cluster", status.warning.c_str());
  LONGS_EQUAL(0, status.leader);
  CHECK(status.members.back().is_removed);
  CHECK(status.members.back().is_self);
  FAILS_WITH(Code::kRefused, "was removed from its cluster", change(c, transfer_to(0)).status());
  FAILS_WITH(Code::kRefused, "was removed from its cluster", c.node->read_barrier(patience()));
  FAILS_WITH(Code::kRefused, "empty its directory", c.node->join(a.address(), patience()));
  const std::string text = "x";
  FAILS_WITH(
      Code::kRefused, "was removed from its cluster",
      c.node->propose_anywhere(std::make_shared<const Bytes>(text.begin(), text.end()), patience()).status());
  write_somewhere({&a, &b}, "goes on");
}

TEST(NodeMembers, C10_one_that_was_removed_while_it_was_away_is_told_and_remembers) {
  found_three(a, b, c);
  c.kill();
  done(a, removal_of(a.node->status().members.back().member.id));
  c.start();
  CHECK(is_removed(c));
  CHECK(c.node->is_caught_up());  // its readers need not wait for anybody
  // The answer to its greeting was stored.
  c.stop();
  a.stop();
  b.stop();
  c.start();
  CHECK(c.node->standing() == Standing::kRemoved);
}

TEST(NodeMembers, C10_one_without_a_vote_is_told_too) {
  found_three(a, b, c);
  const NodeId id = id_of(c);
  done(a, role_of(id, MemberRole::kSpare));
  c.kill();
  done(a, removal_of(id));
  c.start();
  CHECK(is_removed(c));
}

TEST(NodeMembers, M11_a_lost_member_is_replaced_at_its_address) {
  found_three(a, b, c);
  const NodeId lost = id_of(c);
  c.kill();
  TestNode next;
  next.options.listen = c.options.listen;
  next.start();
  const std::string advice = "dqlite_remove(" + std::to_string(lost) + ")";
  FAILS_WITH(Code::kRefused, advice.c_str(), next.node->join(a.address(), patience()));
  MemberChange by_address = removal_of(0);
  by_address.address = c.options.listen;
  LONGS_EQUAL(2, done(b, by_address).member_count);
  next.join(a);
  CHECK(id_of(next) > lost);
  CHECK(eventually([&] { return a.voters() == 3; }));
  write_somewhere({&a, &b, &next}, "goes on");
  CHECK(next.machine->wait_event("applied goes on"));
}

TEST(NodeMembers, M8_a_leader_that_removes_itself_hands_over_first) {
  found_three(a, b, c);
  a.write("x");
  const MemberAnswer answer = done(a, removal_of(id_of(a)));
  LONGS_EQUAL(2, answer.member_count);
  CHECK(answer.leader != id_of(a));
  CHECK(is_removed(a));
  TestNode& next = leader_of({&b, &c});
  next.write("y");
  LONGS_EQUAL(2, next.node->status().members.size());
}

TEST(NodeMembers, M8_a_leader_gives_its_vote_back) {
  found_three(a, b, c);
  const NodeId id = id_of(a);
  done(b, role_of(id, MemberRole::kStandby));
  TestNode& next = leader_of({&b, &c});
  CHECK(id_of(next) != id);
  next.write("x");
  CHECK(a.machine->wait_event("applied x"));
}

TEST(NodeMembers, an_unknown_member_is_answered_with_the_known_ones) {
  found_three(a, b, c);
  FAILS_WITH(Code::kNotFound, ("the members are 1 (" + a.address() + ")").c_str(),
             change(b, removal_of(999)).status());
  FAILS_WITH(Code::kNotFound, "no member 999", change(c, transfer_to(999)).status());
  MemberChange nobody = role_of(0, MemberRole::kSpare);
  nobody.address = "nowhere:1";
  FAILS_WITH(Code::kNotFound, "no member at nowhere:1", change(a, nobody).status());
  nobody.address.clear();
  FAILS_WITH(Code::kInvalid, "name the member", change(a, nobody).status());
}

TEST(NodeMembers, the_last_voter_stays) {
  a.start();
  a.found();
  FAILS_WITH(Code::kRefused, "the last voter cannot be removed", change(a, removal_of(1)).status());
  FAILS_WITH(Code::kRefused, "the last voter", change(a, role_of(1, MemberRole::kSpare)).status());
  FAILS_WITH(Code::kRefused, "no other member has a vote", change(a, transfer_to(0)).status());
}

TEST(NodeMembers, M14_a_change_that_would_leave_no_living_majority_is_refused) {
  found_three(a, b, c);
  const NodeId living = id_of(b);
  const NodeId dead = id_of(c);
  c.kill();
  wait_silent(a, dead);
  const auto soon = [] { return Clock::now() + std::chrono::milliseconds(200); };
  FAILS_WITH(Code::kNoQuorum, "1 of 2 voters would answer",
             a.node->change_members(removal_of(living), soon()).status());
  FAILS_WITH(Code::kNoQuorum, "1 of 2 voters would answer",
             b.node->change_members(role_of(living, MemberRole::kStandby), soon()).status());
  done(b, removal_of(dead));
  done(a, removal_of(living));
  CHECK(is_removed(b));
  a.write("alone");
}

TEST(NodeMembers, T1_leadership_goes_to_the_member_that_is_named) {
  found_three(a, b, c);
  for (TestNode* target : {&b, &c, &a}) {
    const MemberAnswer answer = done(b, transfer_to(id_of(*target)));
    LONGS_EQUAL(id_of(*target), answer.leader);
    STRCMP_EQUAL(target->address().c_str(), answer.leader_address.c_str());
    LONGS_EQUAL(id_of(*target), b.node->status().leader);
    CHECK(eventually([&] { return target->leads(); }));
  }
  const NodeId anybody = done(c, transfer_to(0)).leader;
  CHECK(anybody != id_of(a));
}

TEST(NodeMembers, T3_a_target_that_cannot_lead_is_refused_with_the_reason) {
  found_three(a, b, c);
  const NodeId target = id_of(c);
  done(a, role_of(target, MemberRole::kStandby));
  FAILS_WITH(Code::kRefused, "is a standby and cannot lead", change(b, transfer_to(target)).status());
  done(b, role_of(target, MemberRole::kVoter));
  c.kill();
  wait_silent(a, target);
  FAILS_WITH(Code::kRefused, "does not answer", change(b, transfer_to(target)).status());
  CHECK(a.leads());
}

TEST(NodeMembers, a_spare_asks_around_to_get_its_vote_back) {
  found_three(a, b, c);
  const NodeId id = id_of(c);
  done(c, role_of(id, MemberRole::kSpare));
  write_somewhere({&a, &b}, "unseen");
  done(c, role_of(id, MemberRole::kVoter));
  LONGS_EQUAL(3, c.voters());
  CHECK(c.machine->wait_event("applied unseen"));
}

TEST(NodeMembers, changes_at_once_are_made_one_after_the_other) {
  found_three(a, b, c);
  const NodeId first = id_of(b);
  const NodeId second = id_of(c);
  Status of_other;
  std::thread other([&] { of_other = change(b, role_of(first, MemberRole::kStandby)).status(); });
  const Status own = change(a, role_of(second, MemberRole::kStandby)).status();
  other.join();
  WORKS(own);
  WORKS(of_other);
  LONGS_EQUAL(1, a.voters());
}

TEST(NodeMembers, without_a_leader_it_ends_at_the_deadline) {
  found_three(a, b, c);
  const NodeId id = id_of(b);
  a.kill();
  b.kill();
  CHECK(eventually([this] { return c.node->standing() == Standing::kLeaderless; }));
  FAILS_WITH(Code::kNoQuorum, "no leader is known",
             c.node->change_members(removal_of(id), Clock::now() + std::chrono::milliseconds(200)).status());
}

TEST(NodeMembers, a_node_without_a_cluster_changes_nobody) {
  a.start();
  FAILS_WITH(Code::kNoQuorum, "belongs to no cluster yet", change(a, removal_of(1)).status());
}

TEST(NodeMembers, a_silent_voter_is_replaced_by_the_standby_and_comes_back_as_one) {
  for (TestNode* node : {&a, &b, &c}) {
    node->options.roles.grace_ms = 500;
    node->options.failure_domain = "here";
    node->options.weight = 3;
  }
  found_three(a, b, c);
  TestNode d;
  d.options.roles.grace_ms = 500;
  d.start();
  d.join(a);
  const NodeId fourth = id_of(d);
  const NodeId dead = id_of(c);
  const auto role_in = [](const TestNode& node, NodeId id) {
    for (const MemberStatus& member : node.node->status().members) {
      if (member.member.id == id) return std::string(role_name(member.member.role));
    }
    return std::string("none");
  };
  STRCMP_EQUAL("standby", role_in(a, fourth).c_str());
  STRCMP_EQUAL("here", a.node->status().members[1].failure_domain.value_or("unknown").c_str());
  LONGS_EQUAL(3, a.node->status().members[1].weight);
  c.kill();
  CHECK(eventually([&] { return role_in(a, fourth) == "voter" && role_in(a, dead) == "standby"; }));
  c.start();
  write_somewhere({&a, &b, &d}, "goes on");
  CHECK(c.machine->wait_event("applied goes on"));
  STRCMP_EQUAL("standby", role_in(c, dead).c_str());
  LONGS_EQUAL(3, a.voters());
}
