// Changes of the membership: scenarios M1 … M14 as far as one core can tell.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

constexpr Index kBase = 100;

// What `change` answered, with what it appended sent.
template <typename Change>
Result<Index> ask(Cluster& cluster, NodeId id, Change change) {
  Result<Index> result = change(cluster.core(id));
  cluster.collect(cluster.member(id));
  return result;
}

Result<Index> add(Cluster& cluster, NodeId leader, uint64_t instance) {
  return ask(cluster, leader,
             [=](Core& core) { return core.add_member(instance, "new" + std::to_string(instance) + ":1"); });
}

// A new member that runs, of a leader that is member 1.
NodeId joined(Cluster& cluster, uint64_t instance) {
  const Result<Index> id = add(cluster, 1, instance);
  CHECK(id.is_ok());
  cluster.add_blank(*id);
  return *id;
}

Result<Index> remove(Cluster& cluster, NodeId leader, NodeId id) {
  return ask(cluster, leader, [=](Core& core) { return core.remove_member(id); });
}

Result<Index> set_role(Cluster& cluster, NodeId leader, NodeId id, MemberRole role) {
  return ask(cluster, leader, [=](Core& core) { return core.change_role(id, role); });
}

MemberRole role_of(Cluster& cluster, NodeId seen_by, NodeId id) {
  const Member* member = cluster.core(seen_by).configuration().find(id);
  CHECK_TEXT(member != nullptr, "no such member");
  return member->role;
}

// Every message of this kind of change is lost except those `only` lets through.
void let_only(Cluster& cluster, std::set<std::pair<NodeId, NodeId>> links) {
  cluster.lose = [links](const Message& m) {
    return !links.contains({m.from, m.to}) && !links.contains({m.to, m.from});
  };
}

// Makes `id` the leader by votes of `voters` alone, and delivers nothing else of its term.
void elect_by(Cluster& cluster, NodeId id, const std::set<NodeId>& voters) {
  cluster.lose = [=](const Message& m) {
    if (std::holds_alternative<VoteRequest>(m.body)) return m.from != id || !voters.contains(m.to);
    if (std::holds_alternative<VoteResponse>(m.body)) return m.to != id || !voters.contains(m.from);
    return true;
  };
  cluster.drop_all();
  // The voters have not heard of a leader for an election time-out.
  for (NodeId voter : voters) {
    cluster.core(voter).set_may_campaign(false);
    cluster.tick(voter, 60);
  }
  const Term before = cluster.core(id).term();
  auto leads = [&] { return cluster.core(id).role() == Role::kLeader && cluster.core(id).term() > before; };
  for (int i = 0; i < 200 && !leads(); i++) {
    cluster.tick(id);
    cluster.settle();
  }
  CHECK_TEXT(leads(), "not elected");
  for (NodeId voter : voters) cluster.core(voter).set_may_campaign(true);
  cluster.drop_all();
}

}  // namespace

TEST_GROUP(Membership){};

