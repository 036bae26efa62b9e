// Replication and the commit rule: scenarios R1 … R14.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

std::vector<Message> answers(const Cluster& cluster, NodeId from) {
  return cluster.in_flight(
      [=](const Message& m) { return m.from == from && std::holds_alternative<AppendResponse>(m.body); });
}

AppendResponse last_answer(const Cluster& cluster, NodeId from) {
  const auto sent = answers(cluster, from);
  if (sent.empty()) FAIL("the member has not answered");
  return std::get<AppendResponse>(sent.back().body);
}

size_t entry_count(const Message& message) {
  const auto* request = std::get_if<AppendRequest>(&message.body);
  return request == nullptr ? 0 : request->entries.size();
}

}  // namespace

TEST_GROUP(Replication){};

TEST(Replication, R1_the_logs_of_figure_7_converge) {
  Cluster cluster(7);
  cluster.set_log(1, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6}, 7);        // the leader to be
  cluster.set_log(2, {1, 1, 1, 4, 4, 5, 5, 6, 6}, 7);           // (a)
  cluster.set_log(3, {1, 1, 1, 4}, 7);                          // (b)
  cluster.set_log(4, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}, 7);     // (c)
  cluster.set_log(5, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, 7);  // (d)
  cluster.set_log(6, {1, 1, 1, 4, 4, 4, 4}, 7);                 // (e)
  cluster.set_log(7, {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}, 7);     // (f)
  cluster.elect(1);
  cluster.tick_all(5);
  const std::string expected = "1 1 1 4 4 5 5 6 6 6 " + std::to_string(cluster.core(1).term());
  for (NodeId id = 1; id <= 7; id++) {
    STRCMP_EQUAL(expected.c_str(), cluster.log_of(id).c_str());
    CHECK_EQUAL(11, cluster.core(id).commit_index());
    CHECK_EQUAL(11, cluster.core(id).applied_index());
  }
}

// Figure 8: an command_entry of an old term is on a majority and is overwritten all the same. Nobody may have
// committed it.
TEST(Replication, R2_figure_8_an_entry_of_an_old_term_is_not_committed_by_count) {
  Cluster cluster(5);
  cluster.set_options([](CoreOptions& options) { options.max_message_bytes = 1; });
  cluster.set_log(1, {1, 2}, 2);
  cluster.set_log(2, {1, 2}, 2);
  cluster.set_log(3, {1}, 3);
  cluster.set_log(4, {1}, 3);
  cluster.set_log(5, {1, 3}, 3);
  // (c) Member 1 leads term 4 and spreads command_entry 2/2 to member 3, but nothing of its own term.
  cluster.crash(5);
  cluster.lose = [&](const Message& m) {
    const auto* request = std::get_if<AppendRequest>(&m.body);
    const bool would_fit = request != nullptr && request->previous.index <= cluster.core(m.to).last().index;
    return would_fit && !request->entries.empty() && request->entries.back().index > 2;
  };
  cluster.elect(1);
  cluster.tick_all(4);
  STRCMP_EQUAL("1 2", cluster.log_of(3).c_str());
  CHECK_EQUAL(2, cluster.core(1).peers()[2].match);
  CHECK_EQUAL(0, cluster.core(1).commit_index());
  // (d) Member 1 crashes; member 5 is elected and overwrites command_entry 2.
  cluster.crash(1);
  cluster.restart(5);
  cluster.lose = nullptr;
  for (NodeId id : {2, 3, 4}) cluster.core(id).set_may_campaign(false);
  for (int i = 0; i < 300 && cluster.leader() != 5; i++) cluster.tick_all();
  CHECK_EQUAL(5, cluster.leader());
  cluster.tick_all(5);
  CHECK_EQUAL(3, cluster.core(3).log_start_at(2).value().last.term);
  CHECK_EQUAL(3, cluster.core(2).commit_index());
}

