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

#include "raft/core/types.h"

namespace dqlite::raft {

// Who asked: this node's own read by its id, or another member by the number of its question.
struct ReadOrigin {
  NodeId peer = 0;  // 0: this node
  uint64_t id = 0;
};

struct ConfirmedRead {
  ReadOrigin origin;
  Index index = 0;
};

class ReadRounds {
 public:
  void add(ReadOrigin origin) { waiting_.push_back(origin); }
  [[nodiscard]] bool is_waiting() const { return !waiting_.empty(); }
  // All that came so far share one new round.
  void begin_round(Index commit);
  [[nodiscard]] uint64_t round() const { return round_; }
  // A majority has echoed `round`: these are done.
  std::vector<ConfirmedRead> confirm(uint64_t round);
  // Everything that is not done yet; nothing is left.
  std::vector<ReadOrigin> take_all();
  [[nodiscard]] bool is_pending() const { return !pending_.empty(); }

 private:
  struct Pending {
    ReadOrigin origin;
    uint64_t round;
    Index index;
  };

  uint64_t round_ = 0;
  std::vector<ReadOrigin> waiting_;
  std::deque<Pending> pending_;  // ascending by round
};

}  // namespace dqlite::raft
