// What the log's files say after a stop of any kind, and what is made of it before anybody may rely on it.
//
// `recover_log` is called by Log::open alone, once, before any other thread knows the log. It reads all
// segments from the oldest on as one stream of batches. A batch is accepted whole or not at all: its records
// follow each other (chain, index, batch number), every checksum is right, and the last one says that it is
// the last. Batch numbers are consecutive and a batch is written only after the one before it was synced, so
// of the place where the stream stops, batch E being expected there:
//
//   what is there                                      verdict
//   a  zeros to the end                                clean end
//   b  bad bytes; no valid record of a batch above E,  torn tail of a batch that was never acknowledged: cut
//      and no commit index at or above the next entry
//   c  a valid record of a batch above E, in this or   damage: E was synced before that record was written
//      a later segment                                 [A8]
//   d  a commit index at or above the next entry, in   damage: an entry that was durable and committed is
//      any valid record, or the log's start            not here
//   e  the next segment is missing behind a footer, a  damage: a segment is durable, with its name, before
//      gap in the sequence, a live name with a bad     the footer that leads to it and before its first
//      header or a wrong size                          record [B12]
//   f  a read error                                    damage, never torn
//
// A torn tail is cut by writing zeros over it. Damage is told with file, offset and index range, and what
// becomes of the log is the caller's choice:
//   kRefuse        kCorrupt; nothing is changed
//   kKeepReadable  the part in front of the damage, to be read and never written; nothing is changed
//   kPutAside      that part becomes the log, to go on from; the rest is put aside (raft/log/salvage.h). Only
//                  for a member that has stored before that it is mute (`Recovered::mute_below`): it may have
//                  acknowledged what is not in its log any more
//
// Making durable what was found [A12]: after `kill -9` the last batch may be in the page cache only, and
// after a failed sync its pages may even be marked clean. So it is written again, with equal bytes, in place,
// together with the zeros over the torn tail behind it, and synced. In place and not into a copy: equal bytes
// can tear only into themselves, the batches before it are durable (the sync that let the last batch begin
// returned) and are not touched, a crash in the middle leaves a tail that is judged again in the same way,
// and a node whose disk is full can still start. What lies behind the last batch is unacknowledged, so zeros
// over it lose nothing; they guarantee that no byte of it is ever taken for a part of the next batch, which
// gets the same number E.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/status.h"
#include "raft/core/configuration.h"
#include "raft/log/disk.h"
#include "raft/log/entry_index.h"
#include "raft/log/log.h"
#include "raft/log/segment.h"
#include "raft/log/state_file.h"

namespace dqlite::raft {

struct RecoveredLog {
  std::deque<std::shared_ptr<Segment>>
      segments;  // ascending, without a gap; the last one takes the next batch
  // The log needs a new segment for that: what stays of a damaged one ends with a complete segment, or is
  // empty.
  uint64_t segment_wanted = 0;  // its sequence number; 0: not so
  EntryIndex index;
  std::vector<std::pair<Index, Configuration>> configurations;
  Index commit = 0;  // the highest durable commit index, at least the start
  uint64_t end = 0;  // where the next record goes in the last segment
  uint64_t next_batch = 0;
  uint32_t previous = 0;  // header checksum of the last record
  std::string note;       // what was cut, or empty
  std::string damage;     // where, what and which entries; empty: none
  Term highest_term = 0;  // of any valid record that was seen, whether it counts or not
};

// The state is durable already; the files are those of a log that was once begun.
Result<RecoveredLog> recover_log(Disk& disk, const std::string& directory, const DurableState& state,
                                 const LogOptions& options);

}  // namespace dqlite::raft
