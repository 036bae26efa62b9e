// Reads entries back from segments, and checks that the bytes are theirs.
//
// Used by Log::read on any thread, beside an append: a record is never overwritten, and a segment stays
// readable while somebody holds it. Also the few questions to a segment's file that are asked outside
// recovery.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/types.h"
#include "raft/log/segment.h"

namespace dqlite::raft {

struct EntryLocation {
  std::shared_ptr<Segment> segment;
  EntryId id;
  uint64_t offset = 0;
  uint64_t record_bytes = 0;
};

// kCorrupt if a record is not that of its entry; kIo if the disk refuses.
Result<std::vector<Entry>> read_entries(const std::vector<EntryLocation>& locations);

// Does the file hold anything but a header and zeros?
Result<bool> segment_was_used(Disk& disk, const std::string& path);

// From the oldest on. A file that cannot be removed is left over, which harms nothing, and ends the removal.
Status remove_segments(Disk& disk, const std::deque<std::shared_ptr<Segment>>& segments);

}  // namespace dqlite::raft
