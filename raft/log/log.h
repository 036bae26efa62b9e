// The durable log of one member: entries, and with them term and vote.
//
// What a reader finds on disk in `<node directory>/`:
//   state-0, state-1      hard state and log start in alternating slots (raft/log/state_file.h)
//   log-<seq>-<first>     segments: a header, then records (raft/log/record.h), zero-filled to their size
//   spare-<n>             segments being prepared, or ready, without a record
// A record is never overwritten: truncation is a record too. A batch is written only after the previous batch's sync
// returned, so a bad record with a valid record of a HIGHER batch behind it is damage, and any other is a torn tail [A8].
// Recovery rewrites and syncs the unsealed segment before `open` returns, since what survived `kill -9` in the page
// cache is not durable yet [A12].
//
// Threads: `append` and `save_hard_state` from the log-writer thread alone; `read`, `term_at` and the sizes from any
// thread; `compact` and `reset` from any one thread at a time. A failed write or sync poisons the log: every later call
// that would promise durability fails with the first failure's sentence, for the life of the object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/core.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

struct LogOptions {
  uint64_t segment_bytes = 8 << 20;
  uint32_t spare_segments = 1;    // prepared ahead, off the commit path, by a thread of the log's own (0: by append)
  uint64_t cluster_id_high = 0;   // in every segment's header: a log of another cluster is refused
  uint64_t cluster_id_low = 0;
};

class Log {
 public:
  // Opens or creates the log in `directory`, recovers it and makes what it found durable. Damage is kCorrupt and names
  // file, offset and the index range; nothing is cut in that case.
  static Result<std::unique_ptr<Log>> open(Disk& disk, const std::string& directory, const LogOptions& options);
  ~Log();

  // What recovery found, for the core and the state machine.
  [[nodiscard]] const Recovered& recovered() const;

  // Writes all of the persists with one write and one sync (hard state first, if any changed). Durable on return.
  Status append(const std::vector<Persist>& persists);

  // Entries from `from` on, up to `to` inclusive or until `max_bytes` is passed (always at least one).
  // kNotFound below the start or above the end; kCorrupt if the disk gives bytes that are not the entry's.
  Result<std::vector<Entry>> read(Index from, Index to, size_t max_bytes);

  // Drops the prefix up to `start.last`: the new start is durable first, then segments go from the oldest on [B12].
  Status compact(const LogStart& start);
  // After a snapshot: the log is empty and starts behind `start.last`; keeps the hard state.
  Status reset(const LogStart& start);

  [[nodiscard]] LogStart start() const;
  [[nodiscard]] Index last_index() const;
  [[nodiscard]] uint64_t size_bytes() const;   // of the records between start and end
  // The smallest index such that at most `bytes` of records lie above it: where a tail of that size begins.
  [[nodiscard]] Index tail_begin(uint64_t bytes) const;
  [[nodiscard]] uint64_t sync_count() const;

 private:
  struct State;
  explicit Log(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dqlite::raft
