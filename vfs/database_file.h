// The file of one database on disk: exactly the state at one checkpoint, and how it moves to the next one.
//
//   <directory>/app.db                       the plain SQLite file
//   <directory>/app.db-journal               during a checkpoint: a genuine SQLite rollback journal with the
//                                            old pages [A9]
//   <directory>/dqlite-node/db-<id>.<a|b>    the checkpoint record that is true of the file; during a
//                                            checkpoint, two
//
// ▶ Order of a checkpoint: journal with the old pages, synced, directory too → new record beside the old one,
// synced → pages in place, file synced → journal deleted, directory synced → old record deleted. A crash
// anywhere leaves a file that whoever opens it first (this class or stock sqlite3) rolls back to the old
// checkpoint or finds at the new one; the stamp in the file's header tells which record is true.
//
// While open the file is guarded against stock SQLite: RESERVED is held always, EXCLUSIVE while pages are
// copied, by open-file-description locks on SQLite's lock bytes. One descriptor per inode is opened in the
// life of the process and never closed, since closing any descriptor drops the host's own POSIX locks on that
// file [V-C6].
//
// Threads: `read` from any thread at any time; everything else from one thread at a time. The caller must see
// to it that no reader still needs a page that a checkpoint overwrites. A failure in the middle of a
// checkpoint leaves the object failed: `read` goes on only for pages that were not yet touched; the next open
// recovers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codec/status.h"
#include "vfs/files.h"
#include "vfs/frame_list.h"
#include "vfs/page.h"

namespace dqlite::vfs {

// What is known of the file's content. Format (versioned, checksummed) in checkpoint_record.cc.
struct CheckpointRecord {
  uint64_t database = 0;  // the log index of its CREATE entry
  std::string name;       // the file's name
  uint32_t page_size = 0;
  uint32_t page_count = 0;  // 0: the file is empty
  uint64_t index = 0;       // the newest log entry of this database that is in the file
  uint64_t term = 0;
  uint64_t checksum = 0;  // rolling checksum: XOR of codec::page_hash over all pages
};

// What a file that no record speaks of holds.
struct FoundFile {
  bool empty = true;  // missing or of size 0
  uint32_t page_size = 0;
  uint32_t page_count = 0;
};

struct CheckpointCost {
  uint32_t pages = 0;  // written in place
  uint64_t bytes = 0;  // to the journal and to the file
};

class DatabaseFile {
 public:
  // The ids of all databases that have a record in `node_directory`.
  static Result<std::vector<uint64_t>> list(Files& files, const std::string& node_directory);

  // A database with a record: recovers an interrupted checkpoint, takes RESERVED, and checks that the file is
  // the one the record speaks of (stamp, size, inode and ctime; no foreign -journal or -wal [A9 iii, V-C8]).
  // A file changed by somebody else is kRefused, with what to do; one that cannot be made whole is kCorrupt.
  static Result<std::unique_ptr<DatabaseFile>> open(Files& files, const std::string& directory,
                                                    const std::string& node_directory, uint64_t database);

  // A file without a record: creates it empty if it is missing and `create`, takes RESERVED, tells what it
  // holds. A file that is not a SQLite database, or has a -journal or -wal beside it, is refused with a
  // sentence. Nothing is changed.
  static Result<std::unique_ptr<DatabaseFile>> open_unrecorded(Files& files, const std::string& directory,
                                                               const std::string& node_directory,
                                                               const std::string& name, bool create);
  [[nodiscard]] const FoundFile& found() const;

  // The rolling checksum of a file without a record: one sequential read. For adoption [B8].
  Result<uint64_t> compute_checksum();

  // Writes the first record (of a new database, or of an adopted file: then page_count > 0, and the file's
  // header is brought to the form of a checkpoint: stamp and version bytes, through the same journal).
  // Durable on return.
  Status establish(const CheckpointRecord& record);

  // Told of every page that a read finds rotten: not what the last checkpoint wrote (kCorrupt), or not to be read from
  // the disk (kIo). By the thread that reads; must neither wait nor throw. Set before the first read.
  using RotWatcher = std::function<void(uint32_t page_number, const Status& fault)>;
  void watch_rot(RotWatcher watcher);

  // One page as of the present checkpoint, canonical; zeros above the file's end. `out` is one page long.
  Status read(uint32_t page_number, std::span<uint8_t> out);

  // What is read next comes from the disk, as far as the system does this favour. Any thread.
  void forget_cached();

  // Moves the file to `next` (same id and name). `pages`: ascending, canonical, none above next.page_count; read
  // one by one, where they are in a spill file.
  // Pages in range that are neither in `pages` nor in the present file become zeros. kBusy if stock readers
  // still hold the file at `deadline`, with a sentence that says who if known; nothing has changed then.
  Result<CheckpointCost> checkpoint(const CheckpointRecord& next, const std::vector<PageImage>& pages,
                                    std::chrono::steady_clock::time_point deadline);

  // Replaces the whole content by another copy of the same database (an arrived snapshot), by the same steps
  // and with the same safety as a checkpoint, in bounded memory: pages that are equal are left alone.
  // `source` gives each page from 1 to next.page_count, canonical, and may be asked twice.
  using PageSource = std::function<Status(uint32_t page_number, std::span<uint8_t> out)>;
  // `before_copy` is called before the first page is overwritten.
  Result<CheckpointCost> replace(
      const CheckpointRecord& next, const PageSource& source, std::chrono::steady_clock::time_point deadline,
      const std::function<void()>& before_copy = [] {});

  // Writes a page that rotted anew, in place and synced: `page` is the one that the last checkpoint wrote, or this is
  // kInvalid. A crash on the way leaves a page that is no better than before, in a file that opens as before, whatever
  // else rotted in it (checkpoint_record.h). A failed sync leaves the object failed, as that of a checkpoint does.
  Status repair(uint32_t page_number, ByteView page);
  // The hash of a page as of the present checkpoint; 0 for zeros, and above the end.
  [[nodiscard]] uint64_t expected_hash(uint32_t page_number) const;

  // What left the file between two checkpoints; ok if nothing did, also after a failure that was undone.
  [[nodiscard]] const Status& failure() const;

  [[nodiscard]] const CheckpointRecord& record() const;
  [[nodiscard]] bool has_record() const { return record().database != 0; }
  [[nodiscard]] const std::string& path() const;
  // For pages of this file: beyond `memory_bytes` they are in a spill file of the node.
  [[nodiscard]] FrameList page_list(size_t memory_bytes) const;

  ~DatabaseFile();

 private:
  struct State;
  explicit DatabaseFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dqlite::vfs
