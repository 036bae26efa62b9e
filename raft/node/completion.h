// The answer to a question that an application thread put to the loop.
//
// Shared by both sides: the asker may give up at its deadline, and the loop may answer later into nothing.
// The first answer counts. Any thread.
#pragma once

#include <memory>
#include <optional>

#include "raft/node.h"
#include "raft/node/mutex.h"

namespace dqlite::raft {

template <typename T>
class Completion {
 public:
  void complete(T value) {
    MutexLock lock(mutex_);
    if (value_) return;
    value_.emplace(std::move(value));
    done_.notify_all();
  }

  // Nothing: the deadline is over.
  std::optional<T> wait(Deadline deadline) {
    MutexLock lock(mutex_);
    while (!value_) {
      if (!done_.wait_until(mutex_, deadline) && !value_) return std::nullopt;
    }
    return value_;
  }

 private:
  Mutex mutex_;
  Condition done_;
  std::optional<T> value_ DQLITE_GUARDED_BY(mutex_);
};

using StatusCompletion = std::shared_ptr<Completion<Status>>;
using IndexCompletion = std::shared_ptr<Completion<Result<Index>>>;

}  // namespace dqlite::raft
