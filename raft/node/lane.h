// Where one part of the node runs: on a thread of its own, or wherever a simulation lets it.
//
// A part (the log writer, the applier, the reader) is written as a body that is called when there is
// something for it, one call at a time, and never waits for more. The node gives each part a `ThreadLane`; a
// simulation gives it a lane in virtual time. `wake` and `close` from any thread, the rest as it says.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "raft/node/thread.h"

namespace dqlite::raft {

class Lane {
 public:
  struct Body {
    // At least once after each `wake`, and once more after `close`.
    std::function<void()> work;
    // The last thing that runs here.
    std::function<void()> end = [] {};
  };

  virtual ~Lane() = default;
  // `name`: at most 15 characters. `failed`: see Thread.
  virtual Status start(const char* name, Body body, Thread::Failed failed) = 0;
  virtual void wake() = 0;
  // From `work` alone: the next call comes when `pause` is over, and only then, or at `close`.
  virtual void rest(std::chrono::milliseconds pause) = 0;
  virtual void close() = 0;
  // True: it ended, or was never started.
  virtual bool wait_ended(Deadline deadline) = 0;
};

class ThreadLane final : public Lane {
 public:
  Status start(const char* name, Body body, Thread::Failed failed) override;
  void wake() override;
  void rest(std::chrono::milliseconds pause) override { rest_until_ = Clock::now() + pause; }
  void close() override;
  bool wait_ended(Deadline deadline) override { return thread_.wait_ended(deadline); }

 private:
  void run();
  bool wait_for_work();

  Body body_;
  std::optional<Deadline> rest_until_;  // the thread's own
  Mutex mutex_;
  Condition changed_;
  bool woken_ DQLITE_GUARDED_BY(mutex_) = false;  // since the last call began
  bool closed_ DQLITE_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace dqlite::raft
