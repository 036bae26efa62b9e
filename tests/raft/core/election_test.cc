// Elections: scenarios E1 … E15. Ids are 1, 2, 3 …; nothing happens that a line does not say.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

template <typename T>
const T* body(const Message& message) {
  return std::get_if<T>(&message.body);
}

// The answers to vote requests, of one kind, that are on their way.
std::vector<Message> votes_in_flight(const Cluster& cluster, bool pre_vote) {
  return cluster.in_flight([=](const Message& m) {
    const auto* vote = body<VoteResponse>(m);
    return vote != nullptr && vote->pre_vote == pre_vote;
  });
}

Message vote_request(NodeId from, NodeId to, Term term, EntryId last, bool pre_vote, bool transfer = false) {
  return {from, to, term, VoteRequest{.pre_vote = pre_vote, .transfer = transfer, .last = last}};
}

bool granted(const Message& message) {
  return std::get<VoteResponse>(message.body).granted;
}

}  // namespace

TEST_GROUP(Election){};

TEST(Election, E1_single_node_elects_on_its_first_tick_and_commits_after_its_own_fsync) {
  Cluster cluster(1);
  cluster.member(1).disk_held = true;
  cluster.tick(1);
  CHECK(cluster.core(1).role() == Role::kCandidate);
  cluster.write_one(cluster.member(1));  // the vote
  CHECK(cluster.core(1).role() == Role::kLeader);
  cluster.propose(1, "a");
  CHECK_EQUAL(0, cluster.core(1).commit_index());
  while (cluster.write_one(cluster.member(1))) {
  }
  CHECK_EQUAL(2, cluster.core(1).commit_index());
  cluster.settle();
  CHECK_EQUAL(2, cluster.core(1).applied_index());
}

TEST(Election, E1_the_own_vote_counts_only_when_it_is_durable) {
  Cluster cluster(3);
  cluster.member(1).disk_held = true;
  cluster.time_out(1);
  cluster.core(1).step({2, 1, 1, VoteResponse{.pre_vote = true, .granted = true}});
  cluster.collect(cluster.member(1));
  CHECK(cluster.core(1).role() == Role::kCandidate);
  // Nobody can have been asked yet; an answer all the same is one vote, and not two.
  cluster.core(1).step({2, 1, 1, VoteResponse{.pre_vote = false, .granted = true}});
  cluster.collect(cluster.member(1));
  CHECK(cluster.core(1).role() == Role::kCandidate);
  cluster.write_one(cluster.member(1));
  CHECK(cluster.core(1).role() == Role::kLeader);
}

TEST(Election, E2_three_nodes_one_leader_per_term) {
  Cluster cluster(3);
  for (int i = 0; i < 200 && cluster.leader() == 0; i++) cluster.tick_all();
  const NodeId leader = cluster.leader();
  CHECK(leader != 0);
  for (NodeId id = 1; id <= 3; id++) {
    CHECK_EQUAL(leader, cluster.core(id).leader());
    CHECK_EQUAL((id == leader), (cluster.core(id).role() == Role::kLeader));
  }
  CHECK_EQUAL(1, cluster.member(leader).leadership.size());
  CHECK(cluster.member(leader).leadership[0].gained);
  CHECK_EQUAL(1, cluster.member(leader).leadership[0].noop);
}

TEST(Election, E3_split_vote_resolves_with_random_timeouts) {
  Cluster cluster(2);
  // Both campaign at once, and each has voted for itself when the other's request comes.
  cluster.time_out(1);
  cluster.time_out(2);
  cluster.settle();
  for (int i = 0; i < 400 && cluster.leader() == 0; i++) cluster.tick_all();
  CHECK(cluster.leader() != 0);
}

TEST(Election, E4_vote_denied_to_a_shorter_log) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1}, 1);
  cluster.deliver(vote_request(1, 2, 2, {2, 1}, false));
  cluster.pump(2);
  CHECK_EQUAL(1, votes_in_flight(cluster, false).size());
  CHECK_FALSE(granted(votes_in_flight(cluster, false)[0]));
  CHECK_EQUAL(2, cluster.core(2).term());  // the term is adopted all the same
}