TEST(Replication, R3_the_noop_commits_the_entries_of_old_terms) {
  Cluster cluster(3);
  cluster.set_log(1, {1, 1, 2}, 2);
  cluster.set_log(2, {1, 1}, 2);
  cluster.set_log(3, {1}, 2);
  cluster.elect(1);
  CHECK_EQUAL(4, cluster.core(1).commit_index());
  cluster.tick_all(3);
  CHECK_EQUAL(4, cluster.core(3).applied_index());
}

TEST(Replication, R4_append_is_idempotent_under_repetition_and_reordering) {
  Cluster cluster(3);
  const Message first = append(1, 2, 1, {0, 0}, {command_entry(1, 1), command_entry(2, 1)});
  const Message second = append(1, 2, 1, {2, 1}, {command_entry(3, 1), command_entry(4, 1)}, 2);
  cluster.deliver(second);  // before what it stands on: refused
  cluster.pump(2);
  CHECK(last_answer(cluster, 2).rejected);
  cluster.deliver(first);
  cluster.deliver(second);
  cluster.deliver(first);  // late and old: the newer entries stay
  cluster.deliver(second);
  cluster.pump(2);
  STRCMP_EQUAL("1 1 1 1", cluster.log_of(2).c_str());
  CHECK_EQUAL(2, cluster.core(2).commit_index());
  CHECK_FALSE(last_answer(cluster, 2).rejected);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Replication, R5_follower_commit_is_min_of_leader_commit_and_prev_plus_n) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1, 1}, 1);
  // The leader of term 2 has committed 5 entries, but has shown only the first two to be its own.
  cluster.deliver(append(1, 2, 2, {2, 1}, {}, 5));
  CHECK_EQUAL(2, cluster.core(2).commit_index());
  cluster.deliver(append(1, 2, 2, {2, 1}, {command_entry(3, 2)}, 5));
  CHECK_EQUAL(3, cluster.core(2).commit_index());
  STRCMP_EQUAL("1 1 2", cluster.log_of(2).c_str());
}

TEST(Replication, R6_a_committed_entry_is_never_truncated_the_node_is_poisoned_instead) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1}, 1, 3);
  cluster.deliver(append(1, 2, 2, {1, 1}, {command_entry(2, 2)}));
  CHECK(cluster.member(2).poisoned.has_value());
  STRCMP_EQUAL("1 1 1", cluster.log_of(2).c_str());
  cluster.pump(2);
  CHECK_EQUAL(0, answers(cluster, 2).size());
  cluster.deliver(append(1, 2, 2, {3, 1}, {}));
  CHECK_EQUAL(0, answers(cluster, 2).size());
}

TEST(Replication, R6_a_previous_entry_that_differs_below_the_commit_index_poisons_too) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1}, 1, 3);
  cluster.deliver(append(1, 2, 3, {2, 2}, {}));
  CHECK(cluster.member(2).poisoned.has_value());
}

TEST(Replication, R7_fast_backup_takes_one_probe_per_term) {
  Cluster cluster(2);
  std::vector<Term> leaders(10, 1);
  leaders.insert(leaders.end(), 300, 9);
  std::vector<Term> followers(10, 1);
  for (Term term = 2; term <= 5; term++) followers.insert(followers.end(), 100, term);
  cluster.set_options([](CoreOptions& options) { options.max_message_bytes = 1; });
  cluster.set_log(1, leaders, 9);
  cluster.set_log(2, followers, 9);
  int refused = 0;
  cluster.lose = [&](const Message& m) {
    const auto* response = std::get_if<AppendResponse>(&m.body);
    refused += response != nullptr && response->rejected ? 1 : 0;
    return false;
  };
  cluster.elect(1);
  cluster.tick_all(3);
  CHECK_EQUAL(311, cluster.core(2).commit_index());
  CHECK(refused <= 5);
}

