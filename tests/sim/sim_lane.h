// A lane in virtual time: what it is woken for is done a while later, all at once. A crash before that
// moment finds nothing done, and a crash at that moment (FaultDisk::crash_at) finds any part of it.
#pragma once

#include "raft/node/lane.h"
#include "tests/sim/timeline.h"

namespace dqlite::raft::sim {

class SimLane final : public Lane {
 public:
  // Runs it after a delay, unless the process is dead then; false: it cannot.
  using Schedule = std::function<void(Micros delay, std::function<void()>)>;
  using Latency = std::function<Micros()>;

  SimLane(Schedule schedule, Latency latency)
      : schedule_(std::move(schedule)), latency_(std::move(latency)) {}

  Status start(const char*, Body body, Thread::Failed) override {
    body_ = std::move(body);
    return Status::ok();
  }
  void wake() override {
    if (is_due_ || ended_) return;
    is_due_ = true;
    if (!rests_) schedule_(latency_(), [this] { work(); });
  }
  void rest(std::chrono::milliseconds pause) override {
    rests_ = true;
    schedule_(static_cast<Micros>(pause.count()) * kMillisecond, [this] {
      rests_ = false;
      is_due_ = true;
      work();
    });
  }
  void close() override {
    closed_ = true;
    schedule_(latency_(), [this] {
      if (std::exchange(ended_, true)) return;
      body_.work();
      body_.end();
    });
  }
  bool wait_ended(Deadline) override { return ended_; }

  // What it would do later: the last thing before a crash.
  void work_now() { work(); }
  [[nodiscard]] bool is_due() const { return is_due_ && !rests_; }
  [[nodiscard]] bool has_ended() const { return ended_; }

 private:
  void work() {
    if (!is_due_ || rests_ || ended_) return;
    is_due_ = false;
    body_.work();
  }

  const Schedule schedule_;
  const Latency latency_;
  Body body_;
  bool is_due_ = false;
  bool rests_ = false;
  bool closed_ = false;
  bool ended_ = false;
};

}  // namespace dqlite::raft::sim