TEST(Election, E5_vote_denied_to_a_lower_last_term_even_if_longer) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 2}, 2);
  cluster.deliver(vote_request(1, 2, 3, {7, 1}, false));
  cluster.pump(2);
  CHECK_FALSE(granted(votes_in_flight(cluster, false)[0]));
  cluster.drop_all();
  cluster.deliver(vote_request(3, 2, 3, {2, 2}, false));
  cluster.pump(2);
  CHECK_TRUE(granted(votes_in_flight(cluster, false)[0]));
}

TEST(Election, E6_duplicate_vote_request_gets_the_same_answer_after_a_restart) {
  Cluster cluster(3);
  cluster.deliver(vote_request(1, 2, 2, {0, 0}, false));
  cluster.pump(2);
  CHECK_TRUE(granted(votes_in_flight(cluster, false)[0]));
  cluster.crash(2);
  cluster.restart(2);
  cluster.drop_all();
  cluster.deliver(vote_request(1, 2, 2, {0, 0}, false));
  cluster.deliver(vote_request(3, 2, 2, {9, 1}, false));
  cluster.pump(2);
  const auto answers = votes_in_flight(cluster, false);
  CHECK_EQUAL(2, answers.size());
  for (const Message& answer : answers) CHECK_EQUAL((answer.to == 1), granted(answer));
}

TEST(Election, E7_a_vote_is_not_answered_before_it_is_durable_and_survives_the_crash) {
  Cluster cluster(3);
  cluster.member(2).disk_held = true;
  cluster.deliver(vote_request(1, 2, 2, {0, 0}, false));
  cluster.pump(2);
  CHECK_EQUAL(0, votes_in_flight(cluster, false).size());
  // The disk has it, the answer was never sent.
  cluster.member(2).disk.write(cluster.member(2).writes.front());
  cluster.crash(2);
  cluster.restart(2);
  cluster.member(2).disk_held = false;
  cluster.deliver(vote_request(3, 2, 2, {0, 0}, false));
  cluster.pump(2);
  CHECK_FALSE(granted(votes_in_flight(cluster, false)[0]));
}

TEST(Election, E7_a_vote_that_did_not_reach_the_disk_was_never_told) {
  Cluster cluster(3);
  cluster.member(2).disk_held = true;
  cluster.deliver(vote_request(1, 2, 2, {0, 0}, false));
  cluster.crash(2);
  cluster.restart(2);
  CHECK_EQUAL(0, cluster.core(2).term());
  CHECK_EQUAL(0, votes_in_flight(cluster, false).size());
}

TEST(Election, E8_a_node_that_was_cut_off_never_raises_the_term) {
  Cluster cluster(3);
  cluster.elect(1);
  const Term term = cluster.core(1).term();
  cluster.isolate(3);
  cluster.tick_all(200);
  cluster.heal();
  cluster.tick_all(50);
  CHECK_EQUAL(term, cluster.core(1).term());
  CHECK_EQUAL(term, cluster.core(3).term());
  CHECK_EQUAL(1, cluster.leader());
  CHECK_EQUAL(1, cluster.core(3).leader());
}

// Finding 2: member 1 has the longer log and the older term, member 2 the newer term. If a rejected pre-vote
// did not carry the voter's own term, member 1 would never learn it, and no one could ever win.
TEST(Election, E9_prevote_longer_log_older_term_still_elects) {
  Cluster cluster(3);
  cluster.set_log(1, {1, 1, 1}, 1);
  cluster.set_log(2, {1, 1}, 5);
  cluster.crash(3);
  for (int i = 0; i < 400 && cluster.leader() == 0; i++) cluster.tick_all();
  CHECK_EQUAL(1, cluster.leader());
  CHECK(cluster.core(1).term() > 5);
}