TEST(Replication, R8_a_full_window_of_which_everything_was_lost_recovers) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.max_inflight_messages = 4; });
  cluster.elect(1);
  for (int i = 0; i < 10; i++) {
    cluster.propose(1, "a");
    cluster.pump(1);
  }
  const auto sent = cluster.in_flight([](const Message& m) { return m.to == 2 && entry_count(m) > 0; });
  CHECK_EQUAL(4, sent.size());
  cluster.drop_all();
  cluster.tick_all(10);
  CHECK_EQUAL(11, cluster.core(2).applied_index());
  CHECK_EQUAL(11, cluster.core(3).applied_index());
}

TEST(Replication, R9_the_byte_window_limits_what_is_in_flight) {
  Cluster cluster(2);
  cluster.set_options([](CoreOptions& options) {
    options.max_inflight_bytes = 1000;
    options.max_message_bytes = 300;
  });
  cluster.elect(1);
  for (int i = 0; i < 50; i++) cluster.core(1).propose({.id = 1, .payload = command(std::string(100, 'x'))});
  cluster.collect(cluster.member(1));
  size_t bytes = 0;
  for (const Message& m : cluster.network) {
    for (const Entry& e : std::get<AppendRequest>(m.body).entries) bytes += e.size_bytes();
  }
  CHECK(bytes >= 1000 && bytes < 1300);
  cluster.settle();
  CHECK_EQUAL(51, cluster.core(1).commit_index());
}

// The disk's answer for entries that were truncated meanwhile must not count for those that came after with
// the same index and term.
TEST(Replication, R10_async_append_aba_a_late_completion_is_not_taken_for_the_new_entries) {
  Cluster cluster(5);
  TestMember& m = cluster.member(2);
  m.disk_held = true;
  cluster.deliver(append(1, 2, 1, {0, 0}, {command_entry(1, 1, "a"), command_entry(2, 1, "b")}));
  cluster.deliver(append(3, 2, 2, {0, 0}, {command_entry(1, 2, "c")}));
  cluster.deliver(append(4, 2, 3, {0, 0},
                         {command_entry(1, 1, "a"), command_entry(2, 1, "b"), command_entry(3, 3, "d")}));
  cluster.write_one(m);  // the first a, b: but the disk will truncate them next
  CHECK_EQUAL(0, cluster.core(2).durable_index());
  for (const Message& answer : answers(cluster, 2)) CHECK(answer.term < 3);
  while (cluster.write_one(m)) {
  }
  CHECK_EQUAL(3, cluster.core(2).durable_index());
  CHECK_EQUAL(3, last_answer(cluster, 2).match);
  CHECK_EQUAL(3, answers(cluster, 2).back().term);
  STRCMP_EQUAL("", cluster.observer.violation.c_str());
}

TEST(Replication, R10_an_acknowledgement_of_an_older_term_is_ignored) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.isolate(1);
  cluster.propose(1, "a");
  const Term term = cluster.core(1).term();
  for (NodeId id : {2, 3}) {
    cluster.core(1).step({id, 1, term - 1, AppendResponse{false, 2, {}, 2, 0}});
    cluster.collect(cluster.member(1));
  }
  CHECK_EQUAL(1, cluster.core(1).commit_index());
}

TEST(Replication, an_acknowledgement_of_what_the_leader_never_had_poisons_it) {
  Cluster cluster(3);
  cluster.elect(1);
  const Index last = cluster.core(1).last().index;
  const Term term = cluster.core(1).term();
  cluster.deliver({2, 1, term, AppendResponse{false, last + 1, {}, last + 1, 0}});
  CHECK(cluster.member(1).poisoned.has_value());
  CHECK(cluster.member(1).poisoned->sentence().find("member 2 acknowledges") != std::string::npos);
}

TEST(Replication, an_acknowledgement_leaves_only_when_the_entries_are_durable) {
  Cluster cluster(3);
  cluster.member(2).disk_held = true;
  cluster.deliver(append(1, 2, 1, {0, 0}, {command_entry(1, 1)}));
  CHECK_EQUAL(0, answers(cluster, 2).size());
  // A repetition is no way around the disk.
  cluster.deliver(append(1, 2, 1, {0, 0}, {command_entry(1, 1)}));
  CHECK_EQUAL(0, answers(cluster, 2).size());
  while (cluster.write_one(cluster.member(2))) {
  }
  CHECK_EQUAL(1, last_answer(cluster, 2).match);
}

