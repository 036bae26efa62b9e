// Snapshots as the core sees them: S1, S4, S6, S7, S9. The stream itself is the node's.
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

Message chunk(const Cluster& cluster, NodeId from, NodeId to, Term term, EntryId last, bool done = true) {
  SnapshotChunk body;
  body.stream = 1;
  body.last = last;
  body.configuration = encode(cluster.first_configuration);
  body.data = std::make_shared<const Bytes>(8, uint8_t{0});
  body.done = done;
  return {from, to, term, std::move(body)};
}

std::vector<AppendResponse> append_answers(const Cluster& cluster, NodeId from) {
  std::vector<AppendResponse> found;
  for (const Message& m : cluster.network) {
    const auto* response = std::get_if<AppendResponse>(&m.body);
    if (m.from == from && response != nullptr) found.push_back(*response);
  }
  return found;
}

// Three members; the leader's log begins behind what member 3 has.
void leave_behind(Cluster& cluster) {
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.isolate(3);
  for (int i = 0; i < 10; i++) cluster.propose(1, "a");
  cluster.settle();
  cluster.compact(cluster.member(1), 2);
  cluster.heal();
}

}  // namespace

TEST_GROUP(Snapshot){};

TEST(Snapshot, S1_a_lagging_follower_gets_a_snapshot_and_then_the_log) {
  Cluster cluster(3);
  leave_behind(cluster);
  cluster.tick_all(10);
  CHECK_EQUAL(11, cluster.core(3).applied_index());
  CHECK_EQUAL(11, cluster.member(3).disk.start.last.index);
  cluster.propose(1, "b");
  cluster.settle();
  CHECK_EQUAL(12, cluster.core(3).applied_index());
  CHECK_EQUAL(1, cluster.member(3).log.size());
}

TEST(Snapshot, none_is_asked_for_a_follower_that_does_not_answer) {
  Cluster cluster(3);
  leave_behind(cluster);
  cluster.isolate(3);
  for (int i = 0; i < 60; i++) {
    cluster.tick(1);
    cluster.tick(2);
    cluster.core(1).heard_from(2);
    cluster.collect(cluster.member(1));
  }
  CHECK_EQUAL(0, cluster.member(1).snapshots.size());
  // Also not when its connection is known to be lost, so that the leader looks for the place to go on from.
  cluster.core(1).peer_unreachable(3);
  cluster.collect(cluster.member(1));
  CHECK_EQUAL(0, cluster.member(1).snapshots.size());
  cluster.heal();
  cluster.core(1).heard_from(3);
  cluster.collect(cluster.member(1));
  CHECK_EQUAL(1, cluster.member(1).snapshots.size());
}

TEST(Snapshot, while_one_is_sent_only_heartbeats_go_and_a_failure_tries_again) {
  Cluster cluster(3);
  leave_behind(cluster);
  TestMember& leader = cluster.member(1);
  cluster.cut(1, 2);
  while (leader.snapshots.empty()) {
    cluster.tick(1);
    const auto messages = cluster.network;
    cluster.drop_all();
    for (const Message& m : messages) cluster.deliver(m);
  }
  cluster.drop_all();
  cluster.propose(1, "b");
  cluster.tick(1, 4);
  const auto to_3 = cluster.in_flight([](const Message& m) { return m.to == 3; });
  CHECK(to_3.size() >= 2);
  for (const Message& m : to_3) CHECK_EQUAL(0, std::get<AppendRequest>(m.body).entries.size());
  CHECK_EQUAL(1, leader.snapshots.size());
  leader.core->snapshot_sent(3, {}, false);
  cluster.collect(leader);
  CHECK_EQUAL(1, leader.snapshots.size());  // not at once: first a sign of life, a heartbeat later
  cluster.tick(1, leader.options.heartbeat_ticks);
  cluster.drop_all();
  cluster.deliver(to_3.front());
  for (const Message& m : std::deque<Message>(cluster.network)) cluster.deliver(m);
  CHECK_EQUAL(2, leader.snapshots.size());
}

