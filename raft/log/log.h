// The durable log of one member: entries, and with them term and vote.
//
// What a reader finds on disk in `<node directory>/`:
//   state-0, state-1      hard state and log start in alternating slots (raft/log/state_file.h)
//   log-<seq>-<first>     segments: a header, then records (raft/log/record.h), zero-filled to their size
//   spare-<n>             segments being prepared, or ready, without a record
// A record is never overwritten with other bytes: truncation is a record too. A batch is written only after
// the previous batch's sync returned, so a bad record with a valid record of a HIGHER batch behind it is
// damage, and any other is a torn tail [A8]. Recovery writes the last batch again and syncs it before `open`
// returns, since what survived `kill -9` in the page cache is not durable yet [A12]; its rules are the table
// in raft/log/recovery.h.
//
// Threads: `append` and `append_commit` from the log-writer thread; `read`, `term_at` and the sizes from any
// thread; `compact` and `reset` from any one thread at a time, and beside an append: `compact` only waits for
// a hard state that is being saved, `reset` waits for a whole append. A failed write or sync poisons the log:
// every later call that would promise durability fails with the first failure's sentence, for the life of the
// object. So does a call that would break the log (a gap, a truncation of committed entries, a vote taken
// back). Only kFull has no effect at all and may be retried: space for every segment that a call needs is
// taken before its first byte is written [B5].
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/core.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

// What to do with a log that is damaged.
enum class OnDamage : uint8_t {
  kRefuse,        // `open` is kCorrupt and names file, offset and the index range; nothing is changed
  kKeepReadable,  // the log is what can be read in front of the damage; every call that would write fails
  kPutAside,      // the same, and the rest is put aside, so that the log can go on (raft/log/salvage.h)
};

struct LogOptions {
  uint64_t segment_bytes = 8 << 20;
  uint32_t spare_segments =
      1;  // prepared ahead, off the commit path, by a thread of the log's own (0: by append)
  std::function<uint64_t()> leaves_free{};  // bytes of the disk that no spare may take; by that thread
  uint64_t cluster_id_high = 0;             // in every segment's header: a log of another cluster is refused
  uint64_t cluster_id_low = 0;
  std::vector<ClusterId> former_clusters{};  // whose segments are this log's, too
  OnDamage on_damage = OnDamage::kRefuse;
  // kPutAside: this member's term from now on, durable before anything is changed (see `Recovered::mute_below`).
  Term raise_term_to = 0;
  uint64_t salt_seed = 0;  // of the segments' salts; 0: from the operating system (simulations set it)
};

class Log {
 public:
  // Opens or creates the log in `directory`, recovers it and makes what it found durable. Without a readable
  // term and vote it is kCorrupt whatever `on_damage` says.
  static Result<std::unique_ptr<Log>> open(Disk& disk, const std::string& directory,
                                           const LogOptions& options);
  ~Log();

  // What recovery found, for the core and the state machine.
  [[nodiscard]] const Recovered& recovered() const;
  // What recovery cut off as the unfinished batch of a crash, as a sentence for the host's log; empty:
  // nothing.
  [[nodiscard]] const std::string& recovery_note() const;
  // Where it was found damaged, how, and which entries are in doubt; empty: it was not.
  [[nodiscard]] const std::string& damage() const;
  // Of term and vote, and of every valid record that recovery saw, in front of the damage or behind it.
  [[nodiscard]] Term highest_term() const;

  // Writes all of the persists as one batch, with one sync (hard state first, with a sync of its own, if it
  // changed; a batch that crosses into a new segment takes one sync for each). Durable on return. After a
  // crash before that, each segment's share is there wholly or not at all, in order. A commit index without
  // news beside it needs no write: it goes along with the next batch. Recorded is at most what was durable
  // here before the batch [A2, A8].
  Status append(const std::vector<Persist>& persists);
  // For an orderly stop: makes the exact commit index durable, unless it is already [A2]. Nothing above the
  // last durable entry is recorded.
  Status append_commit(Index commit);

  // Entries from `from` on, up to `to` inclusive or until `max_bytes` is passed (always at least one).
  // kNotFound below the start or above the end; kCorrupt if the disk gives bytes that are not the entry's.
  Result<std::vector<Entry>> read(Index from, Index to, size_t max_bytes);

  // Drops the prefix up to `start.last`, an entry of this log: the new start is durable first, then segments
  // go from the oldest on [B12]. At or below the present start: nothing happens. kInvalid, without effect, if
  // `start.last` is not in the log. A kIo that says "left over" is harmless: the file is ignored, and removed
  // at the next start.
  Status compact(const LogStart& start);
  // After a snapshot: the log is empty and starts behind `start.last`; keeps the hard state. The caller sees
  // to it that no persist made before comes after it.
  Status reset(const LogStart& start);
  // Segments made from now on bear the id; those of a node that was new bear none, and are accepted.
  void set_cluster_id(uint64_t high, uint64_t low);

  [[nodiscard]] LogStart start() const;
  [[nodiscard]] HardState hard_state() const;
  [[nodiscard]] Index last_index() const;
  [[nodiscard]] Term term_at(Index index) const;  // 0: neither the start nor in the log
  [[nodiscard]] uint64_t size_bytes() const;      // of the records between start and end
  [[nodiscard]] uint64_t dropped_bytes() const;   // of the records that `compact` dropped since the opening
  // The smallest index such that at most `bytes` of records lie above it: where a tail of that size begins.
  [[nodiscard]] Index tail_begin(uint64_t bytes) const;
  // There is no space for another segment.
  [[nodiscard]] bool is_short_of_space() const;
  // Of the disk, for anybody.
  [[nodiscard]] Result<uint64_t> free_bytes() const;
  // Bytes of records for which the disk's space is taken already: what admission of a write may count on
  // [B5].
  [[nodiscard]] uint64_t reserved_bytes() const;
  [[nodiscard]] uint64_t sync_count() const;  // of appends

 private:
  struct State;
  explicit Log(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dqlite::raft
