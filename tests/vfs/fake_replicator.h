// A cluster of one in memory, for tests of the databases without a consensus.
//
// The log is a real one in small: a proposal is appended at once if it stands on the newest entry of its
// databases in its own term [A1], and committed in order by a thread of its own, which plays the applier. A
// test can pause the commits, refuse proposals, take leadership away with or without the entries that wait,
// let "another leader" commit, and restart from the log. Any thread.
#pragma once

#include <atomic>
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
  // `dropped`: so many of the log's entries are gone, since the node did not need them any more.
  explicit FakeReplicator(DatabaseSet& databases, std::vector<LogEntry> log = {}, uint64_t dropped = 0);
  ~FakeReplicator() override;

  // --- Replicator ---
  Standing standing() override;
  Status bootstrap(bool adopted, Deadline deadline) override;
  void propose(ReplicatedProposal proposal) override;
  Status confirm_leadership(uint64_t term, Deadline deadline) override;
  Status read_barrier(Deadline deadline) override;
  uint64_t durable_index() override;
  bool is_caught_up() override;
  Status wait_caught_up(Deadline deadline) override;
  Result<uint64_t> request_checkpoint(Deadline deadline) override;
  void checkpoint_done() override;
  void copy_in_doubt(const std::string& reason) override;
  void copy_differs(const Status& reason) override;
  Result<Bytes> ask_others(const Bytes& question, Deadline deadline) override;
  std::string fault() override { return "a test"; }
  std::string leader_address() override { return "127.0.0.1:9999"; }

  // --- what a test does to it ---
  void pause();  // proposals are appended, nothing is committed
  void resume();
  void commit_one();  // though paused; returns when an entry more is applied
  // The `number`th proposal from now on is refused, as while leadership is handed over, and `count` - 1 after it.
  void refuse_proposal(size_t number, size_t count = 1);
  // The log has no space for anything that depends on a term.
  void fill_log(bool full);
  void wait_proposed(size_t count);  // until so many proposals arrived, in all
  // Another node leads from now on. `keep`: it has the entries that wait, and commits them; else they are
  // overwritten.
  void lose_leadership(bool keep);
  void gain_leadership();  // in a new term; returns when its first entry is committed
  void set_standing(Standing standing);
  void refuse_confirmation(bool refuse);
  // What a read barrier does, once: say, another node's commits arrive.
  void at_barrier(std::function<Status()> action);
  // As another leader would: an entry of a new term that every node applies.
  void commit_foreign(SharedBytes payload);
  void hold_durable(uint64_t index);  // this node's disk gets no further; 0: it keeps up
  void set_caught_up(bool caught_up);
  // Whose verifier `ask_others` asks; null: nobody's.
  void set_other(DatabaseSet* other);
  [[nodiscard]] std::string doubt();
  // Every doubt that was told, in order.
  [[nodiscard]] std::vector<std::string> doubts();
  [[nodiscard]] std::string difference();
  void wait_idle();  // until all that was appended is applied, or the commits are paused
  void stop();

  [[nodiscard]] std::vector<LogEntry> log();  // what is committed
  [[nodiscard]] uint64_t term();
  [[nodiscard]] size_t confirmations() const { return confirmations_; }
  [[nodiscard]] size_t barriers() const { return barriers_; }
  [[nodiscard]] size_t waits() const { return waits_; }  // to be caught up
  [[nodiscard]] size_t checkpoints() const { return checkpoints_; }
  // The durable point right after the last checkpoint: a log that is cut then begins behind it.
  [[nodiscard]] uint64_t droppable() const { return droppable_; }
  [[nodiscard]] size_t proposals();

 private:
  struct Step {
    uint64_t index = 0;            // of the entry to commit
    uint64_t own = 0;              // its proposal, 0: somebody else's
    std::function<void()> action;  // instead of an entry
  };
  struct Newest {
    uint64_t index = 0;
    uint64_t term = 0;
  };

  void run();
  void commit(const Step& step);
  // Call with mutex_ held; the index of the new entry, 0 if it was refused.
  uint64_t append(const LogEntry& entry, uint64_t own);
  uint64_t append_proposal(const ReplicatedProposal& proposal);
  void note_newest(const LogEntry& entry, uint64_t index);
  void truncate_to_applied();

  DatabaseSet& databases_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> queue_;
  std::vector<LogEntry> log_;          // log_[0] is entry 1
  std::map<uint64_t, Newest> newest_;  // database -> its newest entry, committed or not
  Standing standing_ = Standing::kNew;
  uint64_t term_ = 0;
  uint64_t committed_ = 0;  // the applier has begun with it
  uint64_t applied_ = 0;    // and is done with it
  uint64_t held_durable_ = 0;
  bool caught_up_ = true;
  bool paused_ = false;
  size_t allowed_ = 0;        // entries, while paused
  size_t until_refused_ = 0;  // proposals that are taken before those that are not
  size_t refused_ = 0;
  bool log_full_ = false;
  bool busy_ = false;
  bool stopping_ = false;
  bool refuse_confirmation_ = false;
  DatabaseSet* other_ = nullptr;
  std::vector<std::string> doubts_;
  std::string difference_;
  size_t proposals_ = 0;
  size_t truncations_ = 0;
  std::atomic<size_t> confirmations_{0};
  std::atomic<size_t> barriers_{0};
  std::atomic<size_t> waits_{0};
  std::function<Status()> at_barrier_;
  std::atomic<size_t> checkpoints_{0};
  std::atomic<uint64_t> droppable_{0};
  std::thread thread_;
};

}  // namespace dqlite::vfs::test
