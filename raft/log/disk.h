// The operating system's files as the log needs them, and the seam at which tests inject faults.
//
// Everything below raft/log goes through this class: open, read, write, sync, rename, unlink. `PosixDisk` is
// the real one; a test's disk keeps unsynced bytes apart and drops, tears or damages them. Calls block; any
// thread. On one file, reads may run beside each other and beside one write or sync. Codes: kFull (no space,
// quota), kNotFound, kRefused (a file to be created is there), else kIo.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::raft {

class File {
 public:
  virtual ~File() = default;
  // Reads exactly `out.size()` bytes, or fewer at the end of the file; returns how many.
  virtual Result<size_t> read(uint64_t offset, std::span<uint8_t> out) = 0;
  // Writes all of it or fails; may grow the file.
  virtual Status write(uint64_t offset, ByteView bytes) = 0;
  virtual Status sync_data() = 0;  // fdatasync; a failure is final for the node, never retried
  virtual Status truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  // `create`: the file must not exist. Every descriptor is close-on-exec.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, bool create) = 0;
  virtual Status make_directory(const std::string& path) = 0;  // ok if it is there
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status link(const std::string& path, const std::string& second_name) = 0;  // which does not exist
  virtual Status remove(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  // What this process may still take of the file system that `path` is on; a quota may allow less.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
};

// A process-wide instance without state.
Disk& posix_disk();
// In a forked child: closes every file that the process has open through `posix_disk` [B6]. No lock is taken.
void close_posix_files_after_fork();

}  // namespace dqlite::raft
