// The inside of raft::Log, shared by the files that implement it: log.cc (opening, reading, dropping) and
// log_append.cc.
//
// Lock order: writer > state > mutex. `writer` and `state` are turns at the disk and are held over disk
// calls, by the log-writer thread and by whoever compacts or resets; no reader ever takes them. `mutex` is
// never held over a disk call.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raft/log/batch_plan.h"
#include "raft/log/entry_index.h"
#include "raft/log/log.h"
#include "raft/log/recovery.h"
#include "raft/log/segment.h"
#include "raft/log/spare_segments.h"
#include "raft/log/state_file.h"

namespace dqlite::raft {

struct Log::State {
  State(Disk& the_disk, std::string the_directory, const LogOptions& options);

  // --- opening ---
  Status begin_new_log();
  Status prepare_for_damage(Term term);
  Status add_segment(RecoveredLog& log);
  void adopt(RecoveredLog log);

  // --- appending, with `writer` held ---
  struct Work {
    std::optional<HardState> hard_state;
    std::vector<NewRecord> records;
    Index last = 0;       // of the log with all of it
    Index committed = 0;  // nothing at or below may be truncated
  };
  Result<Work> collect(const std::vector<Persist>& persists) const;
  Status add_persist(const Persist& persist, Work& work) const;
  Status write(const Work& work);
  Result<std::vector<std::shared_ptr<Segment>>> reserve(const std::vector<BatchPart>& parts);
  Status make_live(const std::vector<std::shared_ptr<Segment>>& fresh, const std::vector<BatchPart>& parts);
  Status write_part(const BatchPart& part, const std::shared_ptr<Segment>& segment,
                    const std::vector<NewRecord>& records);
  [[nodiscard]] Index durable_commit(std::span<const NewRecord> to_come) const;
  Status save_hard_state(const HardState& wanted);
  Status rename_live(Segment& segment, uint64_t sequence, Index first);
  Status remove(const std::deque<std::shared_ptr<Segment>>& dropped);

  Status poison(const Status& cause);
  [[nodiscard]] Status fault_status() const;

  Disk& disk;
  const std::string directory;
  const uint64_t segment_bytes;
  Recovered recovered;    // immutable once open
  std::string note;       // immutable once open
  std::string damage;     // immutable once open
  Term highest_term = 0;  // immutable once open

  std::mutex writer;       // guards: the position behind the last batch, and the order of batches
  Index commit_known = 0;  // told by persists, recorded with the next batch
  Index commit_recorded = 0;
  uint64_t next_batch = 1;
  uint32_t previous = 0;

  std::mutex state;  // guards: the state file
  StateFile state_file;

  mutable std::mutex mutex;                       // guards: what readers see
  std::deque<std::shared_ptr<Segment>> segments;  // ascending by sequence, without a gap
  // Takes the next batch. Segments behind it have been made live for an append that is under way.
  std::shared_ptr<Segment> active;
  uint64_t end = 0;  // of the records in `active`
  uint64_t dropped_bytes = 0;
  EntryIndex index;
  LogStart start;
  HardState hard_state;
  std::optional<Status> fault;

  std::atomic<uint64_t> sync_count{0};
  SpareSegments spares;  // last: its thread ends first
};

}  // namespace dqlite::raft
