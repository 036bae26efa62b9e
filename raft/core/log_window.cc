#include "raft/core/log_window.h"

#include <algorithm>
#include <limits>

namespace dqlite::raft {

namespace {

// An entry without payload takes memory too.
size_t memory_of(const Entry& entry) {
  return sizeof(Entry) + entry.size_bytes();
}

}  // namespace

LogWindow::LogWindow(EntryId start, std::vector<EntryId> runs, Index last_index)
    : start_(start), runs_(std::move(runs)), last_index_(last_index) {}

std::optional<Term> LogWindow::term_at(Index index) const {
  if (index == start_.index) return start_.term;
  if (index < start_.index || index > last_index_) return std::nullopt;
  auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                [](Index wanted, const EntryId& run) { return wanted < run.index; });
  if (after == runs_.begin()) return std::nullopt;
  return std::prev(after)->term;
}

EntryId LogWindow::largest_not_above(Index index, Term term) const {
  index = std::min(index, last_index_);
  if (index < start_.index) return {index, 0};
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->index > index) continue;
    if (run->term <= term) return {index, run->term};
    index = run->index - 1;
  }
  return start_;
}

void LogWindow::append(Entry entry) {
  last_index_ = entry.index;
  if (runs_.empty() || runs_.back().term != entry.term) runs_.push_back(entry.id());
  cached_bytes_ += memory_of(entry);
  cache_.push_back(std::move(entry));
}

void LogWindow::truncate_from(Index from) {
  while (!cache_.empty() && cache_.back().index >= from) {
    cached_bytes_ -= memory_of(cache_.back());
    cache_.pop_back();
  }
  while (!runs_.empty() && runs_.back().index >= from) runs_.pop_back();
  last_index_ = from - 1;
}

void LogWindow::compact_to(EntryId start) {
  while (!cache_.empty() && cache_.front().index <= start.index) forget_front();
  // The run that holds the first entry kept goes on from there.
  size_t keep = 0;
  while (keep < runs_.size() && runs_[keep].index <= start.index) keep++;
  if (keep > 0) {
    if (start.index < last_index_ && (keep == runs_.size() || runs_[keep].index > start.index + 1)) {
      keep--;
      runs_[keep].index = start.index + 1;
    }
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(keep));
  }
  start_ = start;
}

void LogWindow::reset(EntryId start) {
  cache_.clear();
  cached_bytes_ = 0;
  runs_.clear();
  start_ = start;
  last_index_ = start.index;
}

const Entry* LogWindow::cached(Index index) const {
  const Index begin = cache_begin();
  if (index < begin || index > last_index_) return nullptr;
  return &cache_[index - begin];
}

std::vector<Entry> LogWindow::slice(Index from, Index to, size_t max_bytes) const {
  std::vector<Entry> entries;
  size_t bytes = 0;
  for (Index index = from; index <= to; index++) {
    const Entry* entry = cached(index);
    if (entry == nullptr) break;
    bytes += entry->size_bytes();
    if (!entries.empty() && bytes > max_bytes) break;
    entries.push_back(*entry);
  }
  return entries;
}

void LogWindow::evict(Index up_to, size_t cache_bytes) {
  while (cached_bytes_ > cache_bytes && !cache_.empty() && cache_.front().index <= up_to) forget_front();
}

void LogWindow::forget_front() {
  cached_bytes_ -= memory_of(cache_.front());
  cache_.pop_front();
}

Status LogWindow::check_invariants() const {
  auto broken = [](const std::string& what, Index index) {
    return Status(Code::kPoisoned, "log window: " + what + " at index " + std::to_string(index));
  };
  if (last_index_ < start_.index) return broken("the log ends before its start", last_index_);
  if (runs_.empty() != (last_index_ == start_.index)) return broken("runs do not cover the log", last_index_);
  for (size_t i = 0; i < runs_.size(); i++) {
    if (i == 0 && runs_[0].index != start_.index + 1)
      return broken("L1 a gap behind the start", runs_[0].index);
    if (i == 0 && runs_[0].term < start_.term)
      return broken("L1 terms descend behind the start", runs_[0].index);
    if (i > 0 && (runs_[i].index <= runs_[i - 1].index || runs_[i].term <= runs_[i - 1].term)) {
      return broken("L1 runs do not ascend", runs_[i].index);
    }
    if (runs_[i].index > last_index_) return broken("L1 a run beyond the end", runs_[i].index);
  }
  for (size_t i = 0; i < cache_.size(); i++) {
    if (cache_[i].index != cache_begin() + i) return broken("L2 the cache has a gap", cache_[i].index);
    if (!holds(cache_[i].id()))
      return broken("L2 a cached entry has another term than its run", cache_[i].index);
  }
  return Status::ok();
}

}  // namespace dqlite::raft
