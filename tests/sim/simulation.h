// A cluster under a seed: first the safety phase, in which anything goes, then the liveness phase, in which
// the faults end, some hosts are frozen for good, and the rest, a majority, must make progress within a
// bounded virtual time.
//
// Never more damage than a cluster can survive: bits flip on one host at a time, of three voters or more, and
// what is removed or demoted leaves a majority of sound voters. A host that finds damage repairs itself from the
// others, or takes no part any more if it cannot.
#pragma once

#include "tests/sim/shape.h"

namespace dqlite::raft::sim {

struct SimulationOptions {
  uint64_t seed = 1;
  std::set<Fault> without;
  Micros safety = 0;  // 0: as the seed draws
  bool trace = false;
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);

  // Empty, or what was violated.
  std::string run();
  [[nodiscard]] const Counters& counters() const { return cluster_.world.counters; }
  [[nodiscard]] uint64_t trace_hash() const { return cluster_.world.trace.hash(); }
  [[nodiscard]] Micros safety() const { return shape_.safety; }

 private:
  // --- the safety phase ---
  void begin();
  void begin_faults();
  void repeat(Fault fault);
  void happen(Fault fault, Random& random);
  void harm_process(Fault fault, SimHost& host, Random& random);
  void harm_disk(Fault fault, SimHost& host, Random& random);
  void harm_network(Fault fault, SimHost& host, Random& random);
  void operate(Fault fault, SimHost& host, Random& random);
  void change_members(Fault fault, SimHost& asked, Random& random);
  bool everybody_knows_the_addresses();
  bool knows_the_cluster(SimHost& host);
  void take_care();
  void clients();
  SimHost& any_host(Random& random);
  [[nodiscard]] bool may_be_damaged();
  [[nodiscard]] bool may_lose_vote(NodeId member);

  // --- the liveness phase ---
  void calm();
  void freeze_some();
  [[nodiscard]] bool may_be_promoted(NodeId member);
  void live();

  const SimulationOptions options_;
  Shape shape_;
  SimCluster cluster_;
  Random client_random_;
  std::array<Random, kFaults> randoms_;
  bool is_calm_ = false;
  Micros vote_is_lost_until_ = 0;  // a voter may be on its way out
};

}  // namespace dqlite::raft::sim
