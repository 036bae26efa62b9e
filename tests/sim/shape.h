// What one seed is like: how many hosts, how fast their parts, and which faults come how often.
//
// Seeds differ in kind and not only in order (swarm testing): most seeds have only some of the faults. Each
// class of events is drawn from a stream of its own, so that a seed without one of them is still much like
// the seed with it: that is what shrinking does.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>

#include "tests/sim/sim_cluster.h"

namespace dqlite::raft::sim {

// The classes of events that can be left out.
enum class Fault : uint8_t {
  kKill,
  kPowerLoss,
  kCrashInTheMiddle,
  kCrashInRecovery,
  kStop,
  kPause,
  kDiskError,
  kFullDisk,
  kRot,
  kHungDisk,
  kCut,
  kOneWayCut,
  kClog,
  kClockJump,
  kStarvation,
  kAddMember,
  kRemoveMember,
  kChangeRole,
  kMove,
  kTransfer,
  kCheckpoint,
  kForward,
  kRead,
  // Drawn once for the whole seed.
  kLoss,
  kRepeat,
  kReorder,
  kCorruption,
  kSlowDisk,
  kClockDrift,
  kFullInstall,
  kEarly,  // the faults begin before the cluster is formed
  kEnd,
};

const char* name(Fault fault);
std::optional<Fault> fault_named(const std::string& name);
constexpr size_t kFaults = static_cast<size_t>(Fault::kEnd);

struct Shape {
  // Draws all of it.
  Shape(uint64_t seed, const std::set<Fault>& without);

  int hosts = 1;
  Micros safety = 10 * kSecond;  // how long anything may happen
  NodeOptions options;
  HostShape host;
  NetworkShape network;
  Micros write_interval = 20 * kMillisecond;
  size_t padding = 100;                    // of writes, at most
  std::array<Micros, kFaults> interval{};  // between two events of a class; 0: never
  uint64_t drift = 0;                      // clocks differ by up to so many of a thousand
  bool is_early = false;

  [[nodiscard]] Micros interval_of(Fault fault) const { return interval.at(static_cast<size_t>(fault)); }
};

}  // namespace dqlite::raft::sim
