// How often something happened: a simulation in which nothing does proves nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace dqlite::raft::sim {

enum class Count : uint8_t {
  kVirtualSeconds,
  kEvents,
  kElections,
  kCommits,
  kWritesAcked,
  kWritesDropped,
  kWritesUnknown,
  kForwardsAcked,
  kReadsConfirmed,
  kTransfers,
  kJoins,
  kRemovals,
  kRoleChanges,
  kMemberChanges,
  kMoves,
  kCheckpoints,
  kCompactions,
  kSnapshotsInstalled,
  kRestarts,
  kOrderlyStops,
  kKills,
  kPowerLosses,
  kCrashesInTheMiddle,
  kCrashesInRecovery,
  kTailsCut,
  kDiskErrors,
  kPoisoned,
  kFullDisks,
  kBitFlips,
  kDamageFound,
  kRepairs,
  kHungDisks,
  kPauses,
  kClockJumps,
  kStarvedClocks,
  kPartitions,
  kOneWayCuts,
  kClogs,
  kMessagesLost,
  kMessagesRepeated,
  kMessagesReordered,
  kFramesCorrupted,
  kGreetingsRefused,
  kDurabilityProofs,
  kEnd,
};

class Counters {
 public:
  uint64_t& operator[](Count count) { return values_.at(static_cast<size_t>(count)); }
  uint64_t operator[](Count count) const { return values_.at(static_cast<size_t>(count)); }
  void add(const Counters& other) {
    for (size_t i = 0; i < values_.size(); i++) values_.at(i) += other.values_.at(i);
  }
  static const char* name(Count count);
  // One line for each.
  [[nodiscard]] std::string text() const;

 private:
  std::array<uint64_t, static_cast<size_t>(Count::kEnd)> values_{};
};

}  // namespace dqlite::raft::sim
