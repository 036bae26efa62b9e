#include "raft/log/batch_writer.h"

namespace dqlite::raft {

namespace {

constexpr size_t kFlushBytes =
    1 << 20;  // beyond, a batch takes several writes, and no second copy of a large payload

// Encodes records one behind the other and writes them in large pieces.
class BatchEncoder {
 public:
  BatchEncoder(const Segment& segment, const BatchPosition& position)
      : segment_(segment), position_(position), flushed_(position.offset), previous_(position.previous) {}

  Status put(RecordHeader header, ByteView payload) {
    header.payload_length = static_cast<uint32_t>(payload.size());
    header.payload_checksum = payload_checksum(payload, segment_.header.salt);
    header.batch = position_.batch;
    header.commit = position_.commit;
    header.previous = previous_;
    size_t at = buffer_.size();
    buffer_.resize(at + kRecordHeaderBytes);
    previous_ = encode_record_header(header, segment_.header.salt, std::span(buffer_).subspan(at));
    if (payload.size() >= kFlushBytes) {
      if (Status status = flush(); !status) return status;
      if (Status status = segment_.file->write(flushed_, payload); !status) return status;
      flushed_ += payload.size();
    } else {
      buffer_.insert(buffer_.end(), payload.begin(), payload.end());
    }
    buffer_.resize(buffer_.size() + record_bytes(payload.size()) - kRecordHeaderBytes - payload.size());
    return buffer_.size() >= kFlushBytes ? flush() : Status::ok();
  }

  Status flush() {
    if (buffer_.empty()) return Status::ok();
    Status status = segment_.file->write(flushed_, buffer_);
    flushed_ += buffer_.size();
    buffer_.clear();
    return status;
  }

  [[nodiscard]] uint64_t end() const { return flushed_ + buffer_.size(); }
  [[nodiscard]] uint32_t previous() const { return previous_; }

 private:
  const Segment& segment_;
  const BatchPosition& position_;
  Bytes buffer_;
  uint64_t flushed_;  // the file's offset of the buffer's first byte
  uint32_t previous_;
};

Status put_begin(BatchEncoder& encoder, const Segment& segment, const BatchPart& part) {
  Bytes payload;
  codec::Writer(payload).u64(segment.sequence);
  RecordHeader header;
  header.type = RecordType::kBegin;
  header.index = part.next;
  header.ends_batch = part.record_count == 0 && !part.seals;
  return encoder.put(header, payload);
}

}  // namespace

Result<WrittenBatch> write_batch(const Segment& segment, const BatchPosition& position, const BatchPart& part,
                                 std::span<const NewRecord> records) {
  WrittenBatch written;
  BatchEncoder encoder(segment, position);
  if (part.begins) {
    if (Status status = put_begin(encoder, segment, part); !status) return status;
  }
  for (size_t i = 0; i < records.size(); i++) {
    const NewRecord& record = records[i];
    RecordHeader header;
    header.type = record.type;
    header.kind = record.type == RecordType::kEntry ? static_cast<uint8_t>(record.kind) : uint8_t{0};
    header.index = record.index;
    header.term = record.term;
    header.ends_batch = i + 1 == records.size() && !part.seals;
    written.offsets.push_back(encoder.end());
    ByteView payload = record.payload ? ByteView(*record.payload) : ByteView();
    if (Status status = encoder.put(header, payload); !status) return status;
  }
  if (part.seals) {
    RecordHeader header;
    header.type = RecordType::kFooter;
    header.index = part.next_after;
    header.ends_batch = true;
    if (Status status = encoder.put(header, {}); !status) return status;
  }
  if (Status status = encoder.flush(); !status) return status;
  if (Status status = segment.file->sync_data(); !status) return status;
  written.end = encoder.end();
  written.previous = encoder.previous();
  return written;
}

}  // namespace dqlite::raft
