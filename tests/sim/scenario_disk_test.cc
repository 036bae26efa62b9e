// Disks that fail or are full under whole nodes: what the others see, and what the node itself does.
#include "tests/sim/scenario.h"

TEST_GROUP_BASE(SimDisks, SimScenario){};

TEST(SimDisks, D11_a_leader_whose_sync_fails_takes_no_part_any_more_and_nothing_acknowledged_is_lost) {
  cluster.form(3);
  cluster.begin_load(5 * kMillisecond);
  cluster.run_for(kSecond);
  SimHost& broken = *cluster.leader();
  broken.fail_disk_at(1);
  CHECK(cluster.run_until([&] { return broken.process()->is_poisoned(); }));
  const uint64_t acked = cluster.acked();
  CHECK(cluster.run_until([&] { return cluster.acked() > acked + 100; }));
  CHECK(cluster.leader() != &broken);
  CHECK(broken.process()->is_poisoned());  // nothing is tried again
  cluster.restart(broken);
  cluster.run_for(kSecond);
  cluster.stop_load();
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimDisks, D11_a_follower_whose_sync_fails_acknowledges_nothing_more) {
  cluster.form(3);
  SimHost& broken = cluster.follower();
  broken.fail_disk_at(1);
  CHECK(cluster.write(10));
  CHECK(broken.process()->is_poisoned());
  // Two are left: without one of them nothing is acknowledged.
  SimHost* other = nullptr;
  for (auto& [number, host] : cluster.hosts()) {
    if (host.get() != &broken && host.get() != cluster.leader()) other = host.get();
  }
  other->pause();
  CHECK_FALSE(cluster.write(1, 100, 10 * kSecond));
  other->resume();
  CHECK(cluster.write(10));
  cluster.restart(broken);
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimDisks, B5_D12_a_leader_with_a_full_disk_acknowledges_what_the_others_store_and_no_more) {
  cluster.form(3);
  CHECK(cluster.write(10));
  SimHost& full = *cluster.leader();
  full.fill_disk();
  cluster.begin_load(5 * kMillisecond, 2000);
  // Its entries are on the disks of the two others; it falls silent, and one of them leads.
  CHECK(cluster.run_until([&] { return cluster.leader() != nullptr && cluster.leader() != &full; }));
  const uint64_t acked = cluster.acked();
  CHECK(cluster.run_until([&] { return cluster.acked() > acked + 50; }));
  CHECK_FALSE(full.process()->is_poisoned());
  // With room again it goes on by itself.
  full.empty_disk();
  cluster.stop_load();
  CHECK(cluster.settle());
  check_acked_writes();
}

TEST(SimDisks, B5_D12_with_the_disks_of_a_majority_full_nothing_is_acknowledged_until_there_is_room) {
  cluster.form(3);
  CHECK(cluster.write(10));
  std::vector<SimHost*> full;
  for (auto& [number, host] : cluster.hosts()) {
    if (host.get() != cluster.leader()) full.push_back(host.get());
  }
  for (SimHost* host : full) host->fill_disk();
  cluster.begin_load(5 * kMillisecond, 20000);
  cluster.run_for(20 * kSecond);  // what is left of their segments is used up
  const uint64_t acked = cluster.acked();
  cluster.run_for(20 * kSecond);
  LONGS_EQUAL(acked, cluster.acked());
  for (SimHost* host : full) {
    CHECK_FALSE(host->process()->is_poisoned());
    host->empty_disk();
  }
  CHECK(cluster.run_until([&] { return cluster.acked() > acked + 50; }));
  cluster.stop_load();
  CHECK(cluster.settle());
  check_acked_writes();
}