TEST(Election, E9_rejected_prevote_carries_the_voters_own_term) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1}, 5);
  cluster.deliver(vote_request(1, 2, 2, {9, 1}, true));
  CHECK_FALSE(granted(votes_in_flight(cluster, true)[0]));
  CHECK_EQUAL(5, votes_in_flight(cluster, true)[0].term);
  CHECK_EQUAL(5, cluster.core(2).term());
}

TEST(Election, E10_stale_prevote_answers_are_not_counted) {
  Cluster cluster(5);
  const Message stale{3, 1, 1, VoteResponse{.pre_vote = true, .granted = true}};
  cluster.set_log(1, {1}, 4);
  cluster.time_out(1);  // asks for term 5
  CHECK(cluster.core(1).role() == Role::kPreCandidate);
  cluster.deliver(stale);
  Message other_term = stale;
  other_term.term = 4;
  cluster.deliver(other_term);
  other_term.from = 2;
  cluster.deliver(other_term);
  CHECK(cluster.core(1).role() == Role::kPreCandidate);
  // Two real ones win the pre-vote; the same two repeated do not count as votes.
  Message fresh = stale;
  fresh.term = 5;
  cluster.deliver(fresh);
  fresh.from = 2;
  cluster.deliver(fresh);
  cluster.pump(1);
  CHECK(cluster.core(1).role() == Role::kCandidate);
  cluster.deliver(fresh);
  fresh.from = 3;
  cluster.deliver(fresh);
  CHECK(cluster.core(1).role() == Role::kCandidate);
}

TEST(Election, E10_answers_to_an_older_campaign_are_not_counted) {
  Cluster cluster(3);
  cluster.set_log(1, {1}, 4);
  for (Term term = 5; term <= 6; term++) {
    cluster.time_out(1);
    cluster.deliver({2, 1, term, VoteResponse{.pre_vote = true, .granted = true}});
    cluster.pump(1);
    CHECK(cluster.core(1).role() == Role::kCandidate);
    CHECK_EQUAL(term, cluster.core(1).term());
  }
  const Message late{3, 1, 5, VoteResponse{.pre_vote = false, .granted = true}};
  cluster.deliver(late);
  CHECK(cluster.core(1).role() == Role::kCandidate);
  Message fresh = late;
  fresh.term = 6;
  cluster.deliver(fresh);
  CHECK(cluster.core(1).role() == Role::kLeader);
}

TEST(Election, E11_a_voter_with_a_live_leader_refuses_and_keeps_its_term) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(5);
  const Term term = cluster.core(2).term();
  cluster.deliver(vote_request(3, 2, term + 1, {99, term}, true));
  CHECK_FALSE(granted(votes_in_flight(cluster, true)[0]));
  cluster.drop_all();
  cluster.deliver(vote_request(3, 2, term + 5, {99, term}, false));
  cluster.deliver(vote_request(3, 1, term + 5, {99, term}, false));
  cluster.pump(2);
  CHECK_EQUAL(0, votes_in_flight(cluster, false).size());
  CHECK_EQUAL(term, cluster.core(2).term());
  CHECK_EQUAL(1, cluster.leader());
  // When the leader has been silent for an election time-out it answers.
  cluster.isolate(1);
  cluster.tick_silently(2, 20);
  cluster.drop_all();
  cluster.deliver(vote_request(3, 2, cluster.core(2).term() + 5, {99, term}, false));
  cluster.pump(2);
  CHECK_TRUE(granted(votes_in_flight(cluster, false).back()));
}

TEST(Election, E12_a_learner_that_is_asked_to_vote_votes) {
  Cluster cluster(3);
  TestMember& learner = cluster.add_blank(9);  // does not even know a configuration
  cluster.deliver(vote_request(1, 9, 3, {4, 2}, false));
  cluster.pump(9);
  CHECK_TRUE(granted(votes_in_flight(cluster, false)[0]));
  CHECK_EQUAL(3, learner.disk.hard_state.term);
}

