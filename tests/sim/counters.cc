#include "tests/sim/counters.h"

namespace dqlite::raft::sim {

const char* Counters::name(Count count) {
  static constexpr std::array<const char*, static_cast<size_t>(Count::kEnd)> kNames{
      "virtual seconds",
      "events",
      "elections",
      "commits",
      "writes acked",
      "writes dropped",
      "writes unknown",
      "forwards acked",
      "reads confirmed",
      "transfers",
      "joins",
      "removals asked",
      "role changes asked",
      "member changes done",
      "moves",
      "checkpoints",
      "compactions",
      "snapshots installed",
      "restarts",
      "orderly stops",
      "kills",
      "power losses",
      "mid-call crashes",
      "crashes in recovery",
      "tails cut",
      "disk errors",
      "poisoned",
      "full disks",
      "bit flips",
      "damage found",
      "repairs",
      "hung disks",
      "pauses",
      "clock jumps",
      "starved clocks",
      "partitions",
      "one-way cuts",
      "clogs",
      "messages lost",
      "messages repeated",
      "messages reordered",
      "frames corrupted",
      "greetings refused",
      "durability proofs",
  };
  return kNames.at(static_cast<size_t>(count));
}

std::string Counters::text() const {
  std::string result;
  for (size_t i = 0; i < values_.size(); i++) {
    result += std::string(name(static_cast<Count>(i))) + ": " + std::to_string(values_.at(i)) + "\n";
  }
  return result;
}

}  // namespace dqlite::raft::sim
