// When checkpoints are due, and the thread that carries them out.
//
// On the leader it proposes a checkpoint when one is due (checkpoint_schedule.h). On every node it carries out what a
// committed entry asks for, in its own time: commits, reads and the applier go on. A checkpoint that has to wait for a
// reader or a stock process is tried again every second, and says in `status` what it waits for.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "codec/status.h"
#include "vfs/checkpoint_schedule.h"
#include "vfs/replicator.h"

namespace dqlite::vfs {

class Database;
class DatabaseSet;

struct CheckpointReport {
  uint64_t index = 0;  // every database's file holds all of its entries up to here
  uint64_t pages = 0;  // written
  uint64_t bytes = 0;  // to journals and files
  int64_t duration_us = 0;
};

class Checkpointer {
 public:
  static constexpr std::chrono::seconds kRetryInterval{1};

  Checkpointer(DatabaseSet& databases, Replicator& replicator);

  // The thread ends within the step it is in; call before destruction.
  void stop();
  ~Checkpointer();

  // --- the applier thread ---
  void request(uint64_t index);
  void frames_published(uint64_t frames, uint64_t bytes);
  void leadership_gained();  // whatever waits is this node's to propose now

  // --- any thread ---
  // Until every database's file holds its entries up to `index`. kTimeout tells what it waits for.
  Result<CheckpointReport> wait(uint64_t index, Deadline deadline);
  // What the newest attempt had to wait for; empty if nothing.
  [[nodiscard]] std::string waiting_for();
  [[nodiscard]] uint64_t completed();  // checkpoints since the start

 private:
  using Time = CheckpointSchedule::Time;

  void run();
  void work();  // until it is stopped, or memory is gone
  // One attempt at every database; the index reached by all.
  Result<CheckpointReport> attempt(uint64_t requested);
  void arm(Time now);  // call with mutex_ held
  void propose_if_due(Time now);
  [[nodiscard]] Time next_wake(Time now) const;  // call with mutex_ held

  DatabaseSet& databases_;
  Replicator& replicator_;
  // Read without the mutex for speed, changed with it.
  std::atomic<bool> armed_{false};      // frames wait for a checkpoint, and the thread knows
  std::atomic<bool> due_known_{false};  // they are many, and the thread knows
  std::mutex mutex_;                    // guards everything below
  std::condition_variable wake_;
  std::condition_variable done_;
  uint64_t requested_ = 0;
  CheckpointReport report_;
  bool reached_ = true;  // report_ reached what was requested then
  std::string waiting_for_;
  uint64_t completed_ = 0;
  Time retry_at_{};
  CheckpointSchedule schedule_;
  Time proposed_at_{};
  bool proposed_ = false;  // and not yet carried out
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace dqlite::vfs
