// One connection's view of one replicated database: what SQLite's pager and WAL code meet behind a
// sqlite3_file.
//
// The wal-index is private to the connection (vfs/wal_index.h), so this class alone decides what SQLite sees:
// the committed state, moved forward only where SQLite takes a read lock. Frames that SQLite writes stay here
// until COMMIT, in a spill file where they are many. Facts about SQLite that this stands on are at the code; the
// source files named there are of SQLite 3.40.
//
// Used by the connection's thread, one at a time, as SQLite serialises it. Every method returns an SQLite
// result code.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "vfs/database.h"
#include "vfs/database_set.h"
#include "vfs/frame_list.h"
#include "vfs/sqlite_api.h"
#include "vfs/wal_index.h"

namespace dqlite::vfs {

struct ConnectionOptions {
  int timeout_ms = 5000;               // of COMMIT, bootstrap and catching up
  uint32_t page_size = 0;              // for a database that is still empty; 0: SQLite's own choice
  bool linearizable = false;           // a transaction sees all that was committed anywhere before it began
  uint64_t max_transaction_mb = 4096;  // changed pages of this database; beyond, a transaction fails
};

class Connection {
 public:
  Connection(DatabaseSet& databases, Database& database, const ConnectionOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // --- the main file ---
  int read(void* out, int amount, sqlite3_int64 offset);
  int file_size(sqlite3_int64* size);
  int file_control(int operation, void* argument);

  // --- shared memory ---
  int shm_map(int region, int size, int extend, void volatile** out);
  int shm_lock(int offset, int count, int flags);
  int shm_unmap();

  // --- the WAL ---
  int wal_read(void* out, int amount, sqlite3_int64 offset);
  int wal_write(const void* data, int amount, sqlite3_int64 offset);

  // Private frame numbers start again from 1 when this many of them are in the file: they are 32 bits wide,
  // and each 4096 take a region of memory [V-D2]. Tests lower it.
  static std::atomic<uint64_t> renumber_after;

  // xSleep on this thread: waits for the turn that a statement of this thread was refused, for at most
  // `microseconds`. False if there is nothing to wait for.
  static bool sleep(int microseconds);

  // SQLite opened a super-journal on this thread, or deletes it for good: its commit point, at which what the
  // transaction changed in replicated databases is committed. An error undoes the transaction [V-A3].
  static void super_journal_opened(const char* name);
  static int super_journal_deleted(const char* name);

  // Other threads ask, too: the registry looks for the connections of a handle.
  [[nodiscard]] sqlite3* handle() const {
    sqlite3** pointer = handle_.load(std::memory_order_acquire);
    return pointer != nullptr ? *pointer : nullptr;
  }
  [[nodiscard]] DatabaseSet& databases() { return databases_; }
  [[nodiscard]] Database& database() { return database_; }
  [[nodiscard]] const ConnectionOptions& options() const { return options_; }
  [[nodiscard]] std::thread::id last_thread() const { return last_thread_.load(); }

 private:
  enum class Writing : uint8_t {
    kNo,
    kOpen,       // SQLite holds WRITE
    kSealed,     // SQLite has committed in its own eyes and released WRITE; COMMIT_PHASETWO is next, or a
                 // rollback
    kCommitted,  // by the cluster; SQLite may not have released WRITE yet
  };
  struct FrameHeader {
    uint32_t number = 0;  // 0: none open
    uint32_t page_number = 0;
    uint32_t truncate = 0;
  };

  // connection_read.cc: the snapshot point
  int lock_read();
  int move_snapshot();
  int unlock_read();
  bool show(const CommittedView& view);
  bool shows(const CommittedView& view) const;
  void grant(const CommittedView& view);
  void end_snapshot();
  [[nodiscard]] bool is_renumbering_due(const CommittedView& view) const;
  // After the header moved: the same read, not a new one [V-B5].
  [[nodiscard]] bool is_second_attempt() const { return moved_ && !rebuild_; }
  void wait_caught_up();
  int wait_newest();
  void take_turn_before_snapshot();
  [[nodiscard]] uint32_t private_number(uint64_t sequence) const {
    return static_cast<uint32_t>(sequence - offset_);
  }
  [[nodiscard]] uint32_t page_size() const;

  // connection_write.cc: the write turn, the WAL file, checkpoints
  int lock_write();
  int take_turn();
  int unlock_write();
  int refuse_write(Standing standing);
  int become_writable(uint64_t* term);
  int read_frame(const PageImage& frame, std::span<uint8_t> out);
  int put_aside(const Status& status);
  int lock_checkpoint();
  int checkpoint_now();
  int unlock_checkpoint();
  [[nodiscard]] bool transaction_is_open() const;
  [[nodiscard]] bool statement_writes() const;
  [[nodiscard]] bool statement_runs_pragma() const;
  [[nodiscard]] bool main_is_ours() const;
  [[nodiscard]] const char* schema_name() const;

  // connection_commit.cc
  enum class CommitPlace : uint8_t { kPhaseTwo, kPhaseOne, kNone };
  int sealed();
  int commit_at_seal();
  [[nodiscard]] CommitPlace place_of_commit();
  [[nodiscard]] int plain_files_written() const;
  int commit_phase_two();
  void commit_transaction();
  std::vector<Connection*> writing_members();
  int commit_group(const std::vector<Connection*>& group, bool same_term);
  Status propose_group(const std::vector<Connection*>& group, Committer::After& after);
  int commit_in_phase_one();
  int confirm_leadership();
  CommitPart take_part();
  CommitPart copy_part();
  CommitPart part_without_frames();
  [[nodiscard]] bool is_sealed() const;
  [[nodiscard]] uint32_t sealed_frames() const;
  void committed(const CommitMark& mark);
  void abandon();
  void take_back();
  [[nodiscard]] Deadline deadline() const;

  int pragma(char** arguments);
  int fail(int code, const std::string& sentence);
  int fail(const Status& status);

  DatabaseSet& databases_;
  Database& database_;
  const ConnectionOptions options_;
  std::atomic<sqlite3**> handle_{nullptr};  // as SQLITE_FCNTL_PDB gave it; what it points to may change
  std::atomic<std::thread::id> last_thread_;

  WalIndex index_;
  bool mapped_ = false;
  CommittedView shown_;   // what the header in the private wal-index says
  uint64_t offset_ = 0;   // private frame number = sequence - offset_
  uint64_t indexed_ = 0;  // frames up to this sequence are in the private hash tables
  uint32_t change_ = 0;   // newest iChange shown
  uint32_t salt_ = 0;     // raised whenever what SQLite has cached must go [B11]
  bool rebuild_ = false;  // the private index or SQLite's cache holds what was never committed
  bool moved_ = false;    // the previous call on a read lock moved the header [V-B5]

  Reader reader_;
  bool read_held_ = false;
  bool reserved_until_end_ = false;  // the turn, for an explicit transaction that has not written yet

  Writing writing_ = Writing::kNo;
  WalIndexHeader header_before_write_;
  uint64_t write_term_ = 0;
  bool write_taken_ = false;  // WRITE was held in this transaction
  bool group_done_ = false;   // decided already, with another database's or by the end of a super-journal
  int group_result_ = SQLITE_OK;
  FrameList pending_;
  size_t taken_ = 0;                // frames that were pending, while they are being committed
  uint32_t sealed_page_count_ = 0;  // the newest pending frame is a commit frame with this number of pages
  FrameHeader open_header_;
  uint32_t pending_page_size_ = 0;
  bool early_ = false;  // committed in phase one already [V-A3]
  CommitMark early_mark_;

  bool checkpoint_held_ = false;
  bool checkpoint_done_ = false;  // for the request that holds the lock
  WalIndexHeader header_before_checkpoint_;
  bool just_committed_ =
      false;  // no snapshot since COMMIT: a checkpoint request now is SQLite's automatic one
};

}  // namespace dqlite::vfs
