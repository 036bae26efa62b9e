// A few fixed seeds: all of them hold, a run is the same every time, and what a simulation is for happens.
#include "tests/sim/simulation.h"

#include <CppUTest/TestHarness.h>

using namespace dqlite::raft;
using namespace dqlite::raft::sim;

namespace {

constexpr uint64_t kSeeds = 120;

}  // namespace

TEST_GROUP(SimSeeds){};

TEST(SimSeeds, every_seed_is_safe_and_then_live_and_everything_happens) {
  Counters counters;
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    SimulationOptions options;
    options.seed = seed;
    Simulation simulation(options);
    const std::string violation = simulation.run();
    counters.add(simulation.counters());
    if (!violation.empty()) {
      FAIL(("seed " + std::to_string(seed) + ": " + violation + "\nreplay it: tests/sim/run --seed " +
            std::to_string(seed) + " --trace")
               .c_str());
    }
  }
  for (size_t i = 0; i < static_cast<size_t>(Count::kEnd); i++) {
    const auto count = static_cast<Count>(i);
    CHECK_TEXT(counters[count] > 0, (std::string("never happened: ") + Counters::name(count)).c_str());
  }
}

TEST(SimSeeds, the_same_seed_is_the_same_run) {
  for (uint64_t seed = 1; seed <= 8; seed++) {
    SimulationOptions options;
    options.seed = seed;
    Simulation first(options);
    Simulation second(options);
    const std::string violation = first.run();
    STRCMP_EQUAL(violation.c_str(), second.run().c_str());
    CHECK_TEXT(first.trace_hash() == second.trace_hash(), std::to_string(seed).c_str());
    options.seed = seed + 1000;
    Simulation other(options);
    other.run();
    CHECK(other.trace_hash() != first.trace_hash());
  }
}

TEST(SimSeeds, a_broken_promise_is_found) {
  SimCluster cluster(1);
  cluster.form(3);
  CHECK(cluster.write(10));
  Book& book = cluster.world.book;
  book.committed(1, {5, 99}, 99);
  STRCMP_CONTAINS("state machine safety", book.violation().c_str());
}

TEST(SimSeeds, a_class_of_faults_can_be_left_out) {
  SimulationOptions options;
  for (size_t i = 0; i < kFaults; i++) options.without.insert(static_cast<Fault>(i));
  Simulation simulation(options);
  STRCMP_EQUAL("", simulation.run().c_str());
  LONGS_EQUAL(0, simulation.counters()[Count::kMessagesRepeated]);
  LONGS_EQUAL(0, simulation.counters()[Count::kPowerLosses]);
  CHECK(simulation.counters()[Count::kWritesAcked] > 0);
}
