// The state of all databases of a node as one byte stream, and its arrival on another node.
//
// The stream is a header, then for each database its file's pages as of its newest checkpoint, canonical:
//
//   u32 "DQSN", u16 version (1), u32 size of the header
//   u64 index, u64 term: everything up to here is in the stream
//   u32 number of databases, and for each:
//       u64 id, text name, u32 page size, u32 page count, u64 index, u64 term, u64 rolling checksum
//   zeros, so that the header takes a multiple of 4096 bytes: a stream of the same databases has the same
//   pages at the same offsets
//   u64 checksum of the header before this field
//   the pages
//
// Databases may be at different indexes; each has its own, and entries at or below it are skipped [A5].
// Sending pins the file's versions, so checkpoints go on beneath.
//
// An arriving stream is written to <node directory>/incoming.part, which may be there from one that was cut
// off; else it begins as this node's own stream, so that pieces that are the same need not travel. `install` checks every database against
// its rolling checksum, makes the stream durable as <node directory>/incoming, which is the record that an
// installation has begun, moves each database to it through the checkpoint journal, and removes it. A crash
// in between is finished by `finish_installation` at the next start [B10].
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vfs/database_set.h"

namespace dqlite::vfs {

// What a stream says about itself.
struct SnapshotHeader {
  DatabaseSet::Point last;
  std::vector<CheckpointRecord> databases;
  uint64_t size_bytes = 0;  // of the header itself
};

// The sender's side. One thread at a time; the set outlives it.
class SnapshotReader {
 public:
  static Result<std::unique_ptr<SnapshotReader>> open(DatabaseSet& databases);
  ~SnapshotReader();

  [[nodiscard]] DatabaseSet::Point last() const { return header_.last; }
  [[nodiscard]] uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] bool is_empty() const { return size_bytes_ == encoded_header_.size(); }  // no page at all
  // `size` bytes at `offset`, or fewer at the end. Offsets may be asked for again.
  Result<Bytes> read(uint64_t offset, size_t size);

 private:
  struct Part {
    Database* database = nullptr;
    PinnedVersion file;
    Reader reader;
    uint64_t begin = 0;  // offset of its first page in the stream
  };

  SnapshotReader() = default;
  Status read_pages(const Part& part, uint64_t offset, std::span<uint8_t> out);

  SnapshotHeader header_;
  Bytes encoded_header_;
  std::vector<std::unique_ptr<Part>> parts_;
  uint64_t size_bytes_ = 0;
};

// The receiver's side: `write` on one thread, then `install` on the applier thread.
class SnapshotWriter {
 public:
  static Result<std::unique_ptr<SnapshotWriter>> open(DatabaseSet& databases);
  ~SnapshotWriter();  // without `install` or `keep`: leaves no trace

  // codec::checksum of each piece of what the file held when it was opened; the last may be shorter.
  Result<std::vector<uint64_t>> held(size_t piece_bytes);
  // What was written stays, for the next one to begin with.
  void keep() { stays_ = true; }
  Status write(uint64_t offset, ByteView bytes);
  // kCorrupt if the stream is not what its header says; nothing is changed then.
  Status install();

 private:
  explicit SnapshotWriter(DatabaseSet& databases) : databases_(databases) {}

  DatabaseSet& databases_;
  Status copy_own_state();

  std::shared_ptr<DataFile> file_;
  bool stays_ = false;
};

// Removes what is left of a stream that was cut off, unless one is arriving.
Status discard_kept_stream(DatabaseSet& databases);

// At the start of a node: completes an installation that a crash cut off.
Status finish_installation(DatabaseSet& databases);

}  // namespace dqlite::vfs
