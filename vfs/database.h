// One replicated database of a node: its file, the committed frames above it, and whose turn it is to write.
//
// ▶ What it shows is committed by the cluster: nothing else is ever published here. A transaction that is
// being written lives in its connection (vfs/connection.h) and in the commit path (vfs/committer.h) until
// then. The applier thread publishes, the checkpoint thread moves frames to the file, connections read.
// `mutex_` guards the memory WAL, the readers and the identity, for short bounded steps; it is never held
// over a disk call. `file_work_` lets one thread at a time change the file; it is held over that, and taken
// before `mutex_`.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vfs/file_versions.h"
#include "vfs/memory_wal.h"
#include "vfs/write_turn.h"

namespace dqlite::vfs {

// The committed state at one moment, as a connection is shown it.
struct CommittedView {
  uint64_t epoch = 0;  // raised when frames and file were replaced: nothing cached before may be kept [B11]
  CommitMark mark;     // newest commit
  uint64_t backfill = 0;  // frames at or below are in `file`
  PinnedVersion file;
  uint64_t database = 0;   // id; 0: not created yet, and empty
  uint32_t page_size = 0;  // 0: not known yet
};

// What one attempt at a checkpoint did.
struct DatabaseCheckpoint {
  CheckpointCost cost;
  uint64_t index = 0;  // the file holds all entries up to here
};

// One connection's hold on a snapshot. Lives in the connection; registered for its life.
struct Reader {
  bool active = false;
  bool of_file = false;   // reads what is sent to another node: no checkpoint waits for it [B2]
  uint64_t backfill = 0;  // frames above are needed
  uint64_t sequence = 0;  // pages of the file as of here are needed
};

class Database {
 public:
  Database(std::string name, std::unique_ptr<DatabaseFile> file);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t id();
  [[nodiscard]] WriteTurn& turn() { return turn_; }
  [[nodiscard]] FileVersions& versions() { return versions_; }

  // --- readers ---
  void add_reader(Reader& reader);
  void remove_reader(Reader& reader);
  // The newest committed state; `reader` holds it until `end_read`.
  CommittedView begin_read(Reader& reader);
  // Holds the state a connection was shown before, with today's file, if no checkpoint has passed it.
  std::optional<CommittedView> begin_read_again(Reader& reader, const CommittedView& shown);
  void end_read(Reader& reader);
  // The file alone, for a snapshot: pinned, between two checkpoints. Lowers (index, term) to the file's own
  // if frames above it exist.
  PinnedVersion begin_file_read(Reader& reader, uint64_t& index, uint64_t& term);
  void end_file_read(Reader& reader);
  CommittedView committed();
  // The same, and what it has above the file: the pages that differ from the file's, ascending.
  CommittedView committed_changes(std::vector<PageImage>& changes);
  // A frame that a held snapshot covers; of page 0 if the whole copy was replaced meanwhile.
  PageImage frame(uint64_t sequence);
  // The page numbers of the frames after `from` up to `to`. False if the whole copy was replaced meanwhile.
  bool page_numbers(uint64_t from, uint64_t to, std::vector<uint32_t>& out);
  // A page as of `version` of the file.
  Status read_file(const FileVersion& version, uint32_t page_number, std::span<uint8_t> out) {
    return versions_.read(version, page_number, out);
  }

  // The newest committed version of a page, for differences and hashes [A4]; null: it has none (not in range,
  // or zeros).
  Result<SharedPage> newest_page(uint32_t page_number);

  // The version of a page that has this hash, if it is the newest or the file's. Any thread.
  Result<Bytes> find_page(uint32_t page_number, uint64_t hash);
  // Ok: the file's page is what the last checkpoint wrote, on the disk as well. kPoisoned: the file has failed. This and
  // the next on any thread but the applier's; both wait for a running checkpoint.
  Status check_page(uint32_t page_number);
  // The page of the file, which is rotten, gets its content back. kInvalid if this is not it.
  Status repair(uint32_t page_number, ByteView page);

  // --- the applier thread ---
  // CREATE was committed, or a copy arrives whose content is newer than `index`: the file gets its first
  // record.
  Status create(uint64_t id, uint32_t page_size, uint64_t index, uint64_t term);
  // Returns the sequence of the last frame.
  uint64_t publish(const std::vector<PageImage>& frames, const CommitMark& mark);
  // Another copy of the whole database, from a snapshot (vfs/snapshot.h).
  Status replace(const CheckpointRecord& record, const DatabaseFile::PageSource& source,
                 std::chrono::steady_clock::time_point deadline);
  // The file as found is the first state of a new cluster [B8].
  Status adopt(uint64_t id, uint64_t term);

  // --- the checkpoint thread ---
  // Moves commits at or below `durable_index` to the file, or fewer: after an attempt that had to wait for readers the
  // next ones go no further, or with commits all the time some reader would always be older. kBusy: not now, the
  // sentence says why.
  Result<DatabaseCheckpoint> checkpoint(uint64_t durable_index,
                                        std::chrono::steady_clock::time_point deadline);
  [[nodiscard]] uint64_t wal_frames();
  [[nodiscard]] uint64_t wal_bytes();      // in memory and in spill files, also what only a long reader needs
  [[nodiscard]] uint64_t pending_bytes();  // of frames that wait for a checkpoint
  // The newest log index all of whose effects on this database are in the file, given that entries up to
  // `applied` are published.
  [[nodiscard]] uint64_t durable_point(uint64_t applied, uint64_t* term);

 private:
  [[nodiscard]] CommittedView view() const;   // call with mutex_ held
  void release_frames();                      // call with mutex_ held
  [[nodiscard]] bool is_all_in_file() const;  // what is published; call with mutex_ held

  // What a checkpoint up to `durable_index` moves now; its readers. Call with mutex_ held.
  struct CheckpointPlan {
    CommitMark target;
    bool is_last = true;  // no commit up to `durable_index` stays behind
    bool older_pinned = false;
    bool older_connection = false;  // not only for another node
  };
  CheckpointPlan plan_checkpoint(uint64_t durable_index, const CheckpointRecord& record);

  const std::string name_;
  FileVersions versions_;
  WriteTurn turn_;
  std::mutex file_work_;
  std::mutex mutex_;
  MemoryWal wal_;
  uint64_t epoch_ = 1;
  std::vector<Reader*> readers_;
  std::condition_variable checkpoint_ended_;
  uint64_t checkpoint_target_ = 0;  // a running checkpoint overwrites pages up to this sequence
  uint64_t refused_index_ = 0;      // of the commit up to which a checkpoint waits for readers
};

}  // namespace dqlite::vfs
