// The commit path: from sealed frames to a committed and published transaction.
//
// A committing thread encodes its databases' changes into one entry [B14], proposes it and waits until its
// fate is known or its time is over. The turn to write is handed from the connection to the pending commit
// when it is proposed, and is given back when the fate is known: by the applier thread, right after
// publishing and before the committing thread wakes [B4]. So a COMMIT whose time is over leaves the turn
// taken until the entry is committed or overwritten; nobody builds on what may vanish. (A speculative tip
// would pass the turn on at the proposal instead.)
//
// A transaction that is too large for one entry goes out in parts, a few at a time, each of which must be applied here
// before a later one is proposed; the last entry closes their set and is the commit, so that only its fate can be
// unknown [B13]. Nothing of it is proposed before SQLite's decision to commit. If a part fails, an abort ends the set;
// one that is refused is tried again with every entry that is applied, and the first entry of a higher term does the
// same.
//
// `mutex_` guards the table of pending commits; it is taken before a database's mutex, never the other way
// round.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "vfs/change_codec.h"
#include "vfs/database.h"
#include "vfs/replicator.h"
#include "vfs/transaction_limits.h"

namespace dqlite::vfs {

// What one connection brings to a COMMIT for one database.
struct CommitPart {
  Database* database = nullptr;
  WriteTurn::Owner holder = nullptr;  // of the database's write turn
  CommittedView base;                 // the snapshot the frames stand on
  std::vector<PageImage> frames;
  uint32_t page_count = 0;
};

class Committer {
 public:
  explicit Committer(Replicator& replicator, const TransactionLimits& limits = {})
      : replicator_(replicator), limits_(limits) {}

  // Unique in this process, also among several nodes of it.
  static uint64_t next_proposal_id();

  // The state of each database right after the transaction.
  using After = std::map<Database*, CommitMark>;

  // Codes of a failure: kNotCommitted (certainly without effect), kUnknown (may or may not be committed), or what
  // kept the pages from being read. With parts the time until `deadline` counts from the last progress. Whatever the
  // outcome, the turns of all parts are no longer the holders' own.
  Result<After> commit(std::vector<CommitPart> parts, uint64_t term, Deadline deadline);

  // --- the applier thread ---
  // The proposal `id` of this node became the entry (index, term), committed. True if it was one of ours and
  // is now published; false: treat the entry as any other. kCorrupt: it does not stand on what is published
  // here.
  Result<bool> settle(uint64_t id, uint64_t index, uint64_t term);
  // The same for an entry that took effect like anybody else's (a CREATE): only its waiter is woken.
  void settled_elsewhere(uint64_t id);
  // Certainly without effect, unless `reason` is kUnknown.
  void drop(uint64_t id, const Status& reason);
  void drop_all(const Status& reason);
  // Any thread: of the pages in commits whose fate is open.
  [[nodiscard]] uint64_t size_bytes() const { return size_bytes_.load(); }
  // Sets of this node that were given up and are still open are aborted again. `write_term`: of this node, or 0.
  void retry_aborts(uint64_t write_term);

 private:
  // Counts the pages of a commit as long as somebody may publish them.
  class Counted {
   public:
    Counted() = default;
    ~Counted() {
      if (total_ != nullptr) total_->fetch_sub(bytes_);
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    void count(std::atomic<uint64_t>& total, const std::vector<CommitPart>& parts);

   private:
    std::atomic<uint64_t>* total_ = nullptr;
    uint64_t bytes_ = 0;
  };
  struct Pending {
    std::vector<CommitPart> parts;  // empty for a CREATE, for pages of a set and for an abort
    std::vector<CommitMark> marks;  // of each part; index and term are filled in at `settle`
    Counted counted;
    bool is_of_set = false;  // of one that is not closed: without effect, whatever becomes of it
    uint64_t aborted_set = 0;
    uint64_t closed_set = 0;
    bool done = false;
    Status status;
    std::condition_variable signal;
  };
  using Handle = std::shared_ptr<Pending>;

  // Of this node's own, until it is closed or has ended.
  struct OpenSet {
    uint64_t term = 0;
    bool given_up = false;
    bool aborting = false;  // an abort was proposed, and its fate is open
  };
  class PartSender;

  Status create_missing(std::vector<CommitPart>& parts, uint64_t term, Deadline deadline);
  static Status check_page_sizes(const std::vector<CommitPart>& parts);
  Status commit_changes(const Handle& pending, uint64_t term, Deadline deadline);
  void propose(const Handle& pending, ReplicatedProposal proposal);  // its id is set
  // `sender`: of the parts that the proposal closes.
  Status propose_and_wait(const Handle& pending, ReplicatedProposal proposal, Deadline deadline,
                          PartSender* sender = nullptr);
  void give_up(uint64_t set);
  void propose_abort(uint64_t set);
  void give_back(const Pending& pending);
  static Status fate(const Pending& pending, bool unknown, const Status& reason);
  void finish(const Handle& pending, Status status);  // call with mutex_ held

  Replicator& replicator_;
  const TransactionLimits limits_;
  std::atomic<uint64_t> size_bytes_{0};
  std::mutex mutex_;  // guards pending_ and every Pending in it, and sets_
  std::map<uint64_t, Handle> pending_;
  std::map<uint64_t, OpenSet> sets_;
};

}  // namespace dqlite::vfs