TEST(Replication, D19_a_follower_answers_heartbeats_while_its_disk_is_busy) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(2).disk_held = true;
  cluster.propose(1, "a");
  cluster.tick_all(2);
  cluster.drop_all();
  cluster.tick(1, 2);
  for (const Message& m : std::deque<Message>(cluster.network)) cluster.deliver(m);
  CHECK_EQUAL(1, last_answer(cluster, 2).match);
}

TEST(Replication, R11_a_quorum_without_the_leaders_disk_commits_but_the_leader_applies_later) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(1).disk_held = true;
  cluster.propose(1, "a");
  cluster.settle();
  CHECK_EQUAL(2, cluster.core(1).commit_index());
  CHECK_EQUAL(1, cluster.core(1).applied_index());
  cluster.tick_all(3);
  CHECK_EQUAL(2, cluster.core(2).applied_index());
  cluster.member(1).disk_held = false;
  cluster.settle();
  CHECK_EQUAL(2, cluster.core(1).applied_index());
}

TEST(Replication, R12_proposals_over_the_uncommitted_limit_are_refused_for_a_time) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.max_uncommitted_bytes = 250; });
  cluster.elect(1);
  cluster.isolate(1);
  const std::string large(100, 'x');
  cluster.propose(1, large);
  cluster.propose(1, large);
  const Status refused = cluster.try_propose(1, {.id = 3, .payload = command(large)});
  CHECK(refused.code() == Code::kBusy);
  CHECK(failure_class(refused.code()) == FailureClass::kTemporary);
  CHECK_EQUAL(3, cluster.core(1).last().index);
  cluster.heal();
  cluster.tick_all(5);
  cluster.propose(1, large);
  // A single one is never too large by itself.
  cluster.settle();
  cluster.propose(1, std::string(1000, 'x'));
}

TEST(Replication, R13_entries_that_are_not_contiguous_are_rejected) {
  Cluster cluster(3);
  const std::vector<std::vector<Entry>> bad = {
      {command_entry(2, 1)},                       // not behind `previous`
      {command_entry(1, 1), command_entry(3, 1)},  // a gap
      {command_entry(1, 2), command_entry(2, 1)},  // terms descend
      {command_entry(1, 5)},                       // newer than its sender
      {command_entry(1, 0)},                       // of no term
  };
  for (const auto& entries : bad) {
    cluster.drop_all();
    cluster.deliver(append(1, 2, 4, {0, 0}, entries, 9));
    cluster.pump(2);
    CHECK(last_answer(cluster, 2).rejected);
    CHECK_EQUAL(0, cluster.core(2).last().index);
    CHECK_EQUAL(0, cluster.core(2).commit_index());
  }
}

TEST(Replication, R14_a_slow_follower_does_not_slow_the_commit) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(3).disk_held = true;
  for (int i = 0; i < 5; i++) {
    cluster.propose(1, "a");
    cluster.settle();
  }
  CHECK_EQUAL(6, cluster.core(1).commit_index());
  cluster.member(3).disk_held = false;
  cluster.tick_all(5);
  CHECK_EQUAL(6, cluster.core(3).applied_index());
}

TEST(Replication, a_standbys_copy_does_not_count_for_the_commit) {
  Cluster cluster(3);
  cluster.set_first_role(3, MemberRole::kStandby);
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.cut(1, 2);
  const EntryId entry = cluster.propose(1, "a");
  cluster.settle();
  CHECK_EQUAL(entry.index, cluster.core(3).last().index);
  CHECK(cluster.core(1).commit_index() < entry.index);
  cluster.heal();
  cluster.tick_all(5);
  CHECK_EQUAL(entry.index, cluster.core(3).commit_index());
}