TEST(Election, E12_a_standby_votes_but_does_not_campaign) {
  Cluster cluster(2);
  cluster.set_first_role(2, MemberRole::kStandby);
  cluster.tick_silently(2, 300);
  CHECK(cluster.core(2).role() == Role::kFollower);
  cluster.deliver(vote_request(1, 2, 1, {0, 0}, false));
  cluster.pump(2);
  CHECK_TRUE(granted(votes_in_flight(cluster, false)[0]));
}

TEST(Election, E13_no_campaign_while_an_append_is_not_durable) {
  Cluster cluster(3);
  cluster.member(2).disk_held = true;
  cluster.deliver({1, 2, 1, AppendRequest{{}, 0, 0, {{1, 1, EntryKind::kNoop, nullptr}}}});
  cluster.tick_silently(2, 200);
  CHECK(cluster.core(2).role() == Role::kFollower);
  while (cluster.write_one(cluster.member(2))) {
  }
  cluster.tick_silently(2, 1);
  CHECK(cluster.core(2).role() == Role::kPreCandidate);
}

TEST(Election, E13_no_campaign_while_a_snapshot_is_being_installed) {
  Cluster cluster(3);
  SnapshotChunk chunk;
  chunk.last = {50, 1};
  chunk.configuration = encode(cluster.first_configuration);
  chunk.data = std::make_shared<const Bytes>(8, uint8_t{0});
  chunk.done = true;
  cluster.deliver({1, 2, 1, chunk});
  while (cluster.write_one(cluster.member(2))) {
  }
  cluster.tick(2, 200);
  CHECK(cluster.core(2).role() == Role::kFollower);
  cluster.finish_install(cluster.member(2), true);
  cluster.tick(2, 1);
  CHECK(cluster.core(2).role() == Role::kPreCandidate);
}

TEST(Election, E13_no_campaign_when_the_node_may_not) {
  Cluster cluster(3);
  cluster.core(2).set_may_campaign(false);
  cluster.tick_silently(2, 200);
  CHECK(cluster.core(2).role() == Role::kFollower);
  cluster.core(2).set_may_campaign(true);
  cluster.tick_silently(2, 1);
  CHECK(cluster.core(2).role() == Role::kPreCandidate);
  cluster.core(2).set_may_campaign(false);
  CHECK(cluster.core(2).role() == Role::kFollower);
}

TEST(Election, E14_partial_mesh_of_5_reaches_a_stable_leader) {
  // 1-2, 2-3, 3-4, 4-5, 5-1 are cut: every member hears two others besides itself.
  Cluster cluster(5);
  for (NodeId id = 1; id <= 5; id++) cluster.cut(id, id % 5 + 1);
  cluster.tick_all(400);
  const NodeId leader = cluster.leader();
  CHECK(leader != 0);
  const Term term = cluster.core(leader).term();
  cluster.propose(leader, "a");
  cluster.tick_all(200);
  CHECK_EQUAL(leader, cluster.leader());
  CHECK_EQUAL(term, cluster.core(leader).term());
  CHECK_EQUAL(cluster.core(leader).last().index, cluster.core(leader).commit_index());
}

TEST(Election, E15_check_quorum_makes_a_leader_without_majority_step_down) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(20);
  cluster.isolate(1);
  cluster.tick_silently(1, 41);  // at most two checks
  CHECK(cluster.core(1).role() != Role::kLeader);
  CHECK_FALSE(cluster.member(1).leadership.back().gained);
  CHECK_EQUAL(cluster.member(1).leadership.front().term, cluster.member(1).leadership.back().term);
}

TEST(Election, R15_a_leader_with_a_hung_disk_falls_silent_and_another_one_leads) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(1).disk_held = true;
  cluster.propose(1, "a");
  cluster.tick_all(25);
  CHECK_EQUAL(1, cluster.leader());
  cluster.tick_all(100);
  CHECK(cluster.leader() != 1);
  CHECK(cluster.leader() != 0);
  CHECK(cluster.core(1).role() != Role::kLeader);
}

