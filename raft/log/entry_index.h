// Where every entry of the log is: 16 bytes an entry in memory, whatever its payload.
//
// Filled by recovery and Log::append, asked by Log::read and the node. Holds the entries above `start`, which
// stand for all that was compacted. Offsets are kept in units of 8 bytes, terms as runs. Pure; not
// synchronised: Log guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "raft/core/types.h"

namespace dqlite::raft {

struct EntryPlace {
  uint64_t segment = 0;       // sequence number
  uint64_t offset = 0;        // of the record
  uint64_t record_bytes = 0;  // header, payload and padding
  Term term = 0;
};

class EntryIndex {
 public:
  explicit EntryIndex(EntryId start = {}) : start_(start) {}

  // `index` must be last_index() + 1.
  void append(Term term, uint64_t segment, uint64_t offset, uint64_t record_bytes);
  // Removes the entries from `from` on.
  void truncate(Index from);
  // The log starts behind `start` now.
  void drop_prefix(EntryId start);

  [[nodiscard]] EntryId start() const { return start_; }
  [[nodiscard]] Index last_index() const { return start_.index + places_.size(); }
  [[nodiscard]] bool contains(Index index) const { return index > start_.index && index <= last_index(); }
  [[nodiscard]] EntryPlace place(Index index) const;  // `index` must be contained
  // 0 outside the log; the start's own term at the start.
  [[nodiscard]] Term term_at(Index index) const;
  [[nodiscard]] std::vector<EntryId> term_runs() const { return {runs_.begin(), runs_.end()}; }
  [[nodiscard]] uint64_t size_bytes() const { return end_of(last_index()) - base_; }
  // The smallest index such that at most `bytes` of records lie above it.
  [[nodiscard]] Index tail_begin(uint64_t bytes) const;

 private:
  struct Place {
    uint32_t segment;       // the low half of the sequence number
    uint32_t offset_units;  // a segment is at most 32 GiB
    uint64_t end;           // sum of all record sizes up to and with this one
  };
  static_assert(sizeof(Place) == 16);
  [[nodiscard]] uint64_t end_of(Index index) const {
    return index <= start_.index ? base_ : places_[index - start_.index - 1].end;
  }

  EntryId start_;
  uint64_t base_ = 0;  // `end` of the entry at the start
  std::deque<Place> places_;
  std::deque<EntryId> runs_;  // the first index of each run of one term, ascending
};

}  // namespace dqlite::raft
