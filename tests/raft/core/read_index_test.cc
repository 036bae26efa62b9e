// ReadIndex: scenarios Q1 … Q5, A7.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

void read(Cluster& cluster, NodeId id, uint64_t read_id, Term term = 0) {
  cluster.core(id).read(read_id, term);
  cluster.collect(cluster.member(id));
}

bool is_question(const Message& message) {
  return std::holds_alternative<ReadRequest>(message.body);
}

bool is_answer(const Message& message) {
  return std::holds_alternative<ReadResponse>(message.body);
}

}  // namespace

TEST_GROUP(ReadIndex){};

TEST(ReadIndex, Q1_read_after_write_on_the_leader) {
  Cluster cluster(3);
  cluster.elect(1);
  const EntryId entry = cluster.propose(1, "a");
  cluster.settle();
  read(cluster, 1, 5);
  CHECK_EQUAL(0, cluster.member(1).reads.size());  // not before a majority answered
  cluster.settle();
  CHECK_EQUAL(1, cluster.member(1).reads.size());
  CHECK_EQUAL(5, cluster.member(1).reads[0].id);
  CHECK(cluster.member(1).reads[0].status.is_ok());
  CHECK_EQUAL(entry.index, cluster.member(1).reads[0].index);
}

TEST(ReadIndex, Q2_a_new_leader_waits_for_a_commit_of_its_own_term) {
  Cluster cluster(3);
  cluster.set_log(1, {1, 1}, 1);
  cluster.set_log(2, {1, 1}, 1);
  cluster.set_log(3, {1, 1}, 1);
  cluster.lose = [](const Message& m) { return std::holds_alternative<AppendRequest>(m.body); };
  for (int i = 0; i < 100 && cluster.core(1).role() != Role::kLeader; i++) {
    cluster.tick(1);
    cluster.settle();
  }
  read(cluster, 1, 5);
  cluster.settle();
  CHECK_EQUAL(0, cluster.member(1).reads.size());
  cluster.lose = nullptr;
  cluster.tick_all(5);
  CHECK_EQUAL(1, cluster.member(1).reads.size());
  CHECK_EQUAL(3, cluster.member(1).reads[0].index);
}

TEST(ReadIndex, Q2_a_cluster_of_one_waits_too) {
  Cluster cluster(1);
  cluster.set_log(1, {1, 1}, 1);
  cluster.member(1).disk_held = true;
  cluster.tick(1);
  cluster.write_one(cluster.member(1));  // the vote: it leads, its no-op is not durable
  CHECK(cluster.core(1).role() == Role::kLeader);
  read(cluster, 1, 5);
  CHECK_EQUAL(0, cluster.member(1).reads.size());
  while (cluster.write_one(cluster.member(1))) {
  }
  CHECK_EQUAL(3, cluster.member(1).reads[0].index);
  read(cluster, 1, 6);
  CHECK_EQUAL(2, cluster.member(1).reads.size());
}

TEST(ReadIndex, Q3_a_deposed_and_paused_leader_gives_no_stale_read) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  // An answer of an earlier round is on its way while member 1 is paused and another leader commits.
  read(cluster, 1, 4);
  cluster.settle();
  CHECK_EQUAL(1, cluster.member(1).reads.size());
  cluster.isolate(1);
  for (int i = 0; i < 100; i++) {
    cluster.tick(2);
    cluster.tick(3);
    cluster.settle();
  }
  const NodeId next = cluster.leader();
  CHECK(next != 1 && cluster.core(1).role() == Role::kLeader);
  cluster.propose(next, "new");
  cluster.settle();
  // It wakes up, still thinks that it leads, and is asked.
  read(cluster, 1, 5);
  CHECK(cluster.core(1).role() == Role::kLeader);
  const uint64_t old_round = 1;
  for (NodeId id : {2, 3}) {
    cluster.core(1).step({id, 1, cluster.core(1).term(), AppendResponse{false, 1, {}, 1, old_round}});
    cluster.collect(cluster.member(1));
  }
  CHECK_EQUAL(1, cluster.member(1).reads.size());
  cluster.heal();
  cluster.tick_all(5);
  CHECK_EQUAL(2, cluster.member(1).reads.size());
  CHECK(cluster.member(1).reads[1].status.code() == Code::kNotLeader);
}

