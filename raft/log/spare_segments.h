// Segments made ahead, so that the commit path never fills a file with zeros.
//
// A thread of the log's own (all signals blocked) keeps `count` spares of the standard size ready; `take`
// hands one out, waits for one that is being made, or makes one itself if there is none (no thread, an odd
// size, an earlier failure). No space is no fault here: the thread tries again every second, and `take` tells
// it (kFull). Spares of an earlier life are removed by recovery. `take`, `give_back`: the log writer;
// the rest any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "codec/status.h"
#include "raft/log/disk.h"
#include "raft/log/segment.h"

namespace dqlite::raft {

struct SpareOptions {
  uint64_t segment_bytes = 0;
  uint32_t count = 0;
  uint64_t cluster_id_high = 0;
  uint64_t cluster_id_low = 0;
  std::function<uint64_t()> leaves_free{};  // bytes of the disk that no spare may take
  uint64_t salt_seed = 0;                   // 0: salts come from the operating system
};

class SpareSegments {
 public:
  SpareSegments(Disk& disk, std::string directory, const SpareOptions& options);
  ~SpareSegments();  // ends the thread

  // Begins to prepare ahead; without it, and if no thread can be had, `take` makes every segment.
  void start();
  // A segment of at least `size_bytes`, synced, under its spare name; the directory is not synced.
  Result<std::unique_ptr<Segment>> take(uint64_t size_bytes);
  void give_back(std::unique_ptr<Segment> segment);
  // For segments made from now on; ready ones keep theirs (a node has none when it gets its cluster id).
  void set_cluster_id(uint64_t high, uint64_t low);
  // Something of the log was removed: if there was no space, there may be now.
  void space_came_back();
  // There was no space for a spare when the thread last tried.
  [[nodiscard]] bool is_short_of_space() const { return is_short_; }
  // Room for records in the spares that are ready.
  [[nodiscard]] uint64_t ready_bytes() const;

 private:
  void run();
  Result<std::unique_ptr<Segment>> make(uint64_t size_bytes);
  Result<std::unique_ptr<Segment>> make_in_background();

  Disk& disk_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  const uint32_t count_;
  const std::function<uint64_t()> leaves_free_;
  const uint64_t salt_seed_;

  mutable std::mutex mutex_;  // guards all below but the thread; never held over a disk call
  std::condition_variable changed_;
  uint64_t cluster_id_high_;
  uint64_t cluster_id_low_;
  uint64_t next_number_ = 1;
  std::vector<std::unique_ptr<Segment>> ready_;
  bool making_ = false;  // by the thread
  bool try_again_ = false;
  bool stop_ = false;

  std::atomic<bool> is_short_{false};
  std::thread thread_;
};

}  // namespace dqlite::raft
