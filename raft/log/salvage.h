// A damaged log cut where its readable part ends, with nothing deleted.
//
// Called by recover_log alone, when it was told to put damage aside (LogOptions::on_damage). What lies behind
// the readable part goes out of the log's way by a rename: `log-7-120` becomes `damaged-log-7-120`, or
// `damaged-log-7-120-2` where that name is taken. The segment in which the readable part ends is copied up to
// there into a new file, which takes its place: never cut in place, since the medium under it may be the one
// that failed. The damaged one gets its new name before the copy takes the old one. So a crash at any point leaves a
// log that ends, or is damaged, in the same place; the next recovery puts the rest aside.
#pragma once

#include <cstdint>
#include <string>

#include "codec/status.h"
#include "raft/log/disk.h"
#include "raft/log/segment.h"

namespace dqlite::raft {

struct ReadablePart {
  uint64_t first_segment = 0;        // of the log; older files are left-overs
  uint64_t last_segment = 0;         // the one in which the readable part ends; 0: there is none
  const Segment* segment = nullptr;  // that one, unless it is complete and stays as it is
  uint64_t end = 0;                  // behind its last readable batch
};

// Durable on return. Spares and left-overs are removed, too. kFull, or kIo, with some files aside already.
Status put_damage_aside(Disk& disk, const std::string& directory, const ReadablePart& readable);

}  // namespace dqlite::raft
