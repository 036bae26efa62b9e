#include "raft/log/replay.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr uint32_t kMaxConfigurationBytes = 16 << 20;

std::string place(const Segment& segment, uint64_t offset) {
  return segment.path + ", offset " + std::to_string(offset);
}

bool is_known(RecordType type) {
  return type >= RecordType::kBegin && type <= RecordType::kFooter;
}

bool is_known_kind(uint8_t kind) {
  return kind >= static_cast<uint8_t>(EntryKind::kNoop) && kind <= static_cast<uint8_t>(EntryKind::kCommand);
}

}  // namespace

Replay::Replay(const DurableState& state) : index_(state.start.last), expected_batch_(state.first_batch) {
  accepted_.next = state.start.last.index + 1;
}

Result<Replay::End> Replay::read(Segment& segment) {
  SegmentReader reader(*segment.file, segment.header.size_bytes);
  segment.first_batch = expected_batch_;
  accepted_end_ = kSegmentHeaderBytes;
  uint64_t offset = kSegmentHeaderBytes;
  std::vector<Change> changes;  // of the batch being read
  Cursor at = accepted_;
  while (true) {
    Result<std::optional<Change>> change = read_record(segment, reader, offset, at);
    if (!change) return change.status();
    if (!*change) {
      stopped_at_ = offset;
      return End::kStopped;
    }
    RecordHeader record = (*change)->record;
    offset += record_bytes(record.payload_length);
    changes.push_back(std::move(**change));
    if (!record.ends_batch) continue;
    accept(segment, changes, at, accepted_end_, offset);
    changes.clear();
    if (record.type == RecordType::kFooter) return End::kFooter;
  }
}

// One record, checked against the cursor, which moves on behind it. Nothing: there is no valid next record
// here.
Result<std::optional<Replay::Change>> Replay::read_record(const Segment& segment, SegmentReader& reader,
                                                          uint64_t offset, Cursor& at) {
  if (offset + kRecordHeaderBytes > segment.header.size_bytes) return std::optional<Change>();
  Result<ByteView> bytes = reader.view(offset, kRecordHeaderBytes);
  if (!bytes) return Status(Code::kCorrupt, place(segment, offset) + ": " + bytes.status().sentence());
  std::optional<DecodedHeader> decoded = decode_record_header(*bytes, segment.header.salt);
  if (!decoded || !fits(decoded->header, segment, offset, at)) return std::optional<Change>();
  Change change;
  change.record = decoded->header;
  change.offset = offset;
  bool keep = change.record.type == RecordType::kBegin ||
              (change.record.type == RecordType::kEntry &&
               change.record.kind == static_cast<uint8_t>(EntryKind::kConfiguration));
  if (keep && change.record.payload_length > kMaxConfigurationBytes) {
    return Status(Code::kCorrupt, place(segment, offset) + ": a configuration of " +
                                      std::to_string(change.record.payload_length) +
                                      " bytes; no valid one exceeds " +
                                      std::to_string(kMaxConfigurationBytes));
  }
  Bytes payload;
  Result<bool> right = check_payload(segment, reader, change.record, offset, keep ? &payload : nullptr);
  if (!right) return right.status();
  if (!*right) return std::optional<Change>();
  if (Status status = interpret(segment, change, payload, at); !status) return status;
  at.previous = decoded->checksum;
  at.has_previous = true;
  at.commit = std::max(at.commit, change.record.commit);
  return std::optional<Change>(std::move(change));
}

// Is this record the next one of the log? A right checksum alone does not say so: a lost write leaves older
// bytes, a misdirected one puts bytes where others belong.
bool Replay::fits(const RecordHeader& record, const Segment& segment, uint64_t offset,
                  const Cursor& at) const {
  if (record.batch != expected_batch_) return false;
  if (at.has_previous && record.previous != at.previous) return false;
  if (record.payload_length > kMaxPayloadBytes ||
      record_bytes(record.payload_length) > segment.header.size_bytes - offset) {
    return false;
  }
  bool is_first = offset == kSegmentHeaderBytes;
  if (is_first != (record.type == RecordType::kBegin)) return false;
  switch (record.type) {
    case RecordType::kBegin:
      return (record.index == at.next || !begun_) && record.payload_length == kBeginPayloadBytes;
    case RecordType::kEntry:
      return record.index == at.next;
    case RecordType::kTruncate:
      return record.index > 0 && record.index < at.next && record.index > at.commit;
    case RecordType::kFooter:
      return record.index == at.next && record.ends_batch;
    case RecordType::kCommit:
      break;
  }
  return true;  // an unknown type is judged by `interpret`, which can say so
}

