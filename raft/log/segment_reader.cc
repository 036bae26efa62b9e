#include "raft/log/segment_reader.h"

#include <algorithm>
#include <string>

namespace dqlite::raft {

Result<ByteView> SegmentReader::view(uint64_t offset, size_t length) {
  if (offset < buffer_offset_ || offset + length > buffer_offset_ + buffer_.size()) {
    buffer_.resize(std::min<uint64_t>(kBufferBytes, size_bytes_ - offset));
    buffer_offset_ = offset;
    Result<size_t> got = file_.read(offset, buffer_);
    if (!got && length < buffer_.size()) {
      // A sector that cannot be read, but perhaps behind what is asked for now.
      buffer_.resize(length);
      got = file_.read(offset, buffer_);
    }
    if (!got) {
      buffer_.clear();
      return got.status();
    }
    if (*got < buffer_.size()) {
      buffer_.clear();
      return Status(Code::kCorrupt, "the file ends at offset " + std::to_string(offset + *got) +
                                        " instead of " + std::to_string(size_bytes_));
    }
  }
  return ByteView(buffer_).subspan(offset - buffer_offset_, length);
}

}  // namespace dqlite::raft