// Ongaro's report of 2015: two leaders, each with a change the other has not seen, commit by majorities that
// do not meet. Member 1 makes member 5 a voter, unseen but by member 5; member 2 is elected and removes
// member 1. Without the guard it could commit that with {2, 3} of {2, 3, 4}, and member 1 its own change and
// more with {1, 4, 5} of five.
TEST(Membership, M1_single_server_add_and_remove_by_two_leaders) {
  Cluster cluster(5, kBase);
  cluster.set_first_role(5, MemberRole::kStandby);
  cluster.elect(1);
  cluster.tick_all(3);
  let_only(cluster, {{1, 5}});
  CHECK(set_role(cluster, 1, 5, MemberRole::kVoter).is_ok());
  cluster.settle();
  CHECK(role_of(cluster, 5, 5) == MemberRole::kVoter);
  CHECK(role_of(cluster, 4, 5) == MemberRole::kStandby);
  elect_by(cluster, 2, {3, 4});
  const Result<Index> removed = remove(cluster, 2, 1);
  CHECK(removed.status().code() == Code::kBusy);
  CHECK(failure_class(removed.status().code()) == FailureClass::kTemporary);
  // Member 2 reaches member 3 only: that is no majority of four, so its no-op is not committed and it stays
  // refused.
  let_only(cluster, {{2, 3}});
  cluster.tick(2, 4);
  cluster.settle();
  CHECK_EQUAL(kBase + 1, cluster.core(2).commit_index());
  CHECK_FALSE(remove(cluster, 2, 1).is_ok());
  // Members 1, 4 and 5 may now win: nothing was committed that they lack.
  elect_by(cluster, 1, {4, 5});
  let_only(cluster, {{1, 4}, {1, 5}});
  cluster.tick_all(3);
  CHECK(cluster.core(1).commit_index() > kBase + 2);
  cluster.lose = nullptr;
  cluster.tick_all(100);
  CHECK(cluster.leader() != 0);
  for (NodeId id = 1; id <= 5; id++) CHECK_EQUAL(5, cluster.core(id).configuration().voter_count());
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Membership, M2_two_adds_by_two_leaders) {
  Cluster cluster(4, kBase);  // voters 1 and 2, standbys 3 and 4
  cluster.set_first_role(3, MemberRole::kStandby);
  cluster.set_first_role(4, MemberRole::kStandby);
  cluster.elect(1);
  cluster.tick_all(3);
  let_only(cluster, {{1, 3}});
  CHECK(set_role(cluster, 1, 3, MemberRole::kVoter).is_ok());  // {1, 3} would be a majority of {1, 2, 3}
  cluster.lose = [](const Message&) { return true; };
  cluster.settle();
  cluster.crash(1);
  cluster.restart(1);
  TestDisk& disk = cluster.member(1).disk;
  CHECK_EQUAL(kBase + 2, disk.last_index());
  // Member 2 needs member 1's vote, whose log is longer: it cannot lead, let alone add member 4.
  cluster.lose = nullptr;
  for (int i = 0; i < 200 && cluster.leader() == 0; i++) cluster.tick_all();
  const NodeId leader = cluster.leader();
  CHECK(leader == 1);
  CHECK(set_role(cluster, leader, 4, MemberRole::kVoter).status().code() != Code::kRefused);
  cluster.tick_all(20);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
  CHECK(role_of(cluster, 2, 3) == MemberRole::kVoter);
}

TEST(Membership, M3_two_removes_by_two_leaders) {
  Cluster cluster(4, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  CHECK(remove(cluster, 1, 2).is_ok());  // {1, 3, 4}, seen by nobody else
  cluster.drop_all();
  elect_by(cluster, 2, {3, 4});
  CHECK(remove(cluster, 2, 1).status().code() == Code::kBusy);
  let_only(cluster, {{2, 3}});
  cluster.tick(2, 4);
  cluster.settle();
  CHECK_FALSE(remove(cluster, 2, 1).is_ok());
  cluster.lose = nullptr;
  cluster.tick_all(200);
  CHECK(cluster.leader() != 0);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Membership, M4_a_change_is_refused_before_an_entry_of_the_leaders_term_is_committed) {
  Cluster cluster(3, kBase);
  elect_by(cluster, 1, {2, 3});
  CHECK(add(cluster, 1, 77).status().code() == Code::kBusy);
  CHECK(remove(cluster, 1, 3).status().code() == Code::kBusy);
  CHECK(set_role(cluster, 1, 3, MemberRole::kStandby).status().code() == Code::kBusy);
  cluster.lose = nullptr;
  cluster.tick_all(3);
  CHECK(add(cluster, 1, 77).is_ok());
}

TEST(Membership, M5_a_change_is_refused_while_the_previous_one_is_not_committed) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(remove(cluster, 1, 3).is_ok());
  CHECK(add(cluster, 1, 77).status().code() == Code::kBusy);
  cluster.settle();
  CHECK(add(cluster, 1, 77).is_ok());
}

TEST(Membership, only_the_leader_changes_the_membership) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(add(cluster, 2, 77).status().code() == Code::kNotLeader);
  CHECK(remove(cluster, 2, 3).status().code() == Code::kNotLeader);
  CHECK(set_role(cluster, 2, 3, MemberRole::kSpare).status().code() == Code::kNotLeader);
  CHECK(remove(cluster, 1, 9).status().code() == Code::kNotFound);
  CHECK(set_role(cluster, 1, 9, MemberRole::kSpare).status().code() == Code::kNotFound);
  CHECK(add(cluster, 1, 0).status().code() == Code::kInvalid);
}

