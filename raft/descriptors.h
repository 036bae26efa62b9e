// The descriptors that a node holds, so that a forked child can close them.
//
// A child inherits sockets, the listening port, the epoll set and the log's files, and keeps them alive after
// the parent died [B6]. It cannot ask their owners: any list may be in the middle of a change at the moment
// of the fork, under a lock that nobody will ever release. So each descriptor is noted here in a table of
// atomics. `add` and `remove` on any thread; `close_all` in the child alone.
#pragma once

#include <array>
#include <atomic>

namespace dqlite::raft {

class Descriptors {
 public:
  Descriptors() {
    for (std::atomic<int>& slot : slots_) slot.store(-1, std::memory_order_relaxed);
  }

  // A table that is full forgets the descriptor: the child then keeps one more than it should.
  void add(int descriptor);
  // Before the descriptor is closed, or its number may already be another file's.
  void remove(int descriptor);
  void close_all();

 private:
  std::array<std::atomic<int>, 2048> slots_;
};

}  // namespace dqlite::raft
