// The first record of a database file: of a new one, or of one that is adopted.
#include "codec/checksum.h"
#include "codec/page.h"
#include "vfs/database_file_state.h"

namespace dqlite::vfs {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// The first record. An adopted file gets a checkpoint's header before it, through a journal: until the record
// is durable it is a plain file like any other, with the content it had.
Status DatabaseFile::State::adopt(const CheckpointRecord& first) {
  if (record.database != 0 || first.database == 0 || (first.index == 0 && !found.empty) ||
      !codec::is_page_size(first.page_size) || first.page_count != found.page_count ||
      (!found.empty && first.page_size != found.page_size)) {
    return {Code::kInvalid, "the first record of " + path + " (database " + std::to_string(first.database) +
                                ", index " + std::to_string(first.index) + ") speaks of " +
                                std::to_string(first.page_count) + " pages of " +
                                std::to_string(first.page_size) + " bytes, found " +
                                std::to_string(found.page_count) + " of " + std::to_string(found.page_size)};
  }
  // A stock connection in WAL mode holds SHARED as long as it lives and never asks for RESERVED.
  if (Status status = lock->take_exclusive(Clock::now() + kOpenPatience); !status) return status;
  if (Status status = check_adopted(first); !status) {
    Status released = lock->back_to_reserved();
    return released ? status : released;
  }
  if (Status status = remove_empty_wal(); !status) return status;
  if (first.page_count != 0) {
    JournalMark mark{first.database, 0, first.index, first.page_size, first.page_count, 1};
    uint64_t bytes = 0;
    if (Status status = write_journal(mark, {1}, bytes); !status) return status;
    if (Status status = write_page1(codec::stamp_of(first.index), first.page_size); !status) return status;
    if (Status status = file->sync(); !status) return status;
  }
  if (Status status = remove_journal(); !status) return status;
  records.emplace(files, node_directory, first.database);
  if (Status status = records->write(RecordSlot::kA, first); !status) return status;
  slot = RecordSlot::kA;
  record = first;
  end_copy(first.page_size, first.page_count, sums);
  write_hints(nullptr);
  return lock->back_to_reserved();
}

// Under EXCLUSIVE: is the file still what was found and summed up?
Status DatabaseFile::State::check_adopted(const CheckpointRecord& first) {
  auto wal = wal_holds_something();
  if (!wal) return wal.status();
  auto stamp = file->stamp();
  if (!stamp) return stamp.status();
  if (*wal || stamp->size_bytes != uint64_t{found.page_count} * found.page_size ||
      (summed_at && !(*summed_at == *stamp))) {
    return {Code::kBusy,
            "another program changed " + path + " while it was being adopted: close it there and try again"};
  }
  if (!summed_at) {
    auto summed = sum_pages(first.page_size, first.page_count);
    if (!summed) return summed.status();
    end_copy(first.page_size, first.page_count, std::move(*summed));
  }
  if (uint64_t total = sums.total(); total != first.checksum) {
    return {Code::kInvalid, "the first record of " + path + " has the checksum " +
                                std::to_string(first.checksum) + ", its pages add up to " +
                                std::to_string(total)};
  }
  return Status::ok();
}

}  // namespace dqlite::vfs
