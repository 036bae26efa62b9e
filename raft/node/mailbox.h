// A queue into one lane: anybody puts in, the lane takes out everything that is there at once.
//
// How much may lie in it is bounded by whoever fills it (the core's windows, the applier's backlog limit).
// Any thread puts; one lane takes.
#pragma once

#include <utility>
#include <vector>

#include "raft/node/lane.h"

namespace dqlite::raft {

template <typename T>
class Mailbox {
 public:
  explicit Mailbox(Lane& lane) : lane_(lane) {}

  // False: closed, and the item is dropped.
  bool put(T item) {
    if (!put_quietly(std::move(item))) return false;
    lane_.wake();
    return true;
  }

  // The same for what is of no use before a later item or `wake`: the lane is left to sleep.
  bool put_quietly(T item) {
    MutexLock lock(mutex_);
    if (closed_) return false;
    items_.push_back(std::move(item));
    return true;
  }

  // If something is there.
  void wake() {
    {
      MutexLock lock(mutex_);
      if (items_.empty()) return;
    }
    lane_.wake();
  }

  // What is there, which may be nothing, goes into `out`.
  void take_all(std::vector<T>& out) {
    out.clear();
    MutexLock lock(mutex_);
    out.swap(items_);
  }

  // What is there can still be taken, by the lane's last call.
  void close() {
    {
      MutexLock lock(mutex_);
      closed_ = true;
    }
    lane_.close();
  }

 private:
  Lane& lane_;
  Mutex mutex_;
  std::vector<T> items_ DQLITE_GUARDED_BY(mutex_);
  bool closed_ DQLITE_GUARDED_BY(mutex_) = false;
};

}  // namespace dqlite::raft