TEST(Replication, many_proposals_share_one_message_and_one_write) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(1).disk_held = true;
  for (int i = 0; i < 20; i++) cluster.core(1).propose({.id = 1, .payload = command("a")});
  cluster.collect(cluster.member(1));
  CHECK_EQUAL(1, cluster.member(1).writes.size());
  CHECK_EQUAL(20, cluster.member(1).writes.front().entries.size());
  CHECK_EQUAL(2, cluster.network.size());
}

TEST(Replication, followers_learn_the_commit_index_without_waiting_for_a_heartbeat) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.propose(1, "a");
  cluster.settle();
  for (NodeId id = 1; id <= 3; id++) CHECK_EQUAL(2, cluster.core(id).applied_index());
}

TEST(Replication, a_commit_can_wait_for_the_next_entries_or_until_it_is_asked_for) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.waits_to_tell_commit = true; });
  cluster.elect(1);
  const EntryId first = cluster.propose(1, "a");
  cluster.settle();
  CHECK_EQUAL(first.index, cluster.core(1).commit_index());
  CHECK(cluster.core(2).commit_index() < first.index);
  CHECK_TRUE(cluster.core(1).has_commit_to_tell());
  const EntryId second = cluster.propose(1, "b");  // carries it
  cluster.settle();
  CHECK_EQUAL(first.index, cluster.core(2).commit_index());
  cluster.core(1).tell_commit();
  cluster.collect(cluster.member(1));
  cluster.settle();
  CHECK_EQUAL(second.index, cluster.core(2).commit_index());
  CHECK_EQUAL(second.index, cluster.core(3).commit_index());
  CHECK_FALSE(cluster.core(1).has_commit_to_tell());
  const EntryId third = cluster.propose(1, "c");
  cluster.settle();
  cluster.tick_all(3);  // and heartbeats do
  CHECK_EQUAL(third.index, cluster.core(3).commit_index());
}

TEST(Replication, A2_every_write_carries_the_commit_index_known_then) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.propose(1, "a");
  cluster.settle();
  cluster.member(1).disk_held = true;
  cluster.propose(1, "b");
  CHECK_EQUAL(2, cluster.member(1).writes.front().commit);
}

TEST(Replication, a_follower_below_the_cache_gets_entries_read_from_the_log) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.cache_bytes = 0; });
  cluster.elect(1);
  cluster.isolate(3);
  for (int i = 0; i < 5; i++) {
    cluster.propose(1, "a");
    cluster.settle();
  }
  CHECK_EQUAL(0, cluster.core(1).cached(2, 6).size());
  cluster.heal();
  for (int i = 0; i < 20; i++) {
    cluster.tick(1);
    CHECK(cluster.member(1).log_reads.size() <= 1);  // one outstanding for one peer
    cluster.settle();
  }
  CHECK(cluster.member(1).log_reads_asked > 0);
  cluster.tick_all(5);
  CHECK_EQUAL(6, cluster.core(3).applied_index());
}

TEST(Replication, an_unreadable_log_is_asked_again_later_and_not_in_a_loop) {
  Cluster cluster(2);
  cluster.set_log(1, {1, 1, 1}, 1);
  TestMember& leader = cluster.member(1);
  cluster.time_out(1);
  for (int i = 0; i < 10 && leader.log_reads.empty(); i++) {
    while (cluster.write_one(leader) || cluster.write_one(cluster.member(2))) {
    }
    const auto messages = cluster.network;
    cluster.drop_all();
    for (const Message& m : messages) cluster.deliver(m);
  }
  CHECK_EQUAL(1, leader.log_reads.size());
  leader.log_reads.clear();
  leader.core->entries_read(2, {});
  cluster.collect(leader);
  CHECK_EQUAL(0, leader.log_reads.size());
  cluster.tick(1, leader.options.heartbeat_ticks);
  CHECK_EQUAL(1, leader.log_reads.size());
  cluster.settle();
  CHECK_EQUAL(4, cluster.core(2).last().index);
}

