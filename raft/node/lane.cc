#include "raft/node/lane.h"

namespace dqlite::raft {

Status ThreadLane::start(const char* name, Body body, Thread::Failed failed) {
  body_ = std::move(body);
  return thread_.start(
      name, [this] { run(); }, std::move(failed));
}

void ThreadLane::wake() {
  {
    MutexLock lock(mutex_);
    if (std::exchange(woken_, true)) return;
  }
  changed_.notify_one();  // without the mutex, which the thread that wakes takes first
}

void ThreadLane::close() {
  MutexLock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void ThreadLane::run() {
  bool goes_on = true;
  while (goes_on) {
    goes_on = wait_for_work();
    body_.work();
  }
  body_.end();
}

// False: closed.
bool ThreadLane::wait_for_work() {
  MutexLock lock(mutex_);
  if (rest_until_) {
    while (!closed_ && changed_.wait_until(mutex_, *rest_until_)) {
    }
    rest_until_.reset();
  } else {
    while (!closed_ && !woken_) changed_.wait(mutex_);
  }
  woken_ = false;
  return !closed_;
}

}  // namespace dqlite::raft
