// The commit path: from sealed frames to a committed and published transaction.
//
// A committing thread encodes its databases' changes into one entry [B14], proposes it and waits until its
// fate is known or its time is over. The turn to write is handed from the connection to the pending commit
// when it is proposed, and is given back when the fate is known: by the applier thread, right after
// publishing and before the committing thread wakes [B4]. So a COMMIT whose time is over leaves the turn
// taken until the entry is committed or overwritten; nobody builds on what may vanish. (A speculative tip
// would pass the turn on at the proposal instead.)
//
// `mutex_` guards the table of pending commits; it is taken before a database's mutex, never the other way
// round.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "vfs/change_codec.h"
#include "vfs/database.h"
#include "vfs/replicator.h"

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
  explicit Committer(Replicator& replicator) : replicator_(replicator) {}

  // Unique in this process, also among several nodes of it.
  static uint64_t next_proposal_id();

  // The state of each database right after the transaction.
  using After = std::map<Database*, CommitMark>;

  // Codes of a failure: kNotCommitted (certainly without effect), kUnknown (may or may not be committed),
  // kFull, or what kept the pages from being read. Whatever the outcome, the turns of all parts are no longer
  // the holders' own.
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

 private:
  struct Pending {
    std::vector<CommitPart> parts;  // empty for a CREATE
    std::vector<CommitMark> marks;  // of each part; index and term are filled in at `settle`
    bool done = false;
    Status status;
    std::condition_variable signal;
  };
  using Handle = std::shared_ptr<Pending>;

  Status create_missing(std::vector<CommitPart>& parts, uint64_t term, Deadline deadline);
  Status propose_and_wait(const Handle& pending, ReplicatedProposal proposal, Deadline deadline);
  void give_back(const Pending& pending);
  void finish(const Handle& pending, Status status);  // call with mutex_ held

  Replicator& replicator_;
  std::mutex mutex_;  // guards pending_ and every Pending in it
  std::map<uint64_t, Handle> pending_;
};

}  // namespace dqlite::vfs