TEST(Snapshot, an_acknowledgement_resumes_replication_whatever_became_of_the_snapshot) {
  Cluster cluster(3);
  leave_behind(cluster);
  TestMember& leader = cluster.member(1);
  cluster.cut(1, 2);
  while (leader.snapshots.empty()) {
    cluster.tick(1);
    const auto messages = cluster.network;
    cluster.drop_all();
    for (const Message& m : messages) cluster.deliver(m);
  }
  cluster.drop_all();
  leader.core->step({3, 1, leader.core->term(), AppendResponse{false, 10, {}, 10, 0}});
  cluster.collect(leader);
  const auto sent = cluster.in_flight([](const Message& m) { return m.to == 3; });
  CHECK(!sent.empty());
  CHECK_EQUAL(11, std::get<AppendRequest>(sent.front().body).entries.front().index);
}

TEST(Snapshot, S6_one_at_or_below_the_commit_index_is_ignored) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1}, 1, 3);
  cluster.deliver(chunk(cluster, 1, 2, 1, {2, 1}));
  CHECK_FALSE(cluster.member(2).install.has_value());
  CHECK_EQUAL(3, append_answers(cluster, 2).back().match);
  STRCMP_EQUAL("1 1 1 1", cluster.log_of(2).c_str());
}

TEST(Snapshot, S6_one_below_the_logs_own_start_is_ignored) {
  Cluster cluster(3, 100);
  cluster.deliver(chunk(cluster, 1, 2, 1, {50, 1}));
  CHECK_FALSE(cluster.member(2).install.has_value());
  CHECK_EQUAL(100, append_answers(cluster, 2).back().match);
  CHECK_EQUAL(100, cluster.core(2).last().index);
}

TEST(Snapshot, S7_one_that_the_log_already_holds_moves_the_commit_index_instead) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1}, 1, 1);
  cluster.deliver(chunk(cluster, 1, 2, 1, {3, 1}));
  CHECK_FALSE(cluster.member(2).install.has_value());
  CHECK_EQUAL(3, cluster.core(2).commit_index());
  CHECK_EQUAL(3, append_answers(cluster, 2).back().match);
  STRCMP_EQUAL("1 1 1 1", cluster.log_of(2).c_str());
}

TEST(Snapshot, no_entry_is_accepted_while_one_is_installed_or_it_would_be_lost_with_the_old_log) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1}, 1);
  cluster.deliver(chunk(cluster, 1, 2, 1, {20, 1}));
  CHECK(cluster.member(2).install.has_value());
  // Another leader, of a higher term, has the log at hand.
  cluster.deliver(append(3, 2, 2, {2, 1}, {command_entry(3, 1), command_entry(4, 2)}, 4));
  cluster.pump(2);  // installs
  for (const AppendResponse& answer : append_answers(cluster, 2)) {
    CHECK(answer.match == 0 || answer.match == 20);
    CHECK_FALSE(answer.rejected);
  }
  CHECK_EQUAL(20, cluster.core(2).last().index);
  CHECK_EQUAL(20, cluster.core(2).commit_index());
  // S4: it goes on with the new leader, which hears of the snapshot.
  CHECK_EQUAL(20, append_answers(cluster, 2).back().match);
  cluster.deliver(append(3, 2, 2, {20, 1}, {command_entry(21, 2)}));
  cluster.pump(2);
  CHECK_EQUAL(21, append_answers(cluster, 2).back().match);
}

TEST(Snapshot, a_leader_does_not_flood_a_follower_that_is_installing) {
  Cluster cluster(3);
  cluster.set_log(1, {1, 1, 1, 1}, 3);
  cluster.set_log(2, {1, 1, 1, 1}, 3);
  cluster.member(3).apply_held = true;
  cluster.deliver(chunk(cluster, 2, 3, 3, {2, 1}));
  CHECK(cluster.member(3).install.has_value());
  int probes = 0;
  cluster.lose = [&](const Message& m) {
    const auto* request = std::get_if<AppendRequest>(&m.body);
    probes += m.to == 3 && request != nullptr && !request->entries.empty() ? 1 : 0;
    return false;
  };
  cluster.elect(1);
  probes = 0;
  cluster.tick_all(20);
  CHECK(probes > 0 && probes <= 10);
  cluster.finish_install(cluster.member(3), false);
  cluster.member(3).apply_held = false;
  cluster.tick_all(5);
  CHECK_EQUAL(5, cluster.core(3).applied_index());
}

