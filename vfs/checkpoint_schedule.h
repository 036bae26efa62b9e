// When a leader proposes a checkpoint [B3]: at 1000 frames, but not more than once a second unless the frames take
// more than 64 MB, and after 30 s at the latest. A checkpoint costs what distinct pages were changed, so one for each
// few hundred transactions would write the same pages again and again. Where the disk is nearly full a thousand frames
// are due at once: what they take is a small part of what a checkpoint gives back, the log before it.
//
// Pure: the caller brings the time. Used by the checkpointer, under its mutex.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace dqlite::vfs {

struct PendingFrames {
  uint64_t frames = 0;
  uint64_t bytes = 0;
};

class CheckpointSchedule {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr uint64_t kDueFrames = 1000;
  static constexpr uint64_t kDueBytes = 64 << 20;
  // Less free space is tight.
  static constexpr uint64_t kTightBytes = 4 * kDueBytes;
  static constexpr std::chrono::seconds kShortestInterval{1};
  static constexpr std::chrono::seconds kLongestDelay{30};

  // Enough to look at the clock.
  static bool are_many(const PendingFrames& pending) {
    return pending.frames >= kDueFrames || pending.bytes >= kDueBytes;
  }

  void frames_wait_since(Time now) { first_frame_at_ = now; }
  void proposed(Time now) { proposed_at_ = now; }
  void set_free_bytes(uint64_t bytes) {
    interval_ = bytes < kTightBytes ? std::chrono::seconds(0) : kShortestInterval;
  }

  [[nodiscard]] bool is_due(const PendingFrames& pending, Time now) const {
    if (pending.bytes >= kDueBytes) return true;
    if (pending.frames >= kDueFrames && now >= proposed_at_ + interval_) return true;
    return pending.frames > 0 && now >= first_frame_at_ + kLongestDelay;
  }
  // When to look again.
  [[nodiscard]] Time next_look(bool many, Time now) const {
    const Time latest = first_frame_at_ + kLongestDelay;
    return many ? std::min(latest, std::max(now, proposed_at_ + interval_)) : latest;
  }

 private:
  Time first_frame_at_{};
  Time proposed_at_{};
  std::chrono::seconds interval_ = kShortestInterval;
};

}  // namespace dqlite::vfs
