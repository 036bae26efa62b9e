// The randomised simulation. A failing seed is printed; run it alone with DQLITE_SEED=<seed>.
// DQLITE_SEEDS=<n> runs more.
#include "tests/raft/core/simulation.h"

#include <CppUTest/TestHarness.h>

#include <cstdio>
#include <cstdlib>

namespace dqlite::raft {

namespace {

constexpr int kSteps = 1000;

uint64_t number_from_environment(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_GROUP(Simulation){};

TEST(Simulation, every_seed_is_safe_and_then_live) {
  const uint64_t only = number_from_environment("DQLITE_SEED", 0);
  const uint64_t first = only != 0 ? only : number_from_environment("DQLITE_FIRST_SEED", 1);
  const uint64_t seeds = only != 0 ? 1 : number_from_environment("DQLITE_SEEDS", 1500);
  Simulation::Counts counts;
  for (uint64_t seed = first; seed < first + seeds; seed++) {
    Simulation simulation(seed);
    const std::string violation = simulation.run(kSteps);
    counts.add(simulation.counts());
    if (!violation.empty()) FAIL(("seed " + std::to_string(seed) + ": " + violation).c_str());
  }
  if (std::getenv("DQLITE_SEEDS") != nullptr) {
    std::printf(
        "elections %d commits %d crashes %d proposals %d refused %d membership %d transfers %d/%d reads "
        "%d/%d "
        "snapshots %d installs %d log reads %d rots %d repairs %d\n",
        counts.elections, counts.commits, counts.crashes, counts.proposals, counts.refused_bases,
        counts.membership_changes, counts.transfers_done, counts.transfers, counts.reads_done, counts.reads,
        counts.snapshots, counts.installs, counts.log_reads, counts.rots, counts.repairs);
  }
  if (only != 0) return;
  // It must reach what it is meant to reach.
  CHECK(counts.elections > 0 && counts.commits > 0 && counts.crashes > 0 && counts.membership_changes > 0);
  CHECK(counts.transfers_done > 0 && counts.reads_done > 0 && counts.installs > 0 && counts.log_reads > 0);
  CHECK(counts.refused_bases > 0 && counts.rots > 0 && counts.repairs > 0);
}

}  // namespace dqlite::raft
