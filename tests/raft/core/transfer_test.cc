// Leadership transfer: scenarios T1 … T6.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

void transfer(Cluster& cluster, NodeId from, NodeId to) {
  cluster.core(from).transfer(to);
  cluster.collect(cluster.member(from));
}

std::vector<Message> timeout_now(const Cluster& cluster) {
  return cluster.in_flight([](const Message& m) { return std::holds_alternative<TimeoutNow>(m.body); });
}

}  // namespace

TEST_GROUP(Transfer){};

TEST(Transfer, T1_to_an_up_to_date_voter_happens_at_once_and_without_prevote) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  bool asked_before = false;
  cluster.lose = [&](const Message& m) {
    const auto* request = std::get_if<VoteRequest>(&m.body);
    asked_before = asked_before || (request != nullptr && request->pre_vote);
    return false;
  };
  transfer(cluster, 1, 2);
  cluster.settle();
  CHECK_EQUAL(2, cluster.leader());
  CHECK(cluster.member(1).transfer->is_ok());
  CHECK_FALSE(asked_before);
}

TEST(Transfer, T2_to_a_lagging_voter_waits_until_it_has_the_log) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(2);
  cluster.propose(1, "a");
  cluster.settle();
  transfer(cluster, 1, 2);
  CHECK_EQUAL(0, timeout_now(cluster).size());
  cluster.tick_all(5);
  CHECK_EQUAL(1, cluster.leader());
  cluster.heal();
  cluster.tick_all(5);
  CHECK_EQUAL(2, cluster.leader());
  CHECK(cluster.member(1).transfer->is_ok());
}

TEST(Transfer, T3_a_dead_target_aborts_after_an_election_timeout) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.crash(2);
  transfer(cluster, 1, 2);
  cluster.tick_all(19);
  CHECK_FALSE(cluster.member(1).transfer.has_value());
  cluster.tick_all(2);
  CHECK(cluster.member(1).transfer->code() == Code::kTimeout);
  CHECK_EQUAL(1, cluster.leader());
  cluster.propose(1, "a");
}

TEST(Transfer, T4_proposals_and_changes_are_refused_meanwhile_and_then_resume) {
  Cluster cluster(3, 100);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(2);
  cluster.propose(1, "a");
  cluster.settle();
  transfer(cluster, 1, 2);
  CHECK(cluster.try_propose(1, {.id = 1, .payload = command("b")}).code() == Code::kBusy);
  CHECK(cluster.core(1).add_member(77, "new:1").status().code() == Code::kBusy);
  cluster.tick_all(25);
  cluster.propose(1, "c");
  CHECK(cluster.core(1).add_member(77, "new:1").is_ok());
}

TEST(Transfer, T5_the_target_cannot_be_removed_during_the_transfer_nor_be_one_that_left) {
  Cluster cluster(3, 100);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(2);
  cluster.propose(1, "a");
  cluster.settle();
  transfer(cluster, 1, 2);
  CHECK(cluster.core(1).remove_member(2).status().code() == Code::kBusy);
  cluster.tick_all(25);
  CHECK(cluster.core(1).remove_member(2).is_ok());
  transfer(cluster, 1, 2);
  CHECK(cluster.member(1).transfer->code() == Code::kRefused);
}

TEST(Transfer, T6_the_old_leader_does_not_vote_twice) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  const Term next = cluster.core(1).term() + 1;
  transfer(cluster, 1, 2);
  cluster.deliver(
      {2, 1, next, VoteRequest{.pre_vote = false, .transfer = true, .last = cluster.core(2).last()}});
  cluster.deliver({3, 1, next, VoteRequest{.pre_vote = false, .transfer = true, .last = {99, next - 1}}});
  cluster.pump(1);
  int granted = 0;
  for (const Message& m : cluster.network) {
    const auto* vote = std::get_if<VoteResponse>(&m.body);
    granted += vote != nullptr && vote->granted ? 1 : 0;
  }
  CHECK_EQUAL(1, granted);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Transfer, a_lost_timeout_now_is_sent_again) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  transfer(cluster, 1, 2);
  CHECK_EQUAL(1, timeout_now(cluster).size());
  cluster.drop_all();
  cluster.tick_all(3);
  CHECK_EQUAL(2, cluster.leader());
}

TEST(Transfer, to_anybody_takes_the_most_up_to_date_voter) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(2);
  cluster.propose(1, "a");
  cluster.settle();
  transfer(cluster, 1, 0);
  cluster.settle();
  CHECK_EQUAL(3, cluster.core(3).leader());
}

TEST(Transfer, refusals_are_told_at_once) {
  Cluster cluster(1);
  cluster.elect(1);
  transfer(cluster, 1, 0);
  CHECK(cluster.member(1).transfer->code() == Code::kRefused);
  transfer(cluster, 1, 9);
  CHECK(cluster.member(1).transfer->code() == Code::kRefused);
  transfer(cluster, 1, 1);
  CHECK(cluster.member(1).transfer->is_ok());
  Cluster follower(3);
  transfer(follower, 1, 2);
  CHECK(follower.member(1).transfer->code() == Code::kNotLeader);
}

TEST(Transfer, B9_a_target_that_may_not_campaign_does_not) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.core(2).set_may_campaign(false);
  transfer(cluster, 1, 2);
  cluster.tick_all(25);
  CHECK_EQUAL(1, cluster.leader());
  CHECK(cluster.member(1).transfer->code() == Code::kTimeout);
}

TEST(Transfer, a_timeout_now_of_an_old_term_is_ignored) {
  Cluster cluster(3);
  cluster.elect(1);
  const Term term = cluster.core(2).term();
  cluster.deliver({1, 2, term - 1, TimeoutNow{}});
  CHECK(cluster.core(2).role() == Role::kFollower);
}

TEST(Transfer, B9_one_that_would_not_lead_is_not_chosen) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.core(2).set_may_campaign(false);
  cluster.tick_all(3);
  transfer(cluster, 1, 2);
  CHECK(cluster.member(1).transfer->code() == Code::kBusy);
  STRCMP_CONTAINS("would not lead now", cluster.member(1).transfer->sentence().c_str());
  cluster.core(3).set_may_campaign(false);
  cluster.tick_all(3);
  transfer(cluster, 1, 0);
  CHECK(cluster.member(1).transfer->code() == Code::kRefused);
  // Nothing was begun.
  cluster.propose(1, "a");
  cluster.core(3).set_may_campaign(true);
  cluster.tick_all(3);
  transfer(cluster, 1, 0);
  cluster.settle();
  CHECK_EQUAL(3, cluster.leader());
  CHECK(cluster.member(1).transfer->is_ok());
}

TEST(Transfer, who_did_not_take_it_over_is_asked_again_after_all_others) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  std::string asked;
  cluster.lose = [&](const Message& m) {
    if (!std::holds_alternative<TimeoutNow>(m.body)) return false;
    if (asked.empty() || asked.back() != static_cast<char>('0' + m.to))
      asked += static_cast<char>('0' + m.to);
    return true;
  };
  for (int i = 0; i < 4; i++) {
    transfer(cluster, 1, 0);
    cluster.tick_all(25);
    CHECK(cluster.member(1).transfer->code() == Code::kTimeout);
  }
  STRCMP_EQUAL("2323", asked.c_str());
}

}  // namespace dqlite::raft