TEST(Membership, M6_a_truncated_configuration_rolls_back) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.cut(1, 3);
  cluster.lose = [](const Message& m) { return std::holds_alternative<AppendResponse>(m.body); };
  const Result<Index> added = add(cluster, 1, 77);
  cluster.settle();
  for (NodeId id : {1, 2}) CHECK(cluster.core(id).configuration().find(*added) != nullptr);
  CHECK(cluster.core(3).configuration().find(*added) == nullptr);
  // Member 3 alone knows nothing of it and is elected (member 2 has lost its disk's newest write, which it
  // had not acknowledged).
  cluster.lose = nullptr;
  cluster.isolate(1);
  TestDisk& disk = cluster.member(2).disk;
  cluster.crash(2);
  disk.entries.pop_back();
  cluster.restart(2);
  CHECK(cluster.core(2).configuration().find(*added) == nullptr);
  elect_by(cluster, 3, {2});
  cluster.lose = nullptr;
  cluster.heal();
  cluster.tick_all(50);
  for (NodeId id = 1; id <= 3; id++) {
    CHECK(cluster.core(id).configuration() == cluster.first_configuration);
    CHECK(cluster.core(id).commit_index() >= *added);
  }
}

TEST(Membership, M7_a_log_start_holds_the_last_committed_configuration) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  const Index removed = *remove(cluster, 1, 3);
  cluster.settle();
  cluster.propose(1, "a");
  cluster.settle();
  cluster.isolate(1);
  const Index added = *add(cluster, 1, 77);
  const LogStart before = cluster.core(1).log_start_at(removed - 1).value();
  CHECK_EQUAL(3, before.configuration.members.size());
  CHECK_EQUAL(kBase, before.configuration_index);
  const LogStart after = cluster.core(1).log_start_at(removed + 1).value();
  CHECK_EQUAL(2, after.configuration.members.size());
  CHECK_EQUAL(removed, after.configuration_index);
  CHECK_EQUAL(removed + 1, after.last.index);
  // The addition is in effect, but a log cannot start behind what is not committed.
  CHECK(cluster.core(1).configuration().find(added) != nullptr);
  CHECK_FALSE(cluster.core(1).log_start_at(added).is_ok());
  // And compaction keeps what a later start needs.
  cluster.compact(cluster.member(1), 0);
  CHECK_EQUAL(removed, cluster.core(1).log_start_at(removed + 1).value().configuration_index);
  cluster.pump(1);
  cluster.restart(1);
  CHECK(cluster.core(1).configuration().find(added) != nullptr);
  CHECK_EQUAL(2, cluster.core(1).log_start_at(removed + 1).value().configuration.members.size());
}

TEST(Membership, M8_a_leader_that_removes_itself_steps_down_after_the_commit) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.cut(1, 3);
  cluster.cut(1, 2);
  const Index removed = *remove(cluster, 1, 1);
  cluster.settle();
  CHECK_EQUAL(1, cluster.leader());  // its own copy does not count
  CHECK(cluster.core(1).commit_index() < removed);
  cluster.heal();
  cluster.tick_all(5);
  CHECK(cluster.core(1).role() == Role::kFollower);
  CHECK_FALSE(cluster.member(1).leadership.back().gained);
  CHECK_EQUAL(removed, cluster.core(1).commit_index());
  // It asked the next one to lead at once.
  const NodeId next = cluster.leader();
  CHECK(next == 2 || next == 3);
  CHECK_EQUAL(2, cluster.core(next).configuration().members.size());
  cluster.tick_all(200);
  CHECK(cluster.core(1).role() == Role::kFollower);
  CHECK_EQUAL(next, cluster.leader());
}

TEST(Membership, M8_a_leader_that_removes_itself_leads_until_the_removal_itself_is_committed) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  const EntryId before = cluster.propose(1, "a");
  cluster.pump(1);
  const auto first_messages = cluster.network;
  const Index removed = *remove(cluster, 1, 1);
  cluster.pump(1);
  cluster.drop_all();
  for (const Message& m : first_messages) cluster.deliver(m);
  for (NodeId id : {2, 3}) cluster.pump(id);
  const auto answers = cluster.network;
  for (const Message& m : answers) cluster.deliver(m);
  CHECK_EQUAL(before.index, cluster.core(1).commit_index());
  CHECK(cluster.core(1).role() == Role::kLeader);
  cluster.tick_all(5);
  CHECK_EQUAL(removed, cluster.core(1).commit_index());
  CHECK(cluster.core(1).role() == Role::kFollower);
}

