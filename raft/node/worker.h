// A thread that runs jobs one after the other: the node's reader. It reads old log records and snapshots for
// members that lag, stores arriving snapshots, drops the log's prefix, and saves the identity: all that
// blocks on a disk, is not the log's own append, and must not hold up the loop [C7]. `post` from any thread.
#pragma once

#include <functional>

#include "raft/node/mailbox.h"
#include "raft/node/thread.h"

namespace dqlite::raft {

class Worker {
 public:
  using Job = std::function<void()>;

  Status start(const char* name, Thread::Failed failed) {
    const auto run = [this] {
      std::vector<Job> jobs;
      while (mailbox_.take_all(jobs)) {
        for (Job& job : jobs) job();
      }
    };
    return thread_.start(name, run, std::move(failed));
  }
  // False: the worker is ending, and the job will not run.
  bool post(Job job) { return mailbox_.put(std::move(job)); }
  void close() { mailbox_.close(); }
  bool wait_ended(Deadline deadline) { return thread_.wait_ended(deadline); }

 private:
  Mailbox<Job> mailbox_;
  Thread thread_;
};

}  // namespace dqlite::raft
