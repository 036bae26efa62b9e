// A cluster of simulated hosts, with verbs for scenarios. Time passes only in `run_for` and `run_until`.
#pragma once

#include "tests/sim/sim_host.h"
#include "tests/sim/sim_process.h"

namespace dqlite::raft::sim {

class SimCluster {
 public:
  explicit SimCluster(uint64_t seed);

  // --- time; both stop at a violation ---
  void run_for(Micros duration);
  // False: the condition did not come true within the time.
  bool run_until(const std::function<bool()>& condition, Micros limit = 60 * kSecond);

  // --- hosts ---
  // Number 1 founds the cluster when it is added, the others ask host 1 to take them in.
  SimHost& add_host();
  // So many voters, and a leader that may write.
  void form(int voters);
  void await_voters(size_t count);
  SimHost& host(int number) { return *hosts_.at(number); }
  [[nodiscard]] std::map<int, std::unique_ptr<SimHost>>& hosts() { return hosts_; }
  // The running one of the newest term that may write, or null.
  [[nodiscard]] SimHost* leader();
  SimHost* await_leader(Micros limit = 60 * kSecond);
  SimHost& follower();  // any that runs and does not lead
  void isolate(SimHost& host);
  void restart(SimHost& host);

  // --- writes ---
  // So many through whoever leads, each acknowledged before the next. False: not within the time.
  bool write(int count, size_t padding = 100, Micros limit = 120 * kSecond);
  // Clients that write all the time, until `stop_load`.
  void begin_load(Micros interval, size_t padding = 100);
  void stop_load() { load_++; }
  // Everybody who is to have the log has applied all that is committed, and stands on the same state.
  [[nodiscard]] bool is_settled();
  bool settle(Micros limit = 60 * kSecond) {
    return run_until([this] { return is_settled(); }, limit);
  }

  [[nodiscard]] uint64_t acked() const { return world.counters[Count::kWritesAcked]; }
  [[nodiscard]] const std::string& violation() const { return world.book.violation(); }
  // The newest configurations that running members know, and the last ones that they know to be committed.
  [[nodiscard]] std::vector<Configuration> configurations();
  [[nodiscard]] SimHost* find(NodeId member);
  // Would each of these configurations still have a majority without the hosts that `is_out` names?
  bool has_majority_without(const std::function<bool(SimHost&)>& is_out);
  [[nodiscard]] std::string describe();

  World world;
  Random random;
  NodeOptions options;  // of hosts to come
  HostShape shape;      // the same

 private:
  void load(uint64_t generation, Micros interval, size_t padding);

  const uint64_t seed_;
  std::map<int, std::unique_ptr<SimHost>> hosts_;
  uint64_t load_ = 0;
};

}  // namespace dqlite::raft::sim
