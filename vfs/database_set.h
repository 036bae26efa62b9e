// All databases of one node: where committed entries, role changes and fates of proposals arrive, in one
// order.
//
// The extension feeds it from the node's applier thread; connections find their database here. A set lives as
// long as the process (it is leaked with its node).
//
// Lock order: the committer's mutex > `mutex_` > a database's mutex > a write turn's and a file's own.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vfs/checkpointer.h"
#include "vfs/committer.h"
#include "vfs/database.h"
#include "vfs/part_stage.h"
#include "vfs/repairer.h"
#include "vfs/replicator.h"
#include "vfs/transaction_limits.h"
#include "vfs/verifier.h"

namespace dqlite::vfs {

struct NodePaths {
  std::string directory;       // of the databases
  std::string node_directory;  // <directory>/dqlite-node
};

struct DatabaseStatus {
  std::string name;
  uint64_t id = 0;
  uint64_t checkpoint_index = 0;
  uint64_t wal_frames = 0;
  uint64_t wal_bytes = 0;
  uint32_t page_size = 0;
  uint32_t page_count = 0;
  uint64_t checksum = 0;
  uint64_t writers_waiting = 0;
};

class DatabaseSet {
 public:
  // Opens every database that has a checkpoint record, and completes an installation that a crash cut off.
  static Result<std::unique_ptr<DatabaseSet>> open(Files& files, NodePaths paths);

  ~DatabaseSet() { stop_reading(); }
  // The consensus is there to stay: other members may ask about the copies.
  void begin_reading() { verifier_.begin_answering(); }
  // Ends the threads that read and repair copies: before the consensus that they ask goes.
  void stop_reading() {
    repairer_.stop();
    verifier_.stop();
  }

  // The consensus starts after the set, since it replays into it; connections come after both.
  void attach(Replicator& replicator);
  [[nodiscard]] Replicator& replicator() { return *replicator_; }
  [[nodiscard]] Committer& committer() { return *committer_; }
  [[nodiscard]] Checkpointer& checkpointer() { return *checkpointer_; }
  [[nodiscard]] Verifier& verifier() { return verifier_; }
  [[nodiscard]] Repairer& repairer() { return repairer_; }
  [[nodiscard]] const NodePaths& paths() const { return paths_; }
  [[nodiscard]] Files& files() { return files_; }
  [[nodiscard]] TransactionLimits& limits() { return limits_; }

  // --- connections ---
  // The database of that name; opened as a file without a record if it is not known yet. kNotFound if the
  // file is missing and not to be created; kRefused for a file with content where a cluster exists already
  // [B8].
  Result<Database*> open_database(const std::string& name, bool create);
  [[nodiscard]] bool knows(const std::string& name);
  // The file of `name`, found with content and without a record, becomes the first state of a new cluster:
  // entry (1, 1), which is in no log, so that every joiner gets a snapshot [B8]. To be followed by
  // Replicator::bootstrap(adopted).
  Status adopt(const std::string& name);
  // True if any file here has content or a record: such a node cannot join another cluster.
  [[nodiscard]] bool has_data();
  // The term in which this node may write now, or 0.
  [[nodiscard]] uint64_t write_term() const { return write_term_.load(std::memory_order_acquire); }

  // --- the applier thread, in log order ---
  Status apply(uint64_t index, uint64_t term, ByteView payload, std::optional<uint64_t> own_proposal);
  void applied(uint64_t index, uint64_t term);  // any entry, also those without a command
  void leadership_gained(uint64_t term);
  void leadership_lost();
  void proposal_dropped(uint64_t id, const Status& reason) { committer_->drop(id, reason); }
  void failed(const Status& reason);

  // --- any thread ---
  // A checkpoint of the whole cluster: asks for it, and waits until this node has carried it out.
  Result<CheckpointReport> checkpoint_cluster(Deadline deadline);
  // Moves what this node has applied and holds durably into its own files, without asking the cluster: for an
  // orderly end, after which stock SQLite finds it there.
  Status checkpoint_locally(Deadline deadline);
  // After a restart this node may know less than it acknowledged in its last life: waits until it knows as much, for at
  // most `patience` [A2]. While nobody leads that is granted once and not to every caller, since SQLite begins a
  // refused statement anew for as long as its busy handler likes. True if there was something to wait for, in vain.
  bool waited_in_vain(std::chrono::milliseconds patience);
  // Bytes of the disk that the next checkpoint may take, at most: its journal, and the growth of the files. With what
  // is on its way here: when it is published, the log may have taken the space already.
  [[nodiscard]] uint64_t checkpoint_space();
  // Entries at or below are published here and durable on this node: how far a checkpoint may go.
  uint64_t checkpoint_bound();
  // The newest entry whose effects on every database are in the files.
  using Point = LogPoint;
  Point durable_point();
  // The newest checkpoint of any database: an entry at or below would be skipped by it [A5].
  Point newest_checkpoint();
  [[nodiscard]] Point applied_point();
  // The same, but not within a transaction whose parts are still arriving: who has the effects up to here needs the
  // log from here on [A3].
  [[nodiscard]] Point settled_point();
  [[nodiscard]] std::vector<DatabaseStatus> status();
  // Why the applier waits; empty if it does not.
  [[nodiscard]] std::string apply_waits_for() const { return stage_.waiting_for(); }
  [[nodiscard]] std::vector<Database*> databases();

  // One database takes the state of an arrived copy (vfs/snapshot.h); on the applier thread.
  // False if its file has it already.
  Result<bool> install(const CheckpointRecord& record, const DatabaseFile::PageSource& source);
  // All of them did: the log goes on behind `last`, which is before the first part of any open set.
  void installed(Point last);

 private:
  DatabaseSet(Files& files, NodePaths paths)
      : files_(files), paths_(std::move(paths)), stage_(files_, paths_.node_directory, limits_, [this] {
          return replicator_->standing() != Standing::kFailed;
        }) {}

  Status apply_create(uint64_t index, uint64_t term, const codec::CreateDatabase& command);
  Status create(uint64_t id, const codec::CreateDatabase& command, Point content);
  Status apply_transaction(uint64_t index, uint64_t term, const codec::Transaction& command);
  Status apply_part(uint64_t index, uint64_t term, const codec::TransactionPart& command, bool is_own);
  void end_sets(const codec::Transaction& command);
  Database* find_id(uint64_t id);
  void note_published();
  void watch_rot(Database& database);
  Database* find_name(const std::string& name);

  Files& files_;
  const NodePaths paths_;
  TransactionLimits limits_;
  PartStage stage_;
  Replicator* replicator_ = nullptr;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Checkpointer> checkpointer_;
  std::atomic<uint64_t> write_term_{0};
  std::atomic<Deadline> first_wait_{Deadline::min()};  // of waited_in_vain(); min: nobody waited yet
  std::mutex opening_;  // held while a file is opened that is not in databases_ yet; before mutex_
  std::mutex mutex_;    // guards databases_ and applied_
  std::map<std::string, std::unique_ptr<Database>> databases_;
  Point applied_;
  // Last: their threads use the others, and the verifier's the repairer.
  Repairer repairer_{*this};
  Verifier verifier_{*this};
};

}  // namespace dqlite::vfs
