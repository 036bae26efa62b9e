// What is on its way to this member's disk, and what may be said only when it has arrived.
//
// The core changes its memory at once and hands the changes out as `Persist`s, which the disk carries out in
// order. Two things depend on their completion: the messages that promise something (they travel inside the
// Persist), and what this member counts as durable.
//
// The append ABA race (raft.md 1.11): entries are appended, truncated and appended again with the same index
// and term; the disk's late answer for the first write must not count for the second. So every Persist
// remembers up to which index the log *of now* will be durable when it completes, and a truncation lowers
// that for all Persists before it. Part of the core; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "raft/core/core.h"

namespace dqlite::raft {

class StorageQueue {
 public:
  StorageQueue(HardState hard_state, Index last_index)
      : durable_hard_state_(hard_state),
        hard_state_(hard_state),
        durable_index_(last_index),
        tail_(last_index) {}

  void set_hard_state(HardState hard_state);
  void append(const Entry& entry);
  void truncate_from(Index from);
  // Sent when everything queued so far is durable.
  void after(Message message);
  // Everything up to `index`, and the newest term and vote, is durable now.
  [[nodiscard]] bool is_durable(Index index) const;

  // What was queued since the last call. `now`: the tick, for `oldest_tick`.
  std::vector<Persist> take(Index commit, uint64_t now);
  void persisted(uint64_t token);
  // The log was replaced by a snapshot at `index`, which is durable.
  void reset(Index index);

  [[nodiscard]] Index durable_index() const { return durable_index_; }
  [[nodiscard]] HardState durable_hard_state() const { return durable_hard_state_; }
  [[nodiscard]] bool is_idle() const { return queued_.empty() && written_.empty(); }
  // An append or a truncation is queued or being written.
  [[nodiscard]] bool changes_log() const;
  // When the oldest Persist that is not durable yet was handed out.
  [[nodiscard]] std::optional<uint64_t> oldest_tick() const;

 private:
  struct Written {
    uint64_t token;
    Index durable_to;  // of the log of now, once this one is durable
    HardState hard_state;
    bool changes_log;
    uint64_t taken_at;
  };

  Persist& open();

  uint64_t next_token_ = 1;
  HardState durable_hard_state_;
  HardState hard_state_;
  Index durable_index_;
  Index tail_;  // the last index of the log in memory
  std::vector<Persist> queued_;
  std::vector<Index> queued_to_;  // durable_to of each one queued
  std::deque<Written> written_;
};

}  // namespace dqlite::raft
