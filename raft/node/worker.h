// Runs jobs one after the other, on a lane of its own: the node's reader. It reads old log records and
// snapshots for members that lag, stores arriving snapshots, drops the log's prefix, and saves the identity:
// all that blocks on a disk, is not the log's own append, and must not hold up the loop [C7]. `post` from any
// thread.
#pragma once

#include <functional>
#include <memory>

#include "raft/node/mailbox.h"

namespace dqlite::raft {

class Worker {
 public:
  using Job = std::function<void()>;

  explicit Worker(std::unique_ptr<Lane> lane) : mailbox_(*lane), lane_(std::move(lane)) {}

  Status start(const char* name, Thread::Failed failed) {
    return lane_->start(name, {[this] { run(); }}, std::move(failed));
  }
  // False: the worker is ending, and the job will not run.
  bool post(Job job) { return mailbox_.put(std::move(job)); }
  void close() { mailbox_.close(); }
  bool wait_ended(Deadline deadline) { return lane_->wait_ended(deadline); }

 private:
  void run() {
    std::vector<Job> jobs;
    mailbox_.take_all(jobs);
    for (Job& job : jobs) job();
  }

  Mailbox<Job> mailbox_;
  const std::unique_ptr<Lane> lane_;  // ends before the mailbox does
};

}  // namespace dqlite::raft
