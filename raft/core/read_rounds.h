// ReadIndex: proves that this member still led when a read came in, without writing to the log
// (dissertation 6.4).
//
// A read takes the commit index and waits for a *round* of messages begun after it came in: when a majority
// has echoed that round's number, no newer leader can have committed anything before the read began. Numbers
// only grow and are never reused, so a late answer proves nothing about a newer read (etcd#20418). Reads that
// come before the leader has committed an entry of its own term wait for that: until then it does not know
// the newest commit index. Part of the core; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "raft/core/core.h"

namespace dqlite::raft {

class ReadRounds {
 public:
  void add(uint64_t id) { waiting_.push_back(id); }
  [[nodiscard]] bool is_waiting() const { return !waiting_.empty(); }
  // All that came so far share one new round.
  void begin_round(Index commit);
  [[nodiscard]] uint64_t round() const { return round_; }
  // A majority has echoed `round`.
  void confirm(uint64_t round, std::vector<ReadOutcome>& out);
  void fail_all(const Status& reason, std::vector<ReadOutcome>& out);
  [[nodiscard]] bool is_pending() const { return !pending_.empty(); }

 private:
  struct Pending {
    uint64_t id;
    uint64_t round;
    Index index;
  };

  uint64_t round_ = 0;
  std::vector<uint64_t> waiting_;
  std::deque<Pending> pending_;  // ascending by round
};

}  // namespace dqlite::raft
