// std::mutex and std::condition_variable with clang's thread-safety annotations: each field says which mutex
// guards it, and the compiler checks (-Wthread-safety). Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define DQLITE_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define DQLITE_THREAD_ATTRIBUTE(x)
#endif

#define DQLITE_GUARDED_BY(mutex) DQLITE_THREAD_ATTRIBUTE(guarded_by(mutex))
#define DQLITE_REQUIRES(mutex) DQLITE_THREAD_ATTRIBUTE(requires_capability(mutex))

namespace dqlite::raft {

class DQLITE_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() DQLITE_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() DQLITE_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class DQLITE_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) DQLITE_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() DQLITE_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  void wait(Mutex& mutex) DQLITE_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False: the deadline is over.
  bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point deadline) DQLITE_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace dqlite::raft