TEST(Election, R15_a_leader_whose_disk_takes_longer_than_an_election_goes_on) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.disk_patience_ticks = 100; });
  cluster.elect(1);
  cluster.member(1).disk_held = true;
  cluster.propose(1, "a");
  cluster.tick_all(90);
  CHECK_EQUAL(1, cluster.leader());
  cluster.tick_all(100);
  CHECK(cluster.leader() != 1);
}

// The followers answer heartbeats, and their disks hang: the leader has its quorum and commits nothing.
TEST(Election, C13_a_leader_that_commits_nothing_steps_down) {
  Cluster cluster(3);
  cluster.elect(1);
  const Term term = cluster.core(1).term();
  cluster.member(2).disk_held = cluster.member(3).disk_held = true;
  cluster.tick_all(1000);  // nothing waits
  CHECK_EQUAL(term, cluster.core(1).term());
  CHECK_EQUAL(1, cluster.leader());
  cluster.propose(1, "a");
  cluster.tick_all(100);
  CHECK_EQUAL(1, cluster.leader());
  cluster.tick_all(400);
  CHECK(cluster.core(1).role() != Role::kLeader || cluster.core(1).term() > term);
}

TEST(Election, C13_a_leader_whose_followers_store_a_little_from_time_to_time_goes_on) {
  Cluster cluster(3);
  cluster.elect(1);
  const Term term = cluster.core(1).term();
  cluster.member(2).disk_held = cluster.member(3).disk_held = true;
  cluster.propose(1, "a");
  for (int i = 0; i < 10; i++) {
    cluster.tick_all(100);
    cluster.core(1).heard_from(2);  // a part of something long
  }
  CHECK_EQUAL(term, cluster.core(1).term());
  CHECK(cluster.core(1).role() == Role::kLeader);
}

TEST(Election, a_standby_that_hears_nothing_knows_no_leader) {
  Cluster cluster(3);
  cluster.set_first_role(3, MemberRole::kStandby);
  cluster.elect(1);
  cluster.tick_all(100);
  CHECK_EQUAL(1, cluster.core(3).leader());
  cluster.isolate(3);
  const Term term = cluster.core(3).term();
  cluster.tick_silently(3, 45);
  CHECK_EQUAL(0, cluster.core(3).leader());
  CHECK_EQUAL(term, cluster.core(3).term());
  cluster.heal();
  cluster.tick_all(10);
  CHECK_EQUAL(1, cluster.core(3).leader());
}

TEST(Election, M9_a_removed_member_does_not_campaign_once_it_knows) {
  Cluster cluster(3, 100);
  cluster.elect(1);
  CHECK(cluster.core(1).remove_member(3).is_ok());
  cluster.collect(cluster.member(1));
  cluster.settle();
  CHECK(cluster.core(3).configuration().find(3) == nullptr);
  CHECK(cluster.core(3).commit_index() >= 102);
  cluster.tick_silently(3, 300);
  CHECK(cluster.core(3).role() == Role::kFollower);
}

TEST(Election, M9_a_removed_member_that_does_not_know_disturbs_nobody) {
  Cluster cluster(3, 100);
  cluster.elect(1);
  cluster.isolate(3);
  CHECK(cluster.core(1).remove_member(3).is_ok());
  cluster.collect(cluster.member(1));
  cluster.settle();
  cluster.tick_all(50);
  cluster.heal();
  const Term term = cluster.core(1).term();
  cluster.tick_all(200);
  CHECK_EQUAL(term, cluster.core(1).term());
  CHECK_EQUAL(1, cluster.leader());
  // Its requests are not even answered, whatever they claim.
  cluster.drop_all();
  cluster.deliver(vote_request(3, 2, term + 9, {900, term}, false, true));
  cluster.pump(2);
  CHECK_EQUAL(0, votes_in_flight(cluster, false).size());
  CHECK_EQUAL(term, cluster.core(2).term());
}

