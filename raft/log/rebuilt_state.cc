#include "raft/log/rebuilt_state.h"

#include <algorithm>
#include <map>
#include <optional>

#include "raft/log/record.h"
#include "raft/log/segment.h"
#include "raft/log/state_file.h"

namespace dqlite::raft {

namespace {

// The record that begins a segment; nothing if it cannot be read.
std::optional<RecordHeader> first_record(Disk& disk, const std::string& path) {
  Result<std::unique_ptr<File>> file = disk.open(path, false);
  if (!file) return std::nullopt;
  Result<SegmentHeader> header = read_segment_header(**file, path);
  Bytes bytes(kRecordHeaderBytes);
  Result<size_t> got = (*file)->read(kSegmentHeaderBytes, bytes);
  if (!header || !got || *got != bytes.size()) return std::nullopt;
  const auto decoded = decode_record_header(bytes, header->salt);
  if (!decoded || decoded->header.type != RecordType::kBegin) return std::nullopt;
  return decoded->header;
}

}  // namespace

Status rebuild_state(Disk& disk, const std::string& directory) {
  Result<std::vector<std::string>> names = disk.list(directory);
  if (!names) return names.status();
  std::map<uint64_t, std::string> segments;
  for (const std::string& name : *names) {
    if (const std::optional<SegmentName> parsed = parse_segment_name(name)) segments[parsed->sequence] = name;
  }
  DurableState state;
  uint64_t expected = segments.empty() ? 0 : segments.rbegin()->first;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment, --expected) {
    if (segment->first != expected) break;
    const std::optional<RecordHeader> begin = first_record(disk, directory + "/" + segment->second);
    if (!begin && segment != segments.rbegin()) break;
    state.first_segment = segment->first;
    if (!begin) continue;  // made live, and took no batch yet
    state.first_batch = begin->batch;
    const Index before = begin->index - 1;
    // The term of what is gone cannot be known, and nobody will have an entry like it.
    state.start.last = {before, before == 0 ? Term{0} : Term{1}};
  }
  StateFile file(disk, directory);
  // Kept as they are until the new ones are there, whatever is wrong with them.
  Result<bool> loaded = file.load();
  if (loaded.status().code() == Code::kUnsupported) return loaded.status();
  Status saved = file.save(state);
  return saved ? file.save(state) : saved;
}

}  // namespace dqlite::raft