TEST(Membership, M10_a_joiner_is_promoted_when_it_has_caught_up) {
  Cluster cluster(1, kBase);
  cluster.elect(1);
  for (int i = 0; i < 20; i++) cluster.propose(1, "a");
  cluster.settle();
  const Index id = *add(cluster, 1, 77);
  cluster.tick_all(60);
  // Nobody runs it yet: it does not vote, and commits go on without it.
  CHECK(role_of(cluster, 1, id) == MemberRole::kStandby);
  CHECK_EQUAL(cluster.core(1).last().index, cluster.core(1).commit_index());
  cluster.add_blank(id);
  cluster.tick_all(10);
  CHECK(role_of(cluster, 1, id) == MemberRole::kVoter);
  CHECK_EQUAL(cluster.core(1).last().index, cluster.core(id).applied_index());
}

TEST(Membership, M10_a_joiner_that_does_not_keep_up_is_not_promoted) {
  Cluster cluster(1, kBase);
  cluster.elect(1);
  const Index id = *add(cluster, 1, 77);
  cluster.tick_all(60);
  TestMember& joiner = cluster.add_blank(id);
  joiner.disk_held = joiner.apply_held = true;
  for (int i = 0; i < 150; i++) {
    cluster.propose(1, "a");
    cluster.tick_all();
    // First the snapshot, then one write in 30 ticks: every round takes longer than an election time-out.
    if (i == 30) joiner.apply_held = false;
    if (i % 30 == 29) cluster.write_one(joiner);
  }
  CHECK(cluster.core(id).last().index > id);
  CHECK(role_of(cluster, 1, id) == MemberRole::kStandby);
  joiner.disk_held = false;
  cluster.tick_all(30);
  CHECK(role_of(cluster, 1, id) == MemberRole::kVoter);
}

TEST(Membership, M10_two_joiners_are_promoted_one_after_the_other) {
  Cluster cluster(1, kBase);
  cluster.elect(1);
  const Index first = *add(cluster, 1, 77);
  cluster.settle();
  const Index second = *add(cluster, 1, 78);
  cluster.settle();
  cluster.add_blank(first);
  cluster.add_blank(second);
  for (int i = 0; i < 60; i++) {
    const size_t before = cluster.core(1).configuration().voter_count();
    cluster.tick_all();
    CHECK(cluster.core(1).configuration().voter_count() <= before + 1);
  }
  CHECK_EQUAL(3, cluster.core(1).configuration().voter_count());
}

TEST(Membership, a_standby_by_choice_stays_one) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(set_role(cluster, 1, 3, MemberRole::kStandby).is_ok());
  cluster.tick_all(100);
  CHECK(role_of(cluster, 1, 3) == MemberRole::kStandby);
  CHECK_EQUAL(cluster.core(1).commit_index(), cluster.core(3).applied_index());
  // Asked to vote again, it does so at once: it has the whole log.
  CHECK(set_role(cluster, 1, 3, MemberRole::kVoter).is_ok());
  CHECK(role_of(cluster, 1, 3) == MemberRole::kVoter);
}

TEST(Membership, a_spare_gets_nothing_and_catches_up_before_it_votes) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(set_role(cluster, 1, 3, MemberRole::kSpare).is_ok());
  cluster.settle();
  cluster.tick_all(50);
  for (int i = 0; i < 5; i++) cluster.propose(1, "a");
  cluster.settle();
  CHECK(cluster.core(3).last().index < cluster.core(1).last().index);
  CHECK(set_role(cluster, 1, 3, MemberRole::kVoter).is_ok());
  CHECK(role_of(cluster, 1, 3) == MemberRole::kStandby);
  cluster.tick_all(10);
  CHECK(role_of(cluster, 1, 3) == MemberRole::kVoter);
  CHECK_EQUAL(cluster.core(1).last().index, cluster.core(3).last().index);
}

