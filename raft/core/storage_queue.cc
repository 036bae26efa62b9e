#include "raft/core/storage_queue.h"

#include <algorithm>

namespace dqlite::raft {

Persist& StorageQueue::open() {
  if (queued_.empty()) {
    queued_.emplace_back();
    queued_to_.push_back(tail_);
    queued_.back().token = next_token_++;
  }
  return queued_.back();
}

void StorageQueue::set_hard_state(HardState hard_state) {
  hard_state_ = hard_state;
  open().hard_state = hard_state;
}

void StorageQueue::append(const Entry& entry) {
  Persist& persist = open();
  persist.entries.push_back(entry);
  tail_ = entry.index;
  queued_to_.back() = tail_;
}

void StorageQueue::truncate_from(Index from) {
  durable_index_ = std::min(durable_index_, from - 1);
  tail_ = std::min(tail_, from - 1);
  for (Written& written : written_) written.durable_to = std::min(written.durable_to, tail_);
  for (Index& queued_to : queued_to_) queued_to = std::min(queued_to, tail_);
  // What is queued already may carry promises about the entries that go now: it stays as it is, and the
  // truncation is a Persist of its own behind it.
  if (!queued_.empty() && (!queued_.back().entries.empty() || queued_.back().truncate_from != 0)) {
    queued_.emplace_back();
    queued_to_.push_back(tail_);
    queued_.back().token = next_token_++;
  }
  open().truncate_from = from;
}

void StorageQueue::after(Message message) {
  open().after.push_back(std::move(message));
}

bool StorageQueue::is_durable(Index index) const {
  return index <= durable_index_ && hard_state_ == durable_hard_state_;
}

std::vector<Persist> StorageQueue::take(Index commit, uint64_t now) {
  // What a later one removes was never committed: no earlier one may say so, since the disk may be left
  // between the two.
  for (auto persist = queued_.rbegin(); persist != queued_.rend(); ++persist) {
    persist->commit = commit;
    if (persist->truncate_from != 0) commit = std::min(commit, persist->truncate_from - 1);
  }
  for (size_t i = 0; i < queued_.size(); i++) {
    Persist& persist = queued_[i];
    const bool changes_log = !persist.entries.empty() || persist.truncate_from != 0;
    HardState so_far = written_.empty() ? durable_hard_state_ : written_.back().hard_state;
    written_.push_back({persist.token, queued_to_[i], persist.hard_state.value_or(so_far), changes_log, now});
  }
  queued_to_.clear();
  return std::exchange(queued_, {});
}

void StorageQueue::persisted(uint64_t token) {
  while (!written_.empty() && written_.front().token <= token) {
    durable_index_ = std::max(durable_index_, written_.front().durable_to);
    durable_hard_state_ = written_.front().hard_state;
    written_.pop_front();
  }
}

void StorageQueue::reset(Index index) {
  for (Written& written : written_) written.durable_to = 0;
  for (Index& queued_to : queued_to_) queued_to = index;
  durable_index_ = index;
  tail_ = index;
}

bool StorageQueue::changes_log() const {
  const bool queued = std::any_of(queued_.begin(), queued_.end(), [](const Persist& persist) {
    return !persist.entries.empty() || persist.truncate_from != 0;
  });
  return queued || std::any_of(written_.begin(), written_.end(),
                               [](const Written& written) { return written.changes_log; });
}

std::optional<uint64_t> StorageQueue::oldest_tick() const {
  if (written_.empty()) return std::nullopt;
  return written_.front().taken_at;
}

}  // namespace dqlite::raft
