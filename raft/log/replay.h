// The records of a log, read in order and checked against each other: the part of recovery that changes
// nothing.
//
// Driven by recover_log, segment by segment. Holds what the batches accepted so far amount to; a batch in the
// middle of which the stream stops leaves no trace. Memory: the entry index and one buffer, not the payloads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/status.h"
#include "raft/core/configuration.h"
#include "raft/log/entry_index.h"
#include "raft/log/record.h"
#include "raft/log/segment.h"
#include "raft/log/segment_reader.h"
#include "raft/log/state_file.h"

namespace dqlite::raft {

class Replay {
 public:
  explicit Replay(const DurableState& state);

  enum class End : uint8_t {
    kFooter,   // the segment is complete: go on with the next
    kStopped,  // no valid next batch at `accepted_end()`; the bytes at `stopped_at()` are not a valid record
  };
  // Accepts the batches of the next segment. A Status is damage or an unknown format; nothing else can fail.
  Result<End> read(Segment& segment);

  // Where the last accepted batch of the segment read last begins and ends.
  [[nodiscard]] uint64_t accepted_end() const { return accepted_end_; }
  [[nodiscard]] uint64_t stopped_at() const { return stopped_at_; }
  // The last batch accepted at all; sequence 0: none was.
  struct Extent {
    uint64_t sequence = 0;
    uint64_t begin = 0;
    uint64_t end = 0;
    bool completes_segment = false;  // it ends with the footer
  };
  [[nodiscard]] const Extent& last_batch() const { return last_batch_; }

  [[nodiscard]] uint64_t expected_batch() const { return expected_batch_; }
  [[nodiscard]] Index next_index() const { return accepted_.next; }
  // The highest commit index of the records; the log's start, committed too, is not among them: an old
  // truncation may lie below it.
  [[nodiscard]] Index commit() const { return accepted_.commit; }
  [[nodiscard]] uint32_t previous() const { return accepted_.previous; }
  EntryIndex& index() { return index_; }
  std::vector<std::pair<Index, Configuration>>& configurations() { return configurations_; }

 private:
  // What the next record is checked against.
  struct Cursor {
    Index next = 0;
    Index commit = 0;
    uint32_t previous = 0;
    bool has_previous = false;  // the record before the log's first segment is gone
  };
  struct Change {
    RecordHeader record;
    uint64_t offset = 0;
    std::optional<Configuration> configuration;
  };

  [[nodiscard]] bool fits(const RecordHeader& record, const Segment& segment, uint64_t offset,
                          const Cursor& at) const;
  // Reads the payload in pieces. False: its checksum is wrong. `kept` gets it if asked for.
  Result<bool> check_payload(const Segment& segment, SegmentReader& reader, const RecordHeader& record,
                             uint64_t offset, Bytes* kept);
  Result<std::optional<Change>> read_record(const Segment& segment, SegmentReader& reader, uint64_t offset,
                                            Cursor& at);
  Status interpret(const Segment& segment, Change& change, ByteView payload, Cursor& at);
  void accept(const Segment& segment, std::vector<Change>& changes, const Cursor& at, uint64_t begin,
              uint64_t end);

  EntryIndex index_;
  std::vector<std::pair<Index, Configuration>> configurations_;
  Cursor accepted_;
  uint64_t expected_batch_;
  uint64_t accepted_end_ = 0;
  uint64_t stopped_at_ = 0;
  Extent last_batch_;
  bool begun_ = false;  // a record was accepted
};

}  // namespace dqlite::raft