TEST(Membership, a_repeated_join_gets_the_same_id_and_another_ones_address_is_refused) {
  Cluster cluster(1, kBase);
  cluster.elect(1);
  const Index id = *add(cluster, 1, 77);
  const Index last = cluster.core(1).last().index;
  CHECK_EQUAL(id, *add(cluster, 1, 77));
  CHECK_EQUAL(last, cluster.core(1).last().index);
  const Result<Index> moved = cluster.core(1).add_member(77, "elsewhere:1");
  CHECK(moved.status().code() == Code::kRefused);
  const Result<Index> twin = cluster.core(1).add_member(78, "new77:1");
  CHECK(twin.status().code() == Code::kRefused);
  CHECK(twin.status().sentence().find("new77:1") != std::string::npos);
}

TEST(Membership, C3_an_address_changes_without_changing_who_votes) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(ask(cluster, 1, [](Core& core) { return core.change_address(3, "moved:1"); }).is_ok());
  cluster.settle();
  STRCMP_EQUAL("moved:1", cluster.core(2).configuration().find(3)->address.c_str());
  CHECK_EQUAL(3, cluster.core(2).configuration().voter_count());
  CHECK(cluster.core(1).change_address(2, "moved:1").status().code() == Code::kRefused);
}

TEST(Membership, C1_the_second_voter_comes_together_with_the_third) {
  Cluster cluster(1);
  cluster.set_options([](CoreOptions& options) {
    options.avoids_two_voters = true;
    options.max_voters = 3;
  });
  cluster.elect(1);
  const NodeId second = joined(cluster, 71);
  cluster.tick_all(100);
  CHECK_EQUAL(1, cluster.core(1).configuration().voter_count());
  CHECK_FALSE(cluster.core(1).configuration().find(second)->promote);
  cluster.propose(1, "without it");
  const NodeId third = joined(cluster, 72);
  cluster.tick_all(100);
  CHECK(cluster.core(1).configuration().is_voter(second));
  CHECK(cluster.core(1).configuration().is_voter(third));
}

TEST(Membership, C1_the_second_voter_may_be_asked_for_by_hand) {
  Cluster cluster(1);
  cluster.set_options([](CoreOptions& options) {
    options.avoids_two_voters = true;
    options.max_voters = 3;
  });
  cluster.elect(1);
  const NodeId second = joined(cluster, 73);
  cluster.tick_all(100);
  const auto by_hand = [=](Core& core) { return core.change_role(second, MemberRole::kVoter, true); };
  CHECK(ask(cluster, 1, by_hand).is_ok());
  cluster.tick_all(10);
  CHECK(cluster.core(1).configuration().is_voter(second));
}

TEST(Membership, the_last_voter_cannot_be_removed_or_demoted) {
  Cluster cluster(1, kBase);
  cluster.elect(1);
  CHECK(remove(cluster, 1, 1).status().code() == Code::kRefused);
  CHECK(set_role(cluster, 1, 1, MemberRole::kSpare).status().code() == Code::kRefused);
}

TEST(Membership, M14_two_shrink_to_one_with_the_other_dead_while_the_leader_still_leads) {
  Cluster cluster(2, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.crash(2);
  CHECK(remove(cluster, 1, 2).is_ok());
  cluster.settle();
  CHECK_EQUAL(cluster.core(1).last().index, cluster.core(1).commit_index());
  cluster.tick_all(100);
  CHECK_EQUAL(1, cluster.leader());
}

TEST(Membership, M14_two_with_one_dead_cannot_shrink_without_a_leader) {
  Cluster cluster(2, kBase);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.crash(2);
  cluster.tick_all(60);
  CHECK_EQUAL(0, cluster.leader());
  CHECK(remove(cluster, 1, 2).status().code() == Code::kNotLeader);
}

TEST(Membership, a_removed_follower_is_told_that_its_removal_is_committed) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  cluster.member(3).disk_held = true;  // its answer comes after the commit
  const Index removed = *remove(cluster, 1, 3);
  cluster.settle();
  CHECK(cluster.core(1).commit_index() >= removed);
  cluster.member(3).disk_held = false;
  cluster.settle();
  CHECK(cluster.core(3).commit_index() >= removed);
  // After that nothing is sent to it any more.
  cluster.tick_all(3);
  cluster.tick(1, 10);
  CHECK_EQUAL(0, cluster.in_flight([](const Message& m) { return m.to == 3; }).size());
}

