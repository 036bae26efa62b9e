#include "raft/log/entry_index.h"

#include <algorithm>

#include "raft/log/record.h"

namespace dqlite::raft {

void EntryIndex::append(Term term, uint64_t segment, uint64_t offset, uint64_t record_bytes) {
  uint64_t end = end_of(last_index()) + record_bytes;
  places_.push_back({static_cast<uint32_t>(segment), static_cast<uint32_t>(offset / kRecordAlignment), end});
  if (runs_.empty() || runs_.back().term != term) runs_.push_back({last_index(), term});
}

void EntryIndex::truncate(Index from) {
  while (last_index() >= from && !places_.empty()) places_.pop_back();
  while (!runs_.empty() && runs_.back().index > last_index()) runs_.pop_back();
}

void EntryIndex::drop_prefix(EntryId start) {
  while (start_.index < start.index && !places_.empty()) {
    base_ = places_.front().end;
    places_.pop_front();
    start_.index++;
  }
  start_ = start;
  while (runs_.size() > 1 && runs_[1].index <= start.index + 1) runs_.pop_front();
  if (places_.empty()) {
    runs_.clear();
  } else if (!runs_.empty() && runs_.front().index <= start.index) {
    runs_.front().index = start.index + 1;
  }
}

EntryPlace EntryIndex::place(Index index) const {
  const Place& found = places_[index - start_.index - 1];
  return {found.segment, uint64_t{found.offset_units} * kRecordAlignment, found.end - end_of(index - 1),
          term_at(index)};
}

Term EntryIndex::term_at(Index index) const {
  if (index == start_.index) return start_.term;
  if (!contains(index)) return 0;
  auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                [](Index wanted, const EntryId& run) { return wanted < run.index; });
  return std::prev(after)->term;
}

Index EntryIndex::tail_begin(uint64_t bytes) const {
  uint64_t end = end_of(last_index());
  Index low = start_.index;
  Index high = last_index();  // always satisfies
  while (low < high) {
    Index middle = low + (high - low) / 2;
    if (end - end_of(middle) <= bytes) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace dqlite::raft
