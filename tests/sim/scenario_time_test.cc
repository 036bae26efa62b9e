// Scenarios of section 4 of the Raft reference: clocks, liveness with a part of the cluster gone, snapshots.
#include "tests/sim/scenario.h"

TEST_GROUP_BASE(SimClocks, SimScenario){};

TEST(SimClocks, C1_pause_leader_60s) {
  cluster.form(3);
  cluster.begin_load(20 * kMillisecond);
  SimHost& sleeper = *cluster.leader();
  sleeper.process()->confirm_leadership();
  sleeper.pause();
  cluster.run_for(60 * kSecond);
  CHECK(cluster.leader() != nullptr);
  // Its clients ask in the moment it wakes: nothing stale may come out.
  sleeper.process()->confirm_leadership();
  sleeper.resume();
  for (int i = 0; i < 100; i++) {
    sleeper.process()->confirm_leadership();
    cluster.run_for(10 * kMillisecond);
  }
  cluster.stop_load();
  CHECK(cluster.settle());
  check_acked_writes();
}

// What the defaults promise: with heartbeats each 100 ms, nobody looks for another leader before 500 ms.
TEST(SimClocks, C1_a_pause_of_a_third_of_a_second_changes_no_leader) {
  cluster.form(3);
  const Term term = cluster.leader()->process()->core().term();
  for (int round = 0; round < 10; round++) {
    for (auto& [number, host] : cluster.hosts()) {
      host->pause();
      cluster.run_for(350 * kMillisecond);
      host->resume();
      cluster.run_for(200 * kMillisecond);
    }
  }
  LONGS_EQUAL(term, cluster.leader()->process()->core().term());
}

TEST(SimClocks, B3_a_follower_that_pauses_finds_its_entries_in_the_log_behind_a_checkpoint) {
  cluster.form(3);
  CHECK(cluster.write(10));
  SimHost& sleeper = cluster.follower();
  Counters& counters = cluster.world.counters;
  const uint64_t for_joiners = counters[Count::kSnapshotsInstalled];
  for (int round = 0; round < 5; round++) {
    sleeper.pause();
    CHECK(cluster.write(50));
    for (auto& [number, host] : cluster.hosts()) host->process()->make_checkpoint();
    cluster.run_for(kSecond);
    sleeper.resume();
    CHECK(cluster.write(5));
    CHECK(cluster.settle());
  }
  LONGS_EQUAL(for_joiners, counters[Count::kSnapshotsInstalled]);
  CHECK(counters[Count::kCheckpoints] > 0);
}

TEST(SimClocks, C2_pause_majority) {
  cluster.form(5);
  CHECK(cluster.write(10));
  for (int number = 1; number <= 3; number++) cluster.host(number).pause();
  const uint64_t acked = cluster.acked();
  cluster.begin_load(20 * kMillisecond);
  cluster.run_for(30 * kSecond);
  CHECK(cluster.acked() <= acked + 1);  // at most what was on its way
  for (int number = 1; number <= 3; number++) cluster.host(number).resume();
  CHECK(cluster.run_until([&] { return cluster.acked() > acked + 100; }));
  cluster.stop_load();
  CHECK(cluster.settle());
}

TEST(SimClocks, C3_clock_jumps_forward_1h) {
  cluster.form(3);
  const int hour = 3600 * 1000 / cluster.options.tick_ms;
  for (auto& [number, host] : cluster.hosts()) {
    host->process()->jump_clock(hour);
    CHECK(cluster.write(10));
  }
  for (auto& [number, host] : cluster.hosts()) host->process()->jump_clock(hour);
  CHECK(cluster.write(10));
  CHECK(cluster.settle());
}

TEST(SimClocks, C4_tick_starvation_10x) {
  cluster.form(3);
  // The leader's ticks come ten times too seldom: the others may take over, and nothing is lost.
  cluster.leader()->shape.clock_per_thousand = 100;
  CHECK(cluster.write(50));
  for (auto& [number, host] : cluster.hosts()) host->shape.clock_per_thousand = 100;
  CHECK(cluster.write(50));
  CHECK(cluster.settle());
}

TEST(SimClocks, C5_two_nodes_10_percent_drift) {
  cluster.shape.clock_per_thousand = 1100;
  cluster.add_host();
  cluster.shape.clock_per_thousand = 900;
  cluster.add_host();
  cluster.shape.clock_per_thousand = 1000;
  cluster.form(3);
  CHECK(cluster.write(10));
  const Term term = cluster.leader()->process()->core().term();
  cluster.begin_load(20 * kMillisecond);
  cluster.run_for(120 * kSecond);
  cluster.stop_load();
  LONGS_EQUAL(term, cluster.leader()->process()->core().term());  // nobody ever believed it gone
  CHECK(cluster.settle());
}

TEST_GROUP_BASE(SimLiveness, SimScenario){};

