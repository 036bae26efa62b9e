// Which records of an append go into which segment. Pure.
//
// A batch never crosses segments: an append that does is split into parts, each a batch of its own, written
// and synced before the next is begun. So a record in a segment proves that the segment before it is whole.
#pragma once

#include <cstdint>
#include <vector>

#include "codec/bytes.h"
#include "raft/core/types.h"
#include "raft/log/record.h"

namespace dqlite::raft {

// A record to be written: an entry, a truncation or a commit index.
struct NewRecord {
  RecordType type = RecordType::kEntry;
  EntryKind kind = EntryKind::kNoop;
  Index index = 0;
  Term term = 0;
  SharedBytes payload;
  Index next = 0;  // the index of the next entry if all records before this one are written

  [[nodiscard]] uint64_t bytes() const { return record_bytes(payload ? payload->size() : 0); }
};

struct BatchPart {
  uint64_t segment_bytes =
      0;  // 0: goes into the present segment; else a new one of at least this size is needed
  size_t first_record = 0;
  size_t record_count = 0;  // may be 0: nothing fits, the segment is only sealed
  bool begins = false;      // a begin record first
  bool seals = false;       // a footer last
  Index next = 0;           // the next index at its beginning
  Index next_after = 0;
};

struct PresentSegment {
  uint64_t end = 0;  // where the next record goes
  uint64_t size_bytes = 0;
};

// `records` is not empty. New segments have `segment_bytes`, or more if a single record needs it.
std::vector<BatchPart> plan_batches(const std::vector<NewRecord>& records, const PresentSegment& present,
                                    uint64_t segment_bytes);

}  // namespace dqlite::raft