TEST(Replication, what_is_not_handed_out_to_be_applied_stays_in_memory_whatever_the_cache_size) {
  Cluster cluster(1);
  cluster.set_options([](CoreOptions& options) { options.cache_bytes = 0; });
  cluster.elect(1);
  TestMember& m = cluster.member(1);
  m.apply_held = m.disk_held = true;
  for (int i = 0; i < 5; i++) cluster.propose(1, "a");
  CHECK_EQUAL(5, m.core->cached(2, 6).size());
  for (Index index = 2; index <= 6; index++) {
    CHECK(cluster.write_one(m));
    CHECK_EQUAL(index, m.apply_to);
    // Until the next input, so that the driver can take it from here.
    CHECK_EQUAL(6 - index + 1, m.core->cached(index, 6).size());
  }
  m.apply_held = m.disk_held = false;
  cluster.settle();
  CHECK_EQUAL(6, m.core->applied_index());
  CHECK_EQUAL(0, m.core->cached(2, 6).size());
}

TEST(Replication, a_restarted_member_applies_what_is_known_to_be_committed_and_no_more) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1}, 1, 2);
  CHECK_EQUAL(2, cluster.member(2).apply_to);
  cluster.pump(2);
  CHECK_EQUAL(2, cluster.core(2).applied_index());
}

TEST(Replication, what_the_state_machine_brought_along_is_committed) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1}, 1, 2);
  Core core(cluster.member(2).options, cluster.member(2).disk.recovered());
  core.applied(3);
  CHECK_EQUAL(3, core.commit_index());
  CHECK_EQUAL(0, core.take().apply_to);
  core.applied(4);  // later it is a mistake
  CHECK(core.take().poisoned.has_value());
}

TEST(Replication, B16_a_configuration_of_an_unknown_version_stops_the_node) {
  Cluster cluster(3);
  Bytes future = encode(cluster.first_configuration);
  future[0] = 9;
  Entry unknown{1, 1, EntryKind::kConfiguration, std::make_shared<const Bytes>(future)};
  cluster.deliver(append(1, 2, 1, {0, 0}, {unknown}));
  CHECK(cluster.member(2).poisoned->code() == Code::kUnsupported);
  CHECK_EQUAL(0, cluster.core(2).last().index);
}

TEST(Replication, R15_heartbeats_stop_when_the_oldest_write_is_older_than_an_election_timeout) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.member(1).disk_held = true;
  cluster.propose(1, "a");
  cluster.drop_all();
  cluster.tick(1, 20);
  CHECK(cluster.network.size() >= 2);
  for (NodeId id : {2, 3}) cluster.core(1).heard_from(id);
  cluster.drop_all();
  cluster.tick(1, 5);
  cluster.propose(1, "b");
  CHECK_EQUAL(0, cluster.network.size());
}

TEST(Replication, entries_handed_to_a_state_machine_that_lags_leave_the_memory) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.cache_bytes = 2000; });
  cluster.member(1).apply_held = true;
  cluster.member(2).apply_held = true;
  cluster.elect(1);
  const std::string text(100, 'x');
  for (int i = 0; i < 100; i++) {
    cluster.propose(1, text);
    cluster.settle();
  }
  for (const NodeId id : {NodeId{1}, NodeId{2}}) {
    CHECK_EQUAL(0, cluster.core(id).applied_index());
    CHECK_EQUAL(101, cluster.core(id).commit_index());
    CHECK_EQUAL(0, cluster.core(id).cached(1, 80).size());
    CHECK_EQUAL(1, cluster.core(id).cached(101, 101).size());
  }
  // What left the leader's memory was counted as committed before.
  cluster.member(1).apply_held = false;
  cluster.member(2).apply_held = false;
  cluster.settle();
  CHECK_EQUAL(101, cluster.core(1).applied_index());
}

}  // namespace dqlite::raft