TEST(Snapshot, the_last_chunk_waits_for_entries_on_their_way_to_the_disk) {
  Cluster cluster(3);
  TestMember& m = cluster.member(2);
  m.disk_held = true;
  cluster.deliver(append(1, 2, 1, {0, 0}, {command_entry(1, 1)}));
  cluster.deliver(chunk(cluster, 1, 2, 1, {20, 1}));
  CHECK_FALSE(m.install.has_value());
  while (cluster.write_one(m)) {
  }
  CHECK(m.install.has_value());
}

TEST(Snapshot, one_that_failed_to_install_lets_entries_in_again) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1}, 1);
  cluster.deliver(chunk(cluster, 1, 2, 1, {20, 1}));
  cluster.finish_install(cluster.member(2), false);
  cluster.deliver(append(1, 2, 1, {2, 1}, {command_entry(3, 1)}));
  cluster.pump(2);
  CHECK_EQUAL(3, cluster.core(2).last().index);
  cluster.deliver(chunk(cluster, 1, 2, 1, {20, 1}));
  cluster.pump(2);
  CHECK_EQUAL(20, cluster.core(2).last().index);
}

TEST(Snapshot, it_replaces_entries_that_were_never_committed) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1, 1, 1}, 1, 1);
  cluster.deliver(chunk(cluster, 1, 2, 3, {4, 2}));
  cluster.pump(2);
  CHECK_EQUAL(4, cluster.core(2).last().index);
  CHECK_EQUAL(2, cluster.core(2).last().term);
  CHECK_EQUAL(4, cluster.core(2).durable_index());
}

TEST(Snapshot, chunks_of_an_older_term_are_answered_with_the_newer_one) {
  Cluster cluster(3);
  cluster.set_log(2, {1}, 7);
  cluster.deliver(chunk(cluster, 1, 2, 6, {20, 1}));
  CHECK_FALSE(cluster.member(2).install.has_value());
  const auto sent = cluster.in_flight([](const Message& m) { return m.from == 2; });
  CHECK_EQUAL(7, sent.back().term);
  CHECK(std::get<AppendResponse>(sent.back().body).rejected);
}

TEST(Snapshot, chunks_before_the_last_one_pass_and_the_log_stays_as_it_is) {
  Cluster cluster(3);
  cluster.deliver(chunk(cluster, 1, 2, 1, {20, 1}, false));
  CHECK(cluster.member(2).install.has_value());  // handed out
  cluster.deliver(append(1, 2, 1, {0, 0}, {command_entry(1, 1)}));
  CHECK_EQUAL(1, cluster.core(2).last().index);
}

TEST(Snapshot, compaction_behind_what_is_committed_and_durable_poisons) {
  Cluster cluster(3);
  cluster.set_log(2, {1, 1, 1}, 1, 2);
  cluster.core(2).compacted({{3, 1}, cluster.first_configuration, 0});
  cluster.collect(cluster.member(2));
  CHECK(cluster.member(2).poisoned.has_value());
}

// Found by the simulation: the window is full, everything in it was lost, and then the log is cut in the
// middle of it.
TEST(Snapshot, S9_a_log_that_is_cut_under_a_full_window_leads_to_a_snapshot) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.max_inflight_messages = 1; });
  cluster.elect(1);
  cluster.tick_all(3);
  cluster.cut_one_way(1, 3);
  for (int i = 0; i < 5; i++) {
    cluster.propose(1, "a");
    cluster.settle();
  }
  cluster.compact(cluster.member(1), 0);
  cluster.heal();
  cluster.tick_all(10);
  CHECK_EQUAL(6, cluster.core(3).applied_index());
}

}  // namespace dqlite::raft
