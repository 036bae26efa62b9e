// Makes the core's persists durable, on a lane of its own: many of them with one write and one sync.
//
// `begin`, `put`, `wake` and `close` from the loop thread; `durable_token` from any. A batch is at most a megabyte (a
// single larger entry goes alone), since a vote may be queued behind it [C7]. A full disk is waited out, if
// the log says that nothing was written: to the core that is a disk that hangs, and a leader with such a disk
// gives up its leadership. Every other failure ends the lane and is told once [D11]: nothing is durable after
// it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "raft/log/log.h"
#include "raft/node/mailbox.h"

namespace dqlite::raft {

class LogWriter {
 public:
  struct Events {
    std::function<void()> progressed;           // `durable_token` rose
    std::function<void(const Status&)> failed;  // for good
    std::function<void(const Status&)> full;    // no space: waiting; ok: there is space again
  };

  LogWriter(std::unique_ptr<Lane> lane, Events events)
      : events_(std::move(events)), mailbox_(*lane), lane_(std::move(lane)) {}

  Status start();
  // Before the first `put`.
  void begin(std::shared_ptr<Log> log) { log_ = std::move(log); }
  // Begins with it at the next `wake` or earlier.
  void put(Persist persist);
  void wake() { mailbox_.wake(); }
  // What was put before is still written, then the exact commit index [A2]. Only the first call counts.
  void close(Index commit);
  bool wait_ended(Deadline deadline) { return lane_->wait_ended(deadline); }
  // Put and not yet written, as they are in memory.
  [[nodiscard]] size_t waiting_bytes() const { return waiting_bytes_.load(); }
  [[nodiscard]] uint64_t durable_token() const { return durable_token_.load(std::memory_order_acquire); }

 private:
  void work();
  void end();
  void fill_batch();
  Status write_batch();

  const Events events_;
  std::shared_ptr<Log> log_;  // handed over by the mailbox's lock
  Mailbox<Persist> mailbox_;
  std::atomic<bool> closing_{false};
  std::atomic<Index> final_commit_{0};
  std::atomic<uint64_t> durable_token_{0};
  std::atomic<size_t> waiting_bytes_{0};

  // The lane's own.
  std::deque<Persist> taken_;
  std::vector<Persist> batch_;  // to be written, or to be tried again
  size_t batch_bytes_ = 0;
  bool is_full_ = false;
  bool has_failed_ = false;
  const std::unique_ptr<Lane> lane_;  // ends before the rest does
};

}  // namespace dqlite::raft