TEST(Election, a_member_whose_removal_is_not_committed_may_be_needed_and_campaigns) {
  // The leader of {1, 2} removes itself and crashes before anybody hears of it. Only its own log holds the
  // change, which needs nobody's vote but member 2's: member 2 cannot win against the longer log.
  Cluster cluster(2, 100);
  cluster.elect(1);
  cluster.isolate(1);
  CHECK(cluster.core(1).remove_member(1).is_ok());
  cluster.collect(cluster.member(1));
  cluster.pump(1);
  cluster.crash(1);
  cluster.restart(1);
  cluster.drop_all();
  cluster.heal();
  CHECK(cluster.core(1).configuration().find(1) == nullptr);
  for (int i = 0; i < 300 && cluster.core(2).configuration().find(1) != nullptr; i++) cluster.tick_all();
  for (int i = 0; i < 300 && cluster.leader() != 2; i++) cluster.tick_all();
  CHECK_EQUAL(2, cluster.leader());
  CHECK(cluster.core(2).configuration().find(1) == nullptr);
}

TEST(Election, a_node_stuck_at_a_higher_term_is_freed_by_its_own_answer) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.crash(3);
  cluster.member(3).disk.hard_state = {50, 3};  // campaigned, was durable, and was never heard
  cluster.restart(3);
  cluster.tick_all(300);
  CHECK(cluster.leader() != 0);
  CHECK(cluster.core(cluster.leader()).term() > 50);
  CHECK_EQUAL(cluster.leader(), cluster.core(3).leader());
}

TEST(Election, B13_bytes_of_an_unfinished_message_count_as_contact) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.isolate(1);
  for (int i = 0; i < 100; i++) {
    cluster.tick(2);
    cluster.core(2).heard_from(1);
  }
  CHECK(cluster.core(2).role() == Role::kFollower);
  CHECK_EQUAL(1, cluster.core(2).leader());
}

TEST(Election, two_leaders_in_one_term_poison_who_sees_it) {
  Cluster cluster(3);
  cluster.deliver({1, 2, 4, AppendRequest{}});
  cluster.deliver({3, 2, 4, AppendRequest{}});
  CHECK(cluster.member(2).poisoned.has_value());
  CHECK(cluster.core(2).take().empty());
}

TEST(Election, D20_a_log_that_lost_committed_entries_poisons_at_the_start) {
  Recovered recovered;
  recovered.hard_state = {3, 0};
  recovered.term_runs = {{1, 1}};
  recovered.last_index = 4;
  recovered.commit = 6;
  Core core({.self = 1}, recovered);
  CHECK(core.take().poisoned.has_value());
  CHECK(core.take().empty());
}

TEST(Election, a_stored_term_below_the_log_poisons_at_the_start) {
  Recovered recovered;
  recovered.hard_state = {2, 0};
  recovered.term_runs = {{1, 3}};
  recovered.last_index = 4;
  Core core({.self = 1}, recovered);
  CHECK(core.take().poisoned.has_value());
}

// --- a member whose disk lost what it had acknowledged (raft.md 5.4) ---

// Members 1 and 3 hold an entry that 2 never got: committed, and then lost by 3.
struct DamagedAcknowledgement : Cluster {
  DamagedAcknowledgement() : Cluster(3) {
    elect(1);
    cut(1, 2);
    committed = propose(1, "on members 1 and 3 only");
    settle();
    CHECK_EQUAL(committed.index, core(1).commit_index());
    crash(3);
    member(3).disk.rot(committed.index);
  }
  EntryId committed;
};

