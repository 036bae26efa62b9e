// The operating system's files as the databases need them, and the seam at which tests inject faults.
//
// The same idea as raft/log/disk.h, kept apart because the two rooms do not know each other, and because this
// side needs what SQLite's own locking asks for: open-file-description locks and one descriptor per inode for
// the life of the process. Calls block. A File may be read by several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::vfs {

// What tells one state of a file from another without reading it.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t changed_ns = 0;  // ctime
  bool operator==(const FileStamp&) const = default;
};

enum class LockKind : uint8_t { kNone, kRead, kWrite };

class DataFile {
 public:
  virtual ~DataFile() = default;
  virtual Result<size_t> read(uint64_t offset,
                              std::span<uint8_t> out) = 0;  // fewer bytes at the end of the file
  virtual Status write(uint64_t offset, ByteView bytes) = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Status sync() = 0;  // fsync: data and size; a failure is final
  virtual Result<FileStamp> stamp() = 0;
  // What is read next comes from the disk, as far as the system does this favour.
  virtual void forget_cached() {}
  // Sets this descriptor's lock on a byte range at once, or kBusy. The lock outlives other descriptors of the
  // file.
  virtual Status lock(uint64_t offset, uint64_t length, LockKind kind) = 0;
};

class Files {
 public:
  virtual ~Files() = default;
  // A database file: the same object for the same inode, never closed in the life of the process [V-C6].
  virtual Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) = 0;
  // Any other file of ours: closed with the object. `create`: truncated if it is there.
  virtual Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) = 0;
  // The same for a file that is not there yet: kRefused if one is; kFull also while descriptors or the kernel's memory
  // have run out, as space may have.
  virtual Result<std::shared_ptr<DataFile>> create_new(const std::string& path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Status make_directory(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // kRefused if `to` is there: it is left alone.
  virtual Status rename_new(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;  // ok if it is not there
  // kUnsupported: not on this file system; kRefused: it may not be read.
  virtual Status sync_directory(const std::string& path) = 0;
  // What this process may still take of the file system that `path` is on; a quota may allow less.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
  // In a forked child: closes every descriptor this object still holds.
  virtual void close_after_fork() = 0;
};

Files& posix_files();

}  // namespace dqlite::vfs
