// Reads a segment from front to back through one buffer of 1 MiB, whatever the size of its records.
//
// Used by recovery alone, on the thread that opens the log.
#pragma once

#include <cstdint>

#include "codec/bytes.h"
#include "codec/status.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

class SegmentReader {
 public:
  static constexpr size_t kBufferBytes = 1 << 20;

  SegmentReader(File& file, uint64_t size_bytes) : file_(file), size_bytes_(size_bytes) {}

  // A view of exactly `length` bytes at `offset`, valid until the next call; `length` is at most kBufferBytes
  // and `offset + length` within the segment. A read error is kIo; fewer bytes than the segment has is
  // kCorrupt.
  Result<ByteView> view(uint64_t offset, size_t length);

 private:
  File& file_;
  uint64_t size_bytes_;
  Bytes buffer_;
  uint64_t buffer_offset_ = 0;
};

}  // namespace dqlite::raft
