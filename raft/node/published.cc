#include "raft/node/published.h"

namespace dqlite::raft {

void Published::changed() {
  if (waiters_.load() == 0) return;
  MutexLock lock(mutex_);
  condition_.notify_all();
}

Status Published::wait(const std::function<bool()>& condition, Deadline deadline, const std::string& what) {
  waiters_.fetch_add(1);
  Status result;
  {
    MutexLock lock(mutex_);
    while (true) {
      if (!ended_) {
        result = ended_;
        break;
      }
      if (condition()) break;
      if (!condition_.wait_until(mutex_, deadline) && !condition()) {
        result = ended_ ? Status(Code::kTimeout, "the time given was over before " + what) : ended_;
        break;
      }
    }
  }
  waiters_.fetch_sub(1);
  return result;
}

void Published::end(Standing final_standing, const Status& reason) {
  MutexLock lock(mutex_);
  standing.store(final_standing);
  if (ended_) ended_ = reason;
  condition_.notify_all();
}

Status Published::ended() const {
  MutexLock lock(mutex_);
  return ended_;
}

void Published::set_warning(const std::string& warning) {
  MutexLock lock(mutex_);
  warning_ = warning;
}

std::string Published::warning() const {
  MutexLock lock(mutex_);
  return warning_;
}

void Published::set_details(const NodeStatus& details) {
  MutexLock lock(mutex_);
  details_ = details;
}

NodeStatus Published::details() const {
  MutexLock lock(mutex_);
  return details_;
}

}  // namespace dqlite::raft
