#include "raft/log/batch_plan.h"

#include <algorithm>

#include "raft/log/segment.h"

namespace dqlite::raft {

namespace {

Index next_after(const NewRecord& record) {
  switch (record.type) {
    case RecordType::kEntry:
      return record.index + 1;
    case RecordType::kTruncate:
      return record.index;
    default:
      return record.next;
  }
}

}  // namespace

std::vector<BatchPart> plan_batches(const std::vector<NewRecord>& records, const PresentSegment& present,
                                    uint64_t segment_bytes) {
  std::vector<BatchPart> parts;
  BatchPart part;
  part.begins = present.end == kSegmentHeaderBytes;
  part.next = part.next_after = records.front().next;
  uint64_t end = present.end + (part.begins ? kBeginBytes : 0);
  uint64_t size = present.size_bytes;
  for (size_t i = 0; i < records.size(); i++) {
    const NewRecord& record = records[i];
    if (end + record.bytes() + kFooterBytes > size) {
      part.seals = true;
      parts.push_back(part);
      size = std::max(segment_bytes, segment_bytes_for(record.payload ? record.payload->size() : 0));
      end = kSegmentHeaderBytes + kBeginBytes;
      part = BatchPart{size, i, 0, true, false, record.next, record.next};
    }
    part.record_count++;
    part.next_after = next_after(record);
    end += record.bytes();
  }
  parts.push_back(part);
  return parts;
}

}  // namespace dqlite::raft
