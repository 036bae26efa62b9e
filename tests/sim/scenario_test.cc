// Scenarios of section 4 of the Raft reference that need a real log, real recovery and time.
#include "tests/sim/scenario.h"

TEST_GROUP_BASE(SimRestart, SimScenario){};

TEST(SimRestart, X1_kill_all_restart_all_state_equal) {
  cluster.form(3);
  CHECK(cluster.write(50));
  cluster.begin_load(5 * kMillisecond);
  cluster.run_for(2 * kSecond);
  cluster.stop_load();
  for (auto& [number, host] : cluster.hosts()) host->end(SimHost::End::kPowerLoss, true);
  for (auto& [number, host] : cluster.hosts()) host->start();
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimRestart, X2_rolling_restart_under_load) {
  cluster.form(3);
  cluster.begin_load(5 * kMillisecond);
  for (int round = 0; round < 2; round++) {
    for (auto& [number, host] : cluster.hosts()) {
      host->stop_in_order();
      CHECK(cluster.run_until([&, each = host.get()] { return !each->is_up(); }));
      host->start();
      cluster.run_for(2 * kSecond);
    }
  }
  cluster.stop_load();
  LONGS_EQUAL(6, cluster.world.counters[Count::kOrderlyStops]);
  CHECK(cluster.acked() > 1000);
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimRestart, X3_restart_with_unapplied_commits) {
  cluster.shape.apply = 2 * kSecond;  // far behind the log
  cluster.form(3);
  SimHost& late = cluster.follower();
  cluster.begin_load(5 * kMillisecond);
  CHECK(cluster.run_until([&] {
    return late.process()->core().commit_index() > late.process()->machine().state().last.index + 100;
  }));
  cluster.stop_load();
  cluster.restart(late);
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimRestart, X5_restart_between_hardstate_and_entries) {
  // Every call to the disk of a batch that brings a new term and entries, one run for each.
  for (uint64_t call = 1; call <= 8; call++) {
    SimCluster each(call);
    each.form(3);
    CHECK(each.write(5));
    SimHost& victim = each.follower();
    SimHost& leader = *each.leader();
    leader.end(SimHost::End::kKill, false);
    victim.disk.crash_at(call);
    each.run_for(5 * kSecond);
    victim.disk.crash_at(0);
    leader.start();
    if (!victim.is_up()) victim.start();
    CHECK(each.write(5));
    CHECK(each.settle());
    STRCMP_EQUAL("", each.violation().c_str());
  }
}

TEST(SimRestart, D18_what_was_not_synced_is_gone_after_a_kill) {
  cluster.form(3);
  for (int round = 0; round < 10; round++) {
    cluster.begin_load(2 * kMillisecond);
    cluster.run_for(500 * kMillisecond);
    for (auto& [number, host] : cluster.hosts()) host->end(SimHost::End::kPowerLoss, round % 2 == 0);
    for (auto& [number, host] : cluster.hosts()) host->start();
  }
  cluster.stop_load();
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimRestart, D19_slow_disk_1s_mean_keeps_liveness) {
  cluster.shape.disk = kSecond;
  cluster.form(3);
  CHECK(cluster.write(20, 100, 300 * kSecond));
}

TEST_GROUP_BASE(SimNetworkFaults, SimScenario){};

TEST(SimNetworkFaults, N1_loss30_replay50_reorder) {
  cluster.form(5);
  cluster.world.network.set_shape(
      {.delay = 500, .jitter = 20 * kMillisecond, .loss = 300, .repeat = 500, .reorder = 500});
  CHECK(cluster.write(50));
  cluster.world.network.set_shape({});
  CHECK(cluster.settle());
}

TEST(SimNetworkFaults, N2_asymmetric_send_only) {
  cluster.form(3);
  SimHost& mute = *cluster.leader();  // hears nobody, and goes on talking
  for (auto& [number, host] : cluster.hosts()) cluster.world.network.cut_one_way(number, mute.number());
  CHECK(cluster.run_until([&] { return cluster.leader() != nullptr && cluster.leader() != &mute; }));
  CHECK(cluster.write(20));
}

TEST(SimNetworkFaults, N2_asymmetric_receive_only) {
  cluster.form(3);
  SimHost& deaf = *cluster.leader();  // hears all, and nobody hears it
  for (auto& [number, host] : cluster.hosts()) cluster.world.network.cut_one_way(deaf.number(), number);
  CHECK(cluster.run_until([&] { return cluster.leader() != nullptr && cluster.leader() != &deaf; }));
  CHECK(cluster.write(20));
}

TEST(SimNetworkFaults, N3_clog_5s_then_burst) {
  cluster.form(3);
  cluster.begin_load(10 * kMillisecond);
  for (auto& [a, one] : cluster.hosts()) {
    for (auto& [b, two] : cluster.hosts()) cluster.world.network.clog(a, b, 5 * kSecond);
  }
  cluster.run_for(10 * kSecond);
  cluster.stop_load();
  CHECK(cluster.write(20));
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimNetworkFaults, N4_bridge_partition) {
  // Two pairs that meet only at the fifth.
  cluster.form(5);
  for (int left : {1, 2}) {
    for (int right : {3, 4}) cluster.world.network.cut(left, right);
  }
  CHECK(cluster.run_until([this] { return cluster.leader() != nullptr; }));
  CHECK(cluster.write(50));
  const Term term = cluster.leader()->process()->core().term();
  cluster.run_for(30 * kSecond);
  CHECK(cluster.write(10));
  CHECK(cluster.leader()->process()->core().term() <= term + 2);  // it comes to rest
}

TEST_GROUP_BASE(SimMembers, SimScenario){};

