// A queue into one thread: anybody puts in, the thread takes out everything that is there at once.
//
// How much may lie in it is bounded by whoever fills it (the core's windows, the applier's backlog limit).
// Any thread puts; one thread takes.
#pragma once

#include <utility>
#include <vector>

#include "raft/node/mutex.h"

namespace dqlite::raft {

template <typename T>
class Mailbox {
 public:
  // False: closed, and the item is dropped.
  bool put(T item) {
    {
      MutexLock lock(mutex_);
      if (closed_) return false;
      items_.push_back(std::move(item));
      if (std::exchange(woken_, true)) return true;
    }
    filled_.notify_one();  // without the mutex, which the thread that wakes takes first
    return true;
  }

  // The same for what is of no use before a later item or `wake`: the thread sleeps on.
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
      if (items_.empty() || std::exchange(woken_, true)) return;
    }
    filled_.notify_one();
  }

  // Waits for something, and puts it into `out`. False: closed, and nothing is left.
  bool take_all(std::vector<T>& out) {
    out.clear();
    MutexLock lock(mutex_);
    while (items_.empty()) {
      if (closed_) return false;
      filled_.wait(mutex_);
    }
    woken_ = false;
    out.swap(items_);
    return true;
  }

  // What is there can still be taken.
  void close() {
    MutexLock lock(mutex_);
    closed_ = true;
    filled_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition filled_;
  std::vector<T> items_ DQLITE_GUARDED_BY(mutex_);
  bool woken_ DQLITE_GUARDED_BY(mutex_) = false;  // since items were taken last
  bool closed_ DQLITE_GUARDED_BY(mutex_) = false;
};

}  // namespace dqlite::raft
