// The checkpoint records of one database: which state its file is in. A private part of DatabaseFile.
//
//   dqlite-node/db-<id>.a, db-<id>.b    the record, and during a checkpoint the next one beside it
//   dqlite-node/db-<id>.new             one that is being written: renamed when it is whole, ignored otherwise
//
// A record file is two blocks, so that writing the second can never tear the first. All integers
// little-endian.
//
//   block at 0      "dqliteR1"   8 bytes
//                   length       4 bytes   of the body
//                   body         version 4 (= 1), database 8, name 4 + n, page size 4, page count 4,
//                                index 8, term 8, checksum 8
//                   checksum     8 bytes   codec::checksum of all before it
//   block at 4096   "dqliteE1"   8 bytes
//                   the file as this checkpoint's last write left it: device 8, inode 8, size 8, ctime 8
//                   checksum     8 bytes   codec::checksum of all before it, seeded with the record's
//                                          checksum field
//   or instead      "dqliteM1"   8 bytes   a page that rotted is being written anew
//                   checksum     8 bytes   likewise
//
// Example: the record of database 7, "app.db", 4096-byte pages, 3 pages, index 9, term 2 begins
//   64 71 6c 69 74 65 52 31 | 36 00 00 00 | 01 00 00 00 | 07 00 00 00 00 00 00 00 | 06 00 00 00
//   61 70 70 2e 64 62 | ...
//
// The end is a hint and never synced: if it is missing or differs from the file, the file is compared as a whole with
// the record's checksum before anything is believed [A9 iii]. While a page is repaired it would differ, and a file
// with another rotten page would be taken for one that another program changed. So the mark takes its place before,
// durably: whoever opens the file then believes the page sums if they give the record's checksum, as each page is
// compared with its own when it is read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vfs/database_file.h"
#include "vfs/files.h"

namespace dqlite::vfs {

enum class RecordSlot : uint8_t { kA, kB };

constexpr RecordSlot other(RecordSlot slot) {
  return slot == RecordSlot::kA ? RecordSlot::kB : RecordSlot::kA;
}

struct StoredRecord {
  CheckpointRecord record;
  RecordSlot slot = RecordSlot::kA;
  std::optional<FileStamp> end;  // of the second block, if it is there and whole
  bool is_in_repair = false;     // the mark is there instead
};

struct FoundRecords {
  std::vector<StoredRecord> whole;  // none, one or two: older first
  std::string damage;               // a sentence about a record that is there and cannot be read
};

// The two blocks as bytes.
Bytes encode_record(const CheckpointRecord& record);
Result<CheckpointRecord> decode_record(ByteView bytes);
Bytes encode_end(const CheckpointRecord& record, const FileStamp& stamp);
std::optional<FileStamp> decode_end(const CheckpointRecord& record, ByteView bytes);
Bytes encode_repair_mark(const CheckpointRecord& record);
bool is_repair_mark(const CheckpointRecord& record, ByteView bytes);

class RecordStore {
 public:
  RecordStore(Files& files, std::string node_directory, uint64_t database);

  static Result<std::vector<uint64_t>> list(Files& files, const std::string& node_directory);

  Result<FoundRecords> load();
  // Durable on return: written under another name, synced, renamed, directory synced.
  Status write(RecordSlot slot, const CheckpointRecord& record);
  // The second block. Not synced: it may be lost, and then costs a comparison at the next open.
  Status write_end(RecordSlot slot, const CheckpointRecord& record, const FileStamp& stamp);
  // The mark in its place. Durable on return.
  Status mark_repair(RecordSlot slot, const CheckpointRecord& record);
  // Not synced either: a record that comes back is told from the true one by the file's stamp.
  Status remove(RecordSlot slot);
  // Where the page sums of this database are kept (page_sums.h).
  [[nodiscard]] std::string sums_path() const;

 private:
  [[nodiscard]] std::string path(RecordSlot slot) const;
  Status load_slot(RecordSlot slot, FoundRecords& found);

  Files& files_;
  const std::string node_directory_;
  const uint64_t database_;
};

}  // namespace dqlite::vfs