TEST(ReadIndex, Q4_every_read_waits_for_a_round_begun_after_it) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  read(cluster, 1, 5);
  const auto first = cluster.network;
  read(cluster, 1, 6);
  cluster.drop_all();
  for (const Message& m : first) cluster.deliver(m);
  cluster.settle();
  CHECK_EQUAL(1, cluster.member(1).reads.size());
  CHECK_EQUAL(5, cluster.member(1).reads[0].id);
  // The lost round is repeated with the next heartbeat.
  cluster.tick_all(3);
  CHECK_EQUAL(2, cluster.member(1).reads.size());
}

TEST(ReadIndex, reads_that_come_together_share_one_round) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  for (uint64_t id = 1; id <= 10; id++) cluster.core(1).read(id, 0);
  cluster.collect(cluster.member(1));
  CHECK_EQUAL(2, cluster.network.size());
  cluster.settle();
  CHECK_EQUAL(10, cluster.member(1).reads.size());
}

TEST(ReadIndex, A7_a_read_in_a_term_that_is_not_led_any_more_fails_at_once) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  const Term term = cluster.core(1).term();
  read(cluster, 1, 1, term);
  cluster.settle();
  CHECK(cluster.member(1).reads.back().status.is_ok());
  read(cluster, 1, 2, term + 1);
  CHECK(cluster.member(1).reads.back().status.code() == Code::kNotLeader);
  read(cluster, 2, 3, term);
  CHECK(cluster.member(2).reads.back().status.code() == Code::kNotLeader);
}

TEST(ReadIndex, Q5_follower_read_index_forwarded) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  const EntryId entry = cluster.propose(1, "a");
  cluster.settle();
  read(cluster, 2, 5);
  read(cluster, 2, 6);
  CHECK_EQUAL(0, cluster.member(2).reads.size());
  cluster.settle();
  CHECK_EQUAL(2, cluster.member(2).reads.size());
  CHECK(cluster.member(2).reads[0].status.is_ok());
  CHECK_EQUAL(entry.index, cluster.member(2).reads[0].index);
  CHECK_EQUAL(0, cluster.member(1).reads.size());
}

TEST(ReadIndex, Q5_reads_that_come_together_share_one_question) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  for (uint64_t id = 1; id <= 10; id++) cluster.core(2).read(id, 0);
  cluster.collect(cluster.member(2));
  CHECK_EQUAL(1, cluster.in_flight(is_question).size());
  cluster.settle();
  CHECK_EQUAL(10, cluster.member(2).reads.size());
}

TEST(ReadIndex, Q4_retry_uses_new_round_id) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  // The first answer is late, and meanwhile something is committed that the answer knows nothing of.
  read(cluster, 2, 5);
  std::vector<Message> late;
  cluster.lose = [&](const Message& m) {
    if (!is_answer(m)) return false;
    late.push_back(m);
    return true;
  };
  cluster.settle();
  CHECK_EQUAL(1, late.size());
  cluster.tick_all(1);
  const EntryId newer = cluster.propose(1, "newer");
  cluster.settle();
  // The question is asked again, and a second read joins it.
  read(cluster, 2, 6);
  cluster.tick_all(3);
  cluster.lose = nullptr;
  cluster.drop_all();
  cluster.deliver(late.front());
  CHECK_EQUAL(0, cluster.member(2).reads.size());
  cluster.tick_all(3);
  CHECK_EQUAL(2, cluster.member(2).reads.size());
  for (const ReadOutcome& outcome : cluster.member(2).reads) CHECK_EQUAL(newer.index, outcome.index);
}