// The first change that it hears of does not name the leader, the second does.
TEST(SimMembers, a_follower_behind_several_changes_answers_a_leader_that_it_does_not_know_yet) {
  cluster.form(4);
  SimHost& late = cluster.host(3);
  late.shape.disk = 200 * kMillisecond;  // so that ticks come between what it hears
  late.end(SimHost::End::kKill, false);
  const NodeId demoted = cluster.leader() == &cluster.host(4) ? cluster.host(2).identity.node_id
                                                              : cluster.host(4).identity.node_id;
  const auto demote = [demoted](Core& core) { return core.change_role(demoted, MemberRole::kStandby); };
  CHECK(cluster.leader()->process()->change(demote).is_ok());
  CHECK(cluster.write(300, 10000));  // more than one message holds
  SimHost& joiner = cluster.add_host();
  CHECK(cluster.run_until([&] {
    SimHost* leads = cluster.leader();
    return leads != nullptr && leads->process()->core().configuration().is_voter(joiner.identity.node_id);
  }));
  CHECK(cluster.write(5));
  const auto hand_over = [&](Core& core) {
    core.transfer(joiner.identity.node_id);
    return dqlite::Result<Index>(0);
  };
  CHECK(cluster.leader()->process()->change(hand_over).is_ok());
  CHECK(cluster.run_until([&] { return cluster.leader() == &joiner; }));
  late.start();
  CHECK(cluster.settle());
}

TEST(SimMembers, M6_a_follower_answers_a_leader_whom_it_removed_in_vain) {
  cluster.form(3);
  SimHost& deposed = *cluster.leader();
  SimHost& removed = cluster.follower();
  const NodeId id = removed.identity.node_id;
  CHECK(cluster.write(5));
  cluster.isolate(deposed);
  CHECK(deposed.process()->change([id](Core& core) { return core.remove_member(id); }).is_ok());
  // Elections after its own, so that the leader has to ask where their logs part.
  const auto others_lead = [&] { return cluster.leader() != nullptr && cluster.leader() != &deposed; };
  CHECK(cluster.run_until(others_lead));
  CHECK(cluster.write(5));
  const auto hand_over = [&] {
    CHECK(cluster.write(5));
    const auto ask = [](Core& core) {
      core.transfer(0);
      return dqlite::Result<Index>(0);
    };
    SimHost& before = *cluster.leader();
    CHECK(before.process()->change(ask).is_ok());
    CHECK(cluster.run_until([&] { return others_lead() && cluster.leader() != &before; }));
  };
  hand_over();
  if (cluster.leader() != &removed) hand_over();
  cluster.run_for(5 * kSecond);  // the deposed one gives up, too
  cluster.world.network.heal();
  CHECK(cluster.settle());
}

TEST_GROUP_BASE(SimMoves, SimScenario){};

TEST(SimMoves, C3_a_standby_that_moved_is_found_again) {
  cluster.form(3);
  SimHost& mover = cluster.follower();
  const NodeId id = mover.identity.node_id;
  const auto demote = [id](Core& core) { return core.change_role(id, MemberRole::kStandby); };
  CHECK(cluster.leader()->process()->change(demote).is_ok());
  CHECK(cluster.write(10));  // so that its log says that the change is committed
  CHECK(cluster.settle());
  mover.move_to("elsewhere:1");
  cluster.restart(mover);
  CHECK(cluster.write(10));
  CHECK(cluster.settle());
}

// Its greetings do not reach the leader, whose messages would reach it.
TEST(SimMoves, C3_a_member_that_moved_is_found_by_way_of_another) {
  for (int i = 0; i < 3; i++) cluster.add_host();
  cluster.await_voters(3);
  CHECK(cluster.write(10));
  CHECK(cluster.settle());
  SimHost& leads = *cluster.leader();
  SimHost& mover = cluster.follower();
  mover.end(SimHost::End::kKill, false);
  cluster.world.network.cut_one_way(mover.number(), leads.number());
  mover.move_to("elsewhere:1");
  mover.start();
  CHECK(cluster.run_until([&] { return mover.process()->core().leader() == leads.identity.node_id; }));
  cluster.world.network.heal();
  CHECK(cluster.write(10));
  CHECK(cluster.settle());
}

// Only the leader of then heard where it is, and could not tell it.
TEST(SimMoves, C3_a_standby_that_moved_is_found_by_the_next_leader) {
  cluster.options.roles.voters = 3;
  for (int i = 0; i < 4; i++) cluster.add_host();
  cluster.await_voters(3);
  CHECK(cluster.write(10));
  CHECK(cluster.settle());
  SimHost& before = *cluster.leader();
  const Configuration& members = before.process()->core().configuration();
  SimHost* mover = nullptr;
  for (auto& [number, host] : cluster.hosts()) {
    if (!members.is_voter(host->identity.node_id)) mover = host.get();
  }
  mover->end(SimHost::End::kKill, false);
  cluster.run_for(5 * kSecond);  // nobody believes any more that its last process is heard
  for (auto& [number, host] : cluster.hosts()) {
    if (host.get() != &before && host.get() != mover) cluster.world.network.cut(number, before.number());
    if (host.get() != &before && host.get() != mover) cluster.world.network.cut(number, mover->number());
  }
  mover->move_to("elsewhere:1");
  mover->start();
  cluster.run_for(10 * kMillisecond);
  mover->process()->jump_clock(cluster.options.election_ticks);  // it greets at once
  CHECK(cluster.run_until([&] { return mover->process()->core().leader() == before.identity.node_id; },
                          kSecond));
  before.end(SimHost::End::kKill, false);
  CHECK(cluster.run_until([&] { return cluster.leader() != nullptr; }));
  cluster.world.network.heal();
  CHECK(cluster.write(10));
  before.start();
  CHECK(cluster.settle());
}
