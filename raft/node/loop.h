// The node's own libuv loop: its thread, its inbox, its ticks, and the end of each turn.
//
// Nothing of the host's is touched: not the default loop, not the thread pool, no signal handle. `open` and
// `start` on the thread that opens the node, `post` and `poke` from any thread, everything else on the loop
// thread.
#pragma once

#include <uv.h>

#include <atomic>
#include <vector>

#include "raft/net/connection.h"
#include "raft/node/executor.h"
#include "raft/node/mutex.h"
#include "raft/node/thread.h"

namespace dqlite::raft {

class LoopDelegate {
 public:
  virtual ~LoopDelegate() = default;
  virtual void on_tick() = 0;
  virtual void on_soon() = 0;  // `call_soon`
  // Everything that arrived was handed out; the loop is about to wait.
  virtual void on_turn_end() = 0;
  // What the turn had to say is with the kernel.
  virtual void on_turn_sent() = 0;
};

class Loop final : public Executor {
 public:
  explicit Loop(LoopDelegate& delegate) : delegate_(delegate) {}
  ~Loop() override;

  Status open();
  // `failed`: the thread ended by an exception. No job is taken, and none is left, when it is called.
  Status start(int tick_ms, Thread::Failed failed);
  // Something that the delegate looks at by itself has changed: have a turn.
  void poke();
  // The loop closes its handles and ends. Everything else on it must be closing already.
  void end();
  bool wait_ended(Deadline deadline) { return thread_.wait_ended(deadline); }

  [[nodiscard]] net::Context& context() { return context_; }

  // --- Executor ---
  bool post(Job job) override;
  void call_soon(int delay_ms) override;  // `on_soon`
  [[nodiscard]] Deadline now() const override { return Clock::now(); }

 private:
  Status open_handles();
  void wake();
  void woken();
  void run_jobs();
  void refuse_jobs();
  void close_handles();

  LoopDelegate& delegate_;
  uv_loop_t loop_{};
  // An eventfd of our own: a thread that wakes the loop by uv_async_send and is preempted by it on the same
  // processor leaves it spinning.
  int wake_descriptor_ = -1;
  uv_poll_t wake_{};
  uv_timer_t timer_{};
  uv_timer_t soon_{};
  uv_prepare_t before_waiting_{};
  bool is_open_ = false;
  net::Context context_;
  Mutex mutex_;
  std::vector<Job> jobs_ DQLITE_GUARDED_BY(mutex_);
  bool wake_sent_ DQLITE_GUARDED_BY(mutex_) = false;
  bool accepts_ DQLITE_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace dqlite::raft