TEST(Membership, bootstrap_makes_a_cluster_of_one_that_elects_itself) {
  Cluster cluster(0);
  TestMember& m = cluster.add_blank(1);
  CHECK(m.core->bootstrap(4242, "here:1").is_ok());
  CHECK_FALSE(m.core->bootstrap(4242, "here:1").is_ok());
  cluster.collect(m);
  cluster.tick_all(3);
  CHECK_EQUAL(1, cluster.leader());
  CHECK_EQUAL(2, m.core->applied_index());  // the configuration and the no-op
  CHECK_EQUAL(4242, m.core->configuration().find(1)->instance);
  cluster.restart(1);
  CHECK_EQUAL(1, m.core->configuration().members.size());
}

TEST(Membership, B8_an_adopted_start_bootstraps_behind_it_and_joiners_need_a_snapshot) {
  Cluster cluster(0);
  TestMember& m = cluster.add_blank(1);
  m.disk.start.last = {1, 1};
  m.durable_machine.last = {1, 1};
  cluster.restart(1);
  CHECK(m.core->bootstrap(4242, "here:1").is_ok());
  cluster.collect(m);
  cluster.tick_all(3);
  CHECK_EQUAL(1, cluster.leader());
  const Index id = *add(cluster, 1, 77);
  cluster.settle();
  cluster.add_blank(id);
  cluster.tick_all(10);
  CHECK(cluster.member(id).disk.start.last.index >= 1);
  CHECK_EQUAL(m.core->applied_index(), cluster.core(id).applied_index());
  CHECK(role_of(cluster, 1, id) == MemberRole::kVoter);
}

TEST(Membership, bootstrap_is_refused_on_a_log_that_is_not_new) {
  Cluster cluster(1, kBase);
  CHECK(cluster.core(1).bootstrap(1, "here:1").code() == Code::kRefused);
  TestMember& other = cluster.add_blank(9);
  CHECK(other.core->bootstrap(1, "here:1").code() == Code::kRefused);
  TestMember& first = cluster.add_blank(1);
  CHECK(first.core->bootstrap(0, "here:1").code() == Code::kInvalid);
}

TEST(Membership, C2_a_member_that_goes_on_alone_keeps_its_tail_in_a_new_term) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  cluster.cut(1, 3);
  cluster.cut_one_way(2, 1);  // 1 does not learn that it arrived
  cluster.propose(1, "on two");
  cluster.settle();
  cluster.isolate(2);
  const Index last = cluster.core(2).last().index;
  const Index commit = cluster.core(2).commit_index();
  const Term term = cluster.core(2).term();
  CHECK(commit < last);  // perhaps acknowledged
  const Result<Index> alone = ask(cluster, 2, [](Core& core) { return core.become_alone(202, "here:2"); });
  CHECK_EQUAL(last + 1, *alone);
  CHECK(cluster.core(2).term() > term);
  CHECK(cluster.core(2).last().term > term);
  CHECK_EQUAL(1, cluster.core(2).configuration().members.size());
  cluster.drop_all();
  cluster.pump(2);
  cluster.tick(2, 2);
  cluster.pump(2);
  CHECK(cluster.core(2).role() == Role::kLeader);
  CHECK(cluster.core(2).applied_index() > last);
  CHECK(cluster.core(2).check_invariants().is_ok());
}

TEST(Membership, C2_who_leads_or_has_no_state_of_its_own_does_not_go_on_alone) {
  Cluster cluster(3, kBase);
  cluster.elect(1);
  CHECK(cluster.core(1).become_alone(101, "here:1").status().code() == Code::kRefused);
  TestMember& blank = cluster.add_blank(9);
  CHECK(blank.core->become_alone(909, "here:9").status().code() == Code::kRefused);
  cluster.member(3).disk.rot(kBase + 1);
  cluster.restart(3);
  CHECK(cluster.core(3).is_mute());
  CHECK(cluster.core(3).become_alone(303, "here:3").status().code() == Code::kBusy);
}

}  // namespace dqlite::raft
