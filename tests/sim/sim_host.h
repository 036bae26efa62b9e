// One machine of the simulation: a disk that outlives every process on it, and at most one process.
//
// Process and machine end and begin as in life: killed, without power (with any part of what was not synced),
// in the middle of a write, in the middle of the recovery, in good order. What the process says of itself at
// its end and at its next start is judged: recovery may fail only on a disk that was damaged, and a node may
// be poisoned only if its disk failed.
#pragma once

#include <memory>

#include "raft/node/member_files.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/sim/sim_machine.h"
#include "tests/sim/sim_network.h"

namespace dqlite::raft::sim {

class SimProcess;

struct World {
  explicit World(uint64_t seed)
      : random(seed), trace(timeline), book(trace), network(timeline, trace, counters, seed ^ 0x6e6574) {}

  Timeline timeline;
  Random random;
  Counters counters;
  Trace trace;
  Book book;
  SimNetwork network;
  uint64_t next_life = 1;
};

// How fast a host's parts are; each takes up to twice as long, now and then ten times.
struct HostShape {
  Micros loop = 20;
  Micros disk = 500;                   // of the log writer
  Micros apply = 100;                  // of the applier
  Micros read = 500;                   // of the reader
  uint64_t clock_per_thousand = 1000;  // of true time
  uint64_t full_installs = 0;          // of a thousand
  size_t snapshot_bytes = 100;
};

class SimHost {
 public:
  // `seed`: its own, so that what happens to one host does not change the choices of another.
  SimHost(World& world, int number, uint64_t seed, const NodeOptions& options);
  ~SimHost();

  enum class End : uint8_t { kKill, kPowerLoss };

  // --- becoming a member ---
  void found(const ClusterId& cluster, bool adopted);
  // Asks `target` until it is taken in, over as many lives as it takes.
  void join(const std::string& target);

  // --- processes ---
  // False: it does not come up now (see `is_lost`).
  bool start();
  // `in_the_middle`: what its parts were about to do is begun and cut off.
  void end(End how, bool in_the_middle);
  void stop_in_order();
  void pause() { is_paused_ = true; }
  void resume();
  void move_to(const std::string& place) { next_address_ = place; }

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] SimProcess* process() const { return process_.get(); }
  [[nodiscard]] bool is_up() const { return process_ != nullptr; }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  [[nodiscard]] bool is_running() const { return is_up() && !is_paused_; }
  // It found damage that it cannot repair: it takes no part any more.
  [[nodiscard]] bool is_lost() const { return is_lost_; }
  [[nodiscard]] bool is_stopping() const { return is_stopping_; }
  // From the damage to the end of its repair.
  [[nodiscard]] bool is_damaged() const { return is_damaged_; }
  // By its process: nothing is wrong with its log.
  void note_sound();
  [[nodiscard]] bool is_member() const { return identity.node_id != 0; }

  // --- faults ---
  // One bit of a segment that is not among the newest; false: there is none.
  bool flip_bit();
  void fail_disk_at(uint64_t call);
  void fill_disk();
  void empty_disk();
  void hang_disk(Micros duration);
  // The next start is cut off at a call to the disk.
  void crash_next_start(uint64_t call) { crash_start_at_ = call; }

  // Runs it on this host after `delay`: not before it is resumed, and not if that process has ended.
  void schedule(Micros delay, uint64_t life, std::function<void()> event);
  [[nodiscard]] Micros latency(Micros usual);
  [[nodiscard]] Micros disk_latency();
  // A copy of the disk as a power failure would leave it holds all that `log` says is durable.
  void prove_durable(const Log& log);

  World& world;
  Random random;
  HostShape shape;
  NodeOptions options;

  // --- what outlives a process ---
  test::FaultDisk disk;
  Identity identity;
  std::string address;
  std::map<uint64_t, uint64_t> peer_boots;
  Storage storage;
  std::string join_target;  // while it joins

 private:
  friend class SimProcess;
  void run(uint64_t life, const std::function<void()>& event);
  Status open_process();
  Status judge_start(const Status& status);
  Status judge_damage(const MemberFiles& files);
  [[nodiscard]] bool may_be_poisoned(const Status& reason) const;

  const int number_;
  std::string next_address_;
  std::unique_ptr<SimProcess> process_;
  std::vector<std::unique_ptr<SimProcess>> ended_;  // may still be on the stack
  std::vector<std::pair<uint64_t, std::function<void()>>> deferred_;
  bool is_paused_ = false;
  bool is_lost_ = false;
  bool is_damaged_ = false;
  bool is_found_ = false;  // the damage, and it is being repaired
  bool is_stopping_ = false;
  bool is_full_ = false;
  bool disk_failed_ = false;  // in this life
  uint64_t crash_start_at_ = 0;
  Micros disk_hangs_until_ = 0;
};

}  // namespace dqlite::raft::sim