TEST(ReadIndex, Q5_an_answer_to_an_earlier_life_confirms_nothing) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  std::vector<Message> late;
  cluster.lose = [&](const Message& m) {
    if (!is_answer(m)) return false;
    late.push_back(m);
    return true;
  };
  read(cluster, 2, 5);
  cluster.settle();
  CHECK_EQUAL(1, late.size());
  cluster.crash(2);
  cluster.restart(2);
  cluster.tick_all(3);
  cluster.propose(1, "newer");
  read(cluster, 2, 5);
  cluster.settle();
  cluster.lose = nullptr;
  cluster.deliver(late.front());
  CHECK_EQUAL(0, cluster.member(2).reads.size());
  cluster.deliver(late.back());
  CHECK_EQUAL(1, cluster.member(2).reads.size());
}

TEST(ReadIndex, Q5_a_leader_that_lost_its_majority_confirms_nothing_and_the_next_one_does) {
  Cluster cluster(5);
  cluster.elect(1);
  cluster.tick_all(3);
  for (NodeId far : {3, 4, 5}) {
    cluster.cut(1, far);
    cluster.cut(2, far);
  }
  read(cluster, 2, 5);
  for (int i = 0; i < 5; i++) {
    cluster.tick_all(1);
    CHECK_EQUAL(0, cluster.member(2).reads.size());
  }
  for (int i = 0; i < 100 && (cluster.leader() == 1 || cluster.leader() == 0); i++) {
    for (NodeId id : {3, 4, 5}) cluster.tick(id);
    cluster.settle();
  }
  const EntryId newer = cluster.propose(cluster.leader(), "newer");
  cluster.settle();
  CHECK_EQUAL(0, cluster.member(2).reads.size());
  cluster.heal();
  cluster.tick_all(8);
  CHECK_EQUAL(1, cluster.member(2).reads.size());
  CHECK(cluster.member(2).reads[0].status.is_ok());
  CHECK(cluster.member(2).reads[0].index >= newer.index);
}

TEST(ReadIndex, Q5_a_read_of_the_next_leader_waits_for_its_own_majority) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(1);
  for (int i = 0; i < 100 && cluster.core(2).role() == Role::kFollower; i++) cluster.tick(2);
  read(cluster, 2, 5);
  CHECK_EQUAL(0, cluster.in_flight(is_question).size());
  for (int i = 0; i < 100 && cluster.core(2).role() != Role::kLeader; i++) {
    cluster.tick_all(1);
  }
  cluster.settle();
  CHECK_EQUAL(1, cluster.member(2).reads.size());
  CHECK(cluster.member(2).reads[0].status.is_ok());
  CHECK(cluster.member(2).reads[0].index == cluster.core(2).last().index);
}

TEST(ReadIndex, Q5_a_read_that_no_leader_confirms_ends) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(2);
  read(cluster, 2, 5);
  for (int i = 0; i < 2 * cluster.member(2).options.election_ticks + 1; i++) cluster.tick(2);
  CHECK_EQUAL(1, cluster.member(2).reads.size());
  CHECK(cluster.member(2).reads[0].status.code() == Code::kNoQuorum);
}

TEST(ReadIndex, Q5_only_a_member_is_answered) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.core(1).step({9, 1, cluster.core(1).term(), ReadRequest{7}});
  cluster.collect(cluster.member(1));
  cluster.tick_all(3);
  CHECK_EQUAL(0, cluster.in_flight(is_answer).size());
}

TEST(ReadIndex, a_standbys_echo_does_not_count) {
  Cluster cluster(3, 100);
  cluster.elect(1);
  CHECK(cluster.core(1).change_role(3, MemberRole::kStandby).is_ok());
  cluster.collect(cluster.member(1));
  cluster.settle();
  cluster.cut(1, 2);
  read(cluster, 1, 5);
  cluster.settle();
  CHECK_EQUAL(0, cluster.member(1).reads.size());
}

TEST(ReadIndex, a_follower_with_a_busy_disk_still_confirms) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.member(2).disk_held = cluster.member(3).disk_held = true;
  cluster.propose(1, "a");
  cluster.settle();
  read(cluster, 1, 5);
  cluster.settle();
  CHECK_EQUAL(1, cluster.member(1).reads.size());
}

TEST(ReadIndex, Q5_who_does_not_lead_answers_no_question) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  const Term term = cluster.core(1).term();
  cluster.deliver({3, 2, term, ReadRequest{77}});
  CHECK(cluster.network.empty());
}

}  // namespace dqlite::raft
