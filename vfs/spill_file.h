// Pages that are too many for memory: a file of a node's own, for frames of a large transaction on their way from
// SQLite or the log to the database file, and for old pages that somebody still needs behind a large checkpoint.
//
//   dqlite-node/spill-<n>     page i at i times the page size, no header
//
// It has lost its name before the first page is in it, so it is gone with the last PageImage that refers to it, or with
// the process; a name that a crash left in between is swept at the next start. It is never synced: after a crash all of
// it comes again from the log. The hash of each page is in memory, so a page that rotted is found when it is read, and
// never served. Made and written by one thread; read by any once it is written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vfs/files.h"

namespace dqlite::vfs {

class SpillFile {
 public:
  // `directory`: of the node.
  static Result<std::shared_ptr<SpillFile>> create(Files& files, const std::string& directory,
                                                   uint32_t page_size);
  // At the start of a node.
  static Status sweep(Files& files, const std::string& directory);

  // In place of what the slot holds, if anything. kFull: no space, nothing is written.
  Status write(uint32_t slot, uint32_t page_number, ByteView page);
  Status read(uint32_t slot, uint32_t page_number, std::span<uint8_t> out) const;
  [[nodiscard]] uint64_t hash(uint32_t slot) const { return hashes_[slot]; }
  [[nodiscard]] uint32_t page_size() const { return page_size_; }

 private:
  SpillFile(std::shared_ptr<DataFile> file, uint32_t page_size)
      : file_(std::move(file)), page_size_(page_size) {}

  const std::shared_ptr<DataFile> file_;
  const uint32_t page_size_;
  std::vector<uint64_t> hashes_;  // by slot
};

}  // namespace dqlite::vfs
