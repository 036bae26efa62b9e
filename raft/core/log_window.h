// What the core knows of its log: the term of every entry, and the newest entries themselves.
//
// Terms are kept as runs, so memory stays flat however long the log is. The entries in memory are always a
// suffix of the log (or nothing, after a restart): whatever is not yet handed out to be applied or not yet
// durable stays, and of the rest as much as fits the cache. Part of the core; one thread.
//
// Invariants: L1 runs ascend in index and in term, the first begins right behind the start; L2 the cached
// entries are contiguous, end at `last_index` and have the terms of the runs.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "codec/status.h"
#include "raft/core/types.h"

namespace dqlite::raft {

class LogWindow {
 public:
  // `runs`: (first index of the run, term), behind `start`.
  LogWindow(EntryId start, std::vector<EntryId> runs, Index last_index);

  [[nodiscard]] EntryId start() const { return start_; }
  [[nodiscard]] Index last_index() const { return last_index_; }
  [[nodiscard]] EntryId last() const {
    return {last_index_, runs_.empty() ? start_.term : runs_.back().term};
  }
  // Known from the start's own index to the last.
  [[nodiscard]] std::optional<Term> term_at(Index index) const;
  [[nodiscard]] bool holds(EntryId id) const { return term_at(id.index) == id.term; }
  // The largest entry at or below `index` whose term is at most `term`: where two logs that differ at `index`
  // may agree again, found in one step per term (raft.md 1.9). Never below the start, whose entry is
  // committed; an `index` below the start comes back as it is, with term 0.
  [[nodiscard]] EntryId largest_not_above(Index index, Term term) const;

  void append(Entry entry);        // index is last_index() + 1
  void truncate_from(Index from);  // above the start
  void compact_to(EntryId start);  // an entry of the log
  void reset(EntryId start);       // an empty log behind it

  // The first entry in memory; last_index() + 1 if there is none.
  [[nodiscard]] Index cache_begin() const { return last_index_ + 1 - cache_.size(); }
  [[nodiscard]] const Entry* cached(Index index) const;
  // From the cache, up to `to` or until `max_bytes` would be passed, but at least one; empty if `from` is not
  // cached.
  [[nodiscard]] std::vector<Entry> slice(Index from, Index to, size_t max_bytes) const;
  // Lets go of the oldest entries at or below `up_to` until `cache_bytes` are kept.
  void evict(Index up_to, size_t cache_bytes);

  [[nodiscard]] Status check_invariants() const;

 private:
  void forget_front();

  EntryId start_;
  std::vector<EntryId> runs_;
  Index last_index_;
  std::deque<Entry> cache_;
  size_t cached_bytes_ = 0;
};

}  // namespace dqlite::raft