Result<bool> Replay::check_payload(const Segment& segment, SegmentReader& reader, const RecordHeader& record,
                                   uint64_t offset, Bytes* kept) {
  uint64_t running = segment.header.salt;
  for (uint32_t done = 0; done < record.payload_length;) {
    size_t size = std::min<size_t>(kPayloadPieceBytes, record.payload_length - done);
    Result<ByteView> piece = reader.view(offset + kRecordHeaderBytes + done, size);
    if (!piece) return Status(Code::kCorrupt, place(segment, offset) + ": " + piece.status().sentence());
    running = payload_piece_checksum(*piece, running);
    if (kept != nullptr) kept->insert(kept->end(), piece->begin(), piece->end());
    done += static_cast<uint32_t>(size);
  }
  return running == record.payload_checksum;
}

// Everything about the bytes is right: what do they say? What this build cannot know must stop it [B16].
Status Replay::interpret(const Segment& segment, Change& change, ByteView payload, Cursor& at) {
  const RecordHeader& record = change.record;
  if (!is_known(record.type) || (record.type == RecordType::kEntry && !is_known_kind(record.kind))) {
    return {Code::kUnsupported, place(segment, change.offset) + ": a record of type " +
                                    std::to_string(static_cast<int>(record.type)) + ", entry kind " +
                                    std::to_string(record.kind) +
                                    ", which this build does not know: use the newer build that wrote it"};
  }
  if (record.type == RecordType::kBegin) {
    uint64_t sequence = codec::Reader(payload).u64();
    if (sequence != segment.sequence) {
      return {Code::kCorrupt, place(segment, change.offset) + ": the file holds segment " +
                                  std::to_string(sequence) + " of the log, its name says " +
                                  std::to_string(segment.sequence)};
    }
    at.next = record.index;
  } else if (record.type == RecordType::kTruncate) {
    at.next = record.index;
  } else if (record.type == RecordType::kEntry) {
    at.next = record.index + 1;
    if (record.kind == static_cast<uint8_t>(EntryKind::kConfiguration)) {
      Result<Configuration> configuration = decode_configuration(payload);
      if (!configuration) return configuration.status().in(place(segment, change.offset));
      change.configuration = std::move(*configuration);
    }
  }
  return Status::ok();
}

// A whole batch is there: it counts.
void Replay::accept(const Segment& segment, std::vector<Change>& changes, const Cursor& at, uint64_t begin,
                    uint64_t end) {
  for (Change& change : changes) {
    const RecordHeader& record = change.record;
    if (record.type == RecordType::kTruncate) {
      index_.truncate(record.index);
      while (!configurations_.empty() && configurations_.back().first >= record.index)
        configurations_.pop_back();
    }
    if (record.type != RecordType::kEntry) continue;
    // Entries at or below the start were compacted; their segment is there for the sake of later ones. The
    // oldest segment may also begin in the middle of a suffix that a later record of it truncates: such
    // entries have lost those before them. If no truncation comes, recovery finds the gap at the end.
    if (record.index <= index_.start().index || record.index > index_.last_index() + 1) continue;
    index_.append(record.term, segment.sequence, change.offset, record_bytes(record.payload_length));
    if (change.configuration) configurations_.emplace_back(record.index, std::move(*change.configuration));
  }
  accepted_ = at;
  begun_ = true;
  expected_batch_++;
  accepted_end_ = end;
  last_batch_ = {segment.sequence, begin, end, changes.back().record.type == RecordType::kFooter};
}

}  // namespace dqlite::raft