TEST(Election, D3_faulty_node_does_not_vote_until_repaired) {
  DamagedAcknowledgement cluster;
  cluster.crash(1);
  cluster.restart(3);
  CHECK(cluster.core(3).is_mute());
  for (int i = 0; i < 200; i++) cluster.tick_all();
  CHECK_EQUAL(0, cluster.leader());  // member 2 lacks the entry, and no vote of member 3 helps it
  CHECK(cluster.core(2).role() != Role::kLeader && cluster.core(3).role() == Role::kFollower);
  cluster.heal();
  cluster.restart(1);
  for (int i = 0; i < 200 && cluster.core(3).is_mute(); i++) cluster.tick_all();
  CHECK(!cluster.core(3).is_mute());
  CHECK_EQUAL(1, cluster.leader());
  // Its vote is worth one again, and what it knows counts: without member 1 the entry wins.
  cluster.tick_all(5);
  cluster.crash(1);
  for (int i = 0; i < 200 && cluster.leader() == 0; i++) cluster.tick_all();
  CHECK(cluster.leader() != 0);
  CHECK(cluster.core(cluster.leader()).commit_index() >= cluster.committed.index);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Election, C4_D3_a_damaged_member_makes_a_leader_of_before_step_down_and_trusts_only_a_later_one) {
  DamagedAcknowledgement cluster;
  const Term before = cluster.core(1).term();
  cluster.heal();
  cluster.restart(3);
  cluster.tick(1, 3);
  cluster.settle();
  // Member 1 may believe that member 3 has the entry; as a leader of a later term it does not.
  CHECK(cluster.core(1).term() > before);
  for (int i = 0; i < 200 && cluster.core(3).is_mute(); i++) cluster.tick_all();
  CHECK(!cluster.core(3).is_mute());
  CHECK(cluster.core(3).last().term > before);
}

TEST(Election, D3_a_damaged_member_stays_mute_through_a_restart_in_the_middle_of_its_repair) {
  DamagedAcknowledgement cluster;
  cluster.heal();
  cluster.restart(3);
  cluster.member(3).disk_held = true;
  for (int i = 0; i < 200 && cluster.leader() == 0; i++) cluster.tick_all();
  cluster.crash(3);
  cluster.restart(3);
  CHECK(cluster.core(3).is_mute());
}

TEST(Election, D3_a_damaged_member_does_not_campaign_when_it_is_asked_to_or_is_alone) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.crash(3);
  cluster.member(3).disk.rot(1);
  cluster.restart(3);
  const Term term = cluster.core(3).term();
  cluster.deliver({1, 3, term, TimeoutNow{}});
  CHECK(cluster.core(3).role() == Role::kFollower);
  CHECK_EQUAL(term, cluster.core(3).term());

  Cluster alone(1);
  alone.elect(1);
  alone.crash(1);
  alone.member(1).disk.rot(1);
  alone.restart(1);
  alone.tick_all(100);
  CHECK_EQUAL(0, alone.leader());
}

TEST(Election, S1_D3_a_snapshot_of_a_later_leader_repairs_a_damaged_member) {
  DamagedAcknowledgement cluster;
  cluster.heal();
  cluster.restart(3);
  cluster.cut(1, 3);
  cluster.cut(2, 3);
  cluster.core(1).step({3, 1, cluster.core(3).term(), AppendResponse{.rejected = true}});
  cluster.collect(cluster.member(1));
  for (int i = 0; i < 200 && cluster.leader() == 0; i++) cluster.tick_all();
  TestMember& lead = cluster.member(cluster.leader());
  cluster.settle();
  cluster.compact(lead, 0);
  cluster.heal();
  for (int i = 0; i < 200 && cluster.core(3).is_mute(); i++) {
    cluster.tick_all();
    while (!lead.snapshots.empty()) {
      lead.snapshots.pop_back();
      cluster.send_snapshot(lead, 3);
      cluster.settle();
      cluster.finish_install(cluster.member(3), true);
    }
  }
  CHECK(!cluster.core(3).is_mute());
  CHECK_EQUAL(lead.disk.start.last.index, cluster.member(3).disk.start.last.index);
}

}  // namespace dqlite::raft
