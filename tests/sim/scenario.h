// What every scenario on the simulated cluster has in common: no invariant is ever broken.
#pragma once

// clang-format off
#include "tests/sim/sim_cluster.h"

#include <CppUTest/TestHarness.h>
// clang-format on

using namespace dqlite::raft;       // NOLINT: for tests alone
using namespace dqlite::raft::sim;  // NOLINT: for tests alone

class SimScenario : public Utest {
 public:
  void teardown() override { STRCMP_EQUAL("", cluster.violation().c_str()); }
  // On the leader, which has applied all of its log.
  void check_acked_writes() {
    cluster.world.book.check_acked_are_there(cluster.leader()->process()->machine().state().last.index);
  }

  SimCluster cluster{1};
};
