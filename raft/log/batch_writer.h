// Writes one batch into one segment, in one write if it is small, and syncs.
//
// Used by Log on the log-writer thread. After a failure the bytes behind `offset` are unknown, and nothing
// may be written there in this life: the caller poisons the log.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/status.h"
#include "raft/log/batch_plan.h"
#include "raft/log/segment.h"

namespace dqlite::raft {

struct BatchPosition {
  uint64_t offset = 0;  // of the first record
  uint64_t batch = 0;
  uint32_t previous = 0;  // header checksum of the record before
  Index commit = 0;
};

struct WrittenBatch {
  uint64_t end = 0;
  uint32_t previous = 0;
  std::vector<uint64_t> offsets;  // of `records`, in order
};

// `records` are those of `part`.
Result<WrittenBatch> write_batch(const Segment& segment, const BatchPosition& position, const BatchPart& part,
                                 std::span<const NewRecord> records);

}  // namespace dqlite::raft
