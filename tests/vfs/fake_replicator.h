// A cluster of one in memory, for tests of the databases without a consensus: what is proposed is committed
// in order by a thread of its own, which plays the applier. A test can pause it, refuse proposals, take
// leadership away, let "another leader" commit, and restart from the log.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "vfs/database_set.h"
#include "vfs/replicator.h"

namespace dqlite::vfs::test {

struct LogEntry {
  uint64_t term = 0;
  SharedBytes payload;  // null: a no-op
};

class FakeReplicator : public Replicator {
 public:
  explicit FakeReplicator(DatabaseSet& databases, std::vector<LogEntry> log = {});
  ~FakeReplicator() override;

  // --- Replicator ---
  Standing standing() override;
  Status bootstrap(bool adopted, Deadline deadline) override;
  void propose(ReplicatedProposal proposal) override;
  Status confirm_leadership(uint64_t term, Deadline deadline) override;
  uint64_t durable_index() override;
  bool is_caught_up() override { return true; }
  Status wait_caught_up(Deadline) override { return Status::ok(); }
  Result<uint64_t> request_checkpoint(Deadline deadline) override;
  void checkpoint_done() override { checkpoints_++; }
  std::string fault() override { return "a test"; }
  std::string leader_address() override { return "127.0.0.1:9999"; }

  // --- what a test does to it ---
  void pause();  // proposals are taken, nothing is committed
  void resume();
  void wait_proposed(size_t count);  // until so many proposals wait, in all
  // Steps down. `keep`: proposals that wait may still be committed later; else they are dropped as
  // overwritten.
  void lose_leadership(bool keep);
  void gain_leadership();  // in a new term, behind a no-op
  void refuse_confirmation(bool refuse);
  // As another leader would: an entry of a new term that every node applies.
  void commit_foreign(SharedBytes payload);
  void wait_idle();
  void stop();

  [[nodiscard]] std::vector<LogEntry> log();
  [[nodiscard]] size_t confirmations() const { return confirmations_; }
  [[nodiscard]] size_t proposals();

 private:
  struct Step {
    ReplicatedProposal proposal;
    std::function<void()> action;  // instead of a proposal
  };

  void run();
  void commit(const ReplicatedProposal& proposal);
  void append(const LogEntry& entry, std::optional<uint64_t> own);

  DatabaseSet& databases_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> queue_;
  std::vector<LogEntry> log_;            // log_[0] is entry 1
  std::map<uint64_t, uint64_t> newest_;  // database -> index of its newest entry
  Standing standing_ = Standing::kNew;
  uint64_t term_ = 0;
  uint64_t applied_ = 0;
  bool paused_ = false;
  bool busy_ = false;
  bool stopping_ = false;
  bool refuse_confirmation_ = false;
  size_t proposals_ = 0;
  std::atomic<size_t> confirmations_{0};
  std::atomic<size_t> checkpoints_{0};
  std::thread thread_;
};

}  // namespace dqlite::vfs::test