TEST(SimLiveness, V1_random_core_heals_rest_frozen_converges) {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    SimCluster each(seed);
    each.form(5);
    each.begin_load(10 * kMillisecond);
    each.world.network.set_shape({.loss = 200, .reorder = 200});
    each.run_for(2 * kSecond);
    for (int frozen = 0; frozen < 2;) {
      SimHost& host = each.host(1 + static_cast<int>(each.random.below(5)));
      if (!host.is_paused()) frozen++;
      host.pause();
    }
    each.stop_load();
    each.world.network.set_shape({});
    CHECK(each.write(10, 100, 30 * kSecond));
    CHECK(each.settle());
    STRCMP_EQUAL("", each.violation().c_str());
  }
}

TEST(SimLiveness, V2_permanent_asymmetric_partition_of_one) {
  for (const bool hears : {true, false}) {
    SimCluster each(hears ? 1 : 2);
    each.form(3);
    SimHost& odd = each.follower();
    for (auto& [number, host] : each.hosts()) {
      if (hears) each.world.network.cut_one_way(odd.number(), number);
      if (!hears) each.world.network.cut_one_way(number, odd.number());
    }
    each.run_for(10 * kSecond);
    CHECK(each.write(10));
    const Term term = each.leader()->process()->core().term();
    each.run_for(60 * kSecond);
    CHECK(each.write(10));
    LONGS_EQUAL(term, each.leader()->process()->core().term());  // it disturbs nobody
    STRCMP_EQUAL("", each.violation().c_str());
  }
}

TEST(SimLiveness, V3_permanently_dead_minority) {
  cluster.form(5);
  cluster.host(2).end(SimHost::End::kPowerLoss, false);
  cluster.leader()->end(SimHost::End::kPowerLoss, true);
  CHECK(cluster.write(50));
  cluster.run_for(60 * kSecond);
  CHECK(cluster.write(50));
}

// A host that is behind the log of the others, which begins behind a checkpoint.
class SimSnapshot : public SimScenario {
 public:
  void setup() override {
    cluster.options.log_tail_bytes = 0;
    cluster.shape.snapshot_bytes = 900 << 10;  // four pieces
    cluster.form(3);
    late = &cluster.follower();
    late->end(SimHost::End::kPowerLoss, false);
    fall_behind();
  }
  void fall_behind() {
    CHECK(cluster.write(30));
    const Index written = cluster.leader()->process()->core().last().index;
    CHECK(cluster.run_until([&] {
      for (auto& [number, host] : cluster.hosts()) {
        if (host->is_up()) host->process()->make_checkpoint();
      }
      return cluster.leader() != nullptr && cluster.leader()->process()->log().start().last.index >= written;
    }));
  }
  [[nodiscard]] uint64_t installed() const { return cluster.world.counters[Count::kSnapshotsInstalled]; }

  SimHost* late = nullptr;
};

TEST_GROUP_BASE(SimSnapshots, SimSnapshot){};

TEST(SimSnapshots, S3_follower_restart_mid_install_resumes) {
  const uint64_t before = installed();
  late->start();
  for (int round = 0; round < 20 && installed() == before; round++) {
    cluster.run_for((5 + cluster.random.below(40)) * kMillisecond);
    late->end(SimHost::End::kPowerLoss, round % 2 == 0);
    late->start();
  }
  CHECK(cluster.settle());
  CHECK(installed() > before);
}

TEST(SimSnapshots, S4_leader_change_mid_install) {
  const uint64_t before = installed();
  cluster.shape.read = 100 * kMillisecond;
  late->start();
  cluster.run_for(20 * kMillisecond);
  cluster.restart(*cluster.leader());
  CHECK(cluster.settle());
  CHECK(installed() > before);
}

TEST(SimSnapshots, S8_two_snapshots_in_quick_succession) {
  const uint64_t before = installed();
  late->start();
  CHECK(cluster.run_until([&] { return installed() > before; }));
  late->end(SimHost::End::kKill, false);
  fall_behind();
  late->start();
  CHECK(cluster.settle());
  CHECK(installed() > before + 1);
}

TEST(SimSnapshots, S9_compaction_while_install_running) {
  const uint64_t before = installed();
  late->start();
  cluster.begin_load(2 * kMillisecond);
  CHECK(cluster.run_until([&] {
    for (auto& [number, host] : cluster.hosts()) {
      if (host->is_up()) host->process()->make_checkpoint();
    }
    return installed() > before;
  }));
  cluster.stop_load();
  CHECK(cluster.settle());
}

TEST(SimSnapshots, S10_corrupt_chunk_detected_and_refetched) {
  const uint64_t before = installed();
  cluster.world.network.set_shape({.corrupt = 200});
  late->start();
  CHECK(cluster.run_until([&] { return installed() > before; }));
  CHECK(cluster.world.counters[Count::kFramesCorrupted] > 0);
  cluster.world.network.set_shape({});
  CHECK(cluster.settle());
}

TEST(SimSnapshots, S11_db_image_hash_equal_on_all_nodes_at_same_index) {
  late->start();
  CHECK(cluster.settle());  // compares the states
  CHECK(cluster.write(20));
  CHECK(cluster.settle());
  const MachineState& state = cluster.host(1).process()->machine().state();
  for (auto& [number, host] : cluster.hosts()) CHECK(host->process()->machine().state().hash == state.hash);
}
