// What a DatabaseFile is made of. Private to database_file*.cc: opening and recovery, checkpoint, reads.
#pragma once

#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "vfs/checkpoint_record.h"
#include "vfs/checkpoint_recovery.h"
#include "vfs/database_file.h"
#include "vfs/file_header.h"
#include "vfs/file_lock.h"
#include "vfs/page_sums.h"
#include "vfs/rollback_journal.h"

namespace dqlite::vfs {

// How long an open or an adoption waits for other programs to let go of the file. Enough for a rollback that
// a stock connection has begun; who means to keep the file longer is named in the sentence.
constexpr auto kOpenPatience = std::chrono::milliseconds(500);
// Adjacent pages are read and written in runs of at most this many bytes.
constexpr size_t kRunBytes = 256 * 1024;

// What a checkpoint brings: the pages that get new content, ascending, and where it is had from.
struct NewPages {
  std::vector<uint32_t> numbers;
  DatabaseFile::PageSource source;
  PageSums sums_after;
  std::function<void()> before_copy;  // called when nothing was overwritten yet
  bool source_failed = false;         // it, and not the disk, ended the copy
};

struct DatabaseFile::State {
  State(Files& files_in, std::string directory_in, std::string node_directory_in)
      : files(files_in), directory(std::move(directory_in)), node_directory(std::move(node_directory_in)) {}

  // Opening (database_file_open.cc).
  Status open_recorded(uint64_t database);
  Status open_unrecorded(const std::string& name, bool create);
  Status open_file(const std::string& name, bool create);
  Status recover(const FoundRecords& records_found);
  Status verify(const StoredRecord& kept, Recovery recovery);
  Status clean_up(const StoredRecord& kept, const FoundRecords& records_found, bool journal_there);
  Status undo_adoption();
  Status read_found();
  Result<bool> wal_holds_something();
  Status remove_empty_wal();
  // Reads the whole file: the sums of its pages.
  Result<PageSums> sum_pages(uint32_t page_size, uint32_t page_count);

  // Checkpoint (database_file_checkpoint.cc).
  Status check_next(const CheckpointRecord& next) const;
  Status check_pages(const CheckpointRecord& next, const std::vector<PageImage>& pages) const;
  Status check_page1();
  Result<size_t> read_old(uint64_t offset, std::span<uint8_t> out, size_t size);
  Result<NewPages> compare_all(const CheckpointRecord& next, const PageSource& source);
  Status check_sums(const CheckpointRecord& next, const PageSums& after) const;
  Result<CheckpointCost> move_to(const CheckpointRecord& next, NewPages pages, FileLock::Deadline deadline);
  Status carry_out(const CheckpointRecord& next, NewPages& pages, CheckpointCost& cost);
  Status write_journal(const JournalMark& mark, const std::vector<uint32_t>& page_numbers, uint64_t& bytes);
  Status copy_pages(const CheckpointRecord& next, NewPages& pages, CheckpointCost& cost);
  Status write_page1(uint32_t stamp, uint32_t size);
  Status set_size(uint64_t size);
  Status remove_journal();
  Status undo(const JournalMark& mark, bool copied);
  void write_hints(const std::vector<uint32_t>* changed);
  Status begin_repair();

  // The first record (database_file_adopt.cc).
  Status adopt(const CheckpointRecord& first);
  Status check_adopted(const CheckpointRecord& first);

  // Reads (database_file.cc).
  void begin_copy(std::vector<uint32_t> page_numbers);
  void end_copy(uint32_t page_size, uint32_t page_count, PageSums new_sums);
  Status read(uint32_t page_number, std::span<uint8_t> out);

  DatabaseFile::RotWatcher rot_watcher = [](uint32_t, const Status&) {};
  Files& files;
  const std::string directory;
  const std::string node_directory;
  std::string path;
  std::string journal_path;
  std::string wal_path;

  std::shared_ptr<DataFile> file;
  std::unique_ptr<FileLock> lock;
  std::optional<RecordStore> records;
  CheckpointRecord record;
  RecordSlot slot = RecordSlot::kA;
  FoundFile found;
  std::optional<FileStamp> summed_at;  // the file as compute_checksum saw it
  Status failure;                      // of a checkpoint that was neither finished nor undone

  // What reads need; a checkpoint changes it in two steps. Guarded by `reads`; no disk call is made under it.
  mutable std::shared_mutex reads;
  uint32_t page_size = 0;
  uint32_t page_count = 0;
  PageSums sums;
  bool has_sums = false;
  std::vector<uint32_t> copying;  // pages whose content is in motion, ascending
  Status copy_failure;            // they stay so: a checkpoint failed in their midst
  uint64_t generation = 0;        // raised whenever one of the above changes
};

}  // namespace dqlite::vfs
