#include "raft/log/log_reader.h"

#include <algorithm>

#include "raft/log/record.h"
#include "raft/log/segment_reader.h"

namespace dqlite::raft {

namespace {

std::string place(const EntryLocation& location) {
  return "entry " + std::to_string(location.id.index) + " of term " + std::to_string(location.id.term) +
         " at " + location.segment->path + ", offset " + std::to_string(location.offset);
}

Result<Entry> read_entry(const EntryLocation& location, Bytes& scratch) {
  scratch.resize(location.record_bytes);
  Result<size_t> got = location.segment->file->read(location.offset, scratch);
  if (!got) return got.status().in(place(location));
  uint64_t salt = location.segment->header.salt;
  std::optional<DecodedHeader> decoded = decode_record_header(ByteView(scratch).first(*got), salt);
  bool is_it = decoded && decoded->header.type == RecordType::kEntry &&
               decoded->header.index == location.id.index && decoded->header.term == location.id.term &&
               *got == location.record_bytes &&
               record_bytes(decoded->header.payload_length) == location.record_bytes;
  if (!is_it)
    return Status(Code::kCorrupt, place(location) + ": no valid record of that entry is there any more");
  ByteView payload = ByteView(scratch).subspan(kRecordHeaderBytes, decoded->header.payload_length);
  if (payload_checksum(payload, salt) != decoded->header.payload_checksum) {
    return Status(Code::kCorrupt, place(location) + ": the payload's checksum is wrong");
  }
  Entry entry{location.id.index, location.id.term, static_cast<EntryKind>(decoded->header.kind), nullptr};
  if (!payload.empty()) entry.payload = std::make_shared<const Bytes>(payload.begin(), payload.end());
  return entry;
}

}  // namespace

Result<std::vector<Entry>> read_entries(const std::vector<EntryLocation>& locations) {
  std::vector<Entry> entries;
  entries.reserve(locations.size());
  Bytes scratch;
  for (const EntryLocation& location : locations) {
    Result<Entry> entry = read_entry(location, scratch);
    if (!entry) return entry.status();
    entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<bool> segment_was_used(Disk& disk, const std::string& path) {
  Result<std::unique_ptr<File>> file = disk.open(path, false);
  if (!file) return file.status();
  Result<uint64_t> size = (*file)->size();
  if (!size) return size.status();
  SegmentReader reader(**file, *size);
  for (uint64_t at = kSegmentHeaderBytes; at < *size;) {
    size_t length = std::min<uint64_t>(SegmentReader::kBufferBytes, *size - at);
    Result<ByteView> bytes = reader.view(at, length);
    if (!bytes) return bytes.status();
    if (std::any_of(bytes->begin(), bytes->end(), [](uint8_t byte) { return byte != 0; })) return true;
    at += length;
  }
  return false;
}

Status remove_segments(Disk& disk, const std::deque<std::shared_ptr<Segment>>& segments) {
  for (const auto& segment : segments) {
    if (Status status = disk.remove(segment->path); !status) {
      return status.in("a segment that the log no longer needs is left over");
    }
  }
  return Status::ok();
}

}  // namespace dqlite::raft
