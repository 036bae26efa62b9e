// A lane that runs on the test's own thread, when the test says so.
#pragma once

#include "raft/node/lane.h"

namespace dqlite::raft {

class HandLane final : public Lane {
 public:
  Status start(const char*, Body body, Thread::Failed) override {
    body_ = std::move(body);
    return Status::ok();
  }
  void wake() override { woken_ = true; }
  void rest(std::chrono::milliseconds) override { rests_ = true; }
  void close() override { closed_ = true; }
  bool wait_ended(Deadline) override { return ended_; }

  // False: there was nothing to do.
  bool run() {
    const bool is_due = closed_ || (woken_ && !rests_);
    if (!is_due || ended_) return false;
    const bool is_last = closed_;
    woken_ = false;
    body_.work();
    if (!is_last) return true;
    body_.end();
    ended_ = true;
    return true;
  }
  // The pause is over.
  void end_rest() {
    rests_ = false;
    woken_ = true;
  }
  [[nodiscard]] bool rests() const { return rests_; }

 private:
  Body body_;
  bool woken_ = false;
  bool rests_ = false;
  bool closed_ = false;
  bool ended_ = false;
};

}  // namespace dqlite::raft
