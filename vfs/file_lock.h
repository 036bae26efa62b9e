// SQLite's lock on one database file, taken so that stock SQLite respects it (os_unix.c, "Locking").
//
//   0x40000000               PENDING    a writer waits: no new reader
//   0x40000001               RESERVED   one process means to write, readers go on; a -journal is not hot
//   0x40000002..0x400001ff   SHARED     read-locked by each reader; write-locked, with PENDING: EXCLUSIVE
//
// A node holds RESERVED as long as it has the file and EXCLUSIVE while it copies pages. For EXCLUSIVE it
// takes PENDING first, so that ever new readers cannot keep it out, and waits for those that are there
// [V-C7]. The kernel does not tell when another process lets go of a lock, so this wait polls; it is bounded
// by the caller's deadline.
//
// Used by DatabaseFile alone, from one thread at a time. A failure leaves the state as it was.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "codec/status.h"
#include "vfs/files.h"

namespace dqlite::vfs {

constexpr uint64_t kPendingByte = 0x40000000;
constexpr uint64_t kReservedByte = kPendingByte + 1;
constexpr uint64_t kSharedFirst = kPendingByte + 2;
constexpr uint64_t kSharedSize = 510;

// The page that holds the lock bytes: no data is ever kept there, and it counts as zeros.
constexpr uint32_t lock_byte_page(uint32_t page_size) {
  return static_cast<uint32_t>(kPendingByte / page_size) + 1;
}

class FileLock {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit FileLock(std::shared_ptr<DataFile> file) : file_(std::move(file)) {}
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();  // lets go of everything

  // kBusy at the deadline: another program means to write.
  Status take_reserved(Deadline deadline);
  // From RESERVED. kBusy at the deadline: a program still reads; RESERVED is held on.
  Status take_exclusive(Deadline deadline);
  Status back_to_reserved();

 private:
  Status take(uint64_t offset, uint64_t length, Deadline deadline);

  std::shared_ptr<DataFile> file_;
};

}  // namespace dqlite::vfs
