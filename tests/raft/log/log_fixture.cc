#include "tests/raft/log/log_fixture.h"

#include <algorithm>

#include "raft/log/segment.h"

namespace dqlite::raft::test {

SharedBytes make_payload(Index index, Term term, size_t size) {
  auto bytes = std::make_shared<Bytes>(size, static_cast<uint8_t>(index * 31 + term * 7));
  for (size_t i = 0; i < size; i += 64) (*bytes)[i] = static_cast<uint8_t>(i / 64);
  return bytes;
}

Entry make_entry(Index index, Term term, size_t size) {
  return {index, term, EntryKind::kCommand, size == 0 ? nullptr : make_payload(index, term, size)};
}

std::string describe(Log& log) {
  LogStart start = log.start();
  HardState hard_state = log.hard_state();
  std::string text = "start " + std::to_string(start.last.index) + "/" + std::to_string(start.last.term) +
                     " | vote " + std::to_string(hard_state.term) + "/" + std::to_string(hard_state.vote) +
                     " |";
  for (Index at = start.last.index + 1; at <= log.last_index();) {
    Result<std::vector<Entry>> entries = log.read(at, log.last_index(), 64 << 10);
    if (!entries) return text + " UNREADABLE: " + entries.status().sentence();
    for (const Entry& entry : *entries) {
      if (entry.index != at++) return text + " OUT OF ORDER";
      if (log.term_at(entry.index) != entry.term) return text + " WRONG TERM";
      text += " " + std::to_string(entry.index) + "@" + std::to_string(entry.term) + "#" +
              std::to_string(entry.size_bytes());
      bool right = !entry.payload || entry.kind != EntryKind::kCommand ||
                   *entry.payload == *make_payload(entry.index, entry.term, entry.size_bytes());
      if (!right) return text + " WRONG PAYLOAD";
    }
  }
  return text;
}

LogFixture::LogFixture() {
  options.segment_bytes = 16 << 10;
  options.spare_segments = 0;  // the order of calls is then the same in every run
  options.salt_seed = 1;
}

Status LogFixture::try_open() {
  log.reset();
  Result<std::unique_ptr<Log>> opened = Log::open(disk, kDirectory, options);
  if (!opened) return opened.status();
  log = std::move(*opened);
  return Status::ok();
}

bool LogFixture::open() {
  Status status = try_open();
  failure = status.sentence();
  return status.is_ok();
}

bool LogFixture::reopen_after_kill() {
  disk.kill();
  return open();
}

bool LogFixture::reopen_after_power_loss(FaultDisk::Survival survival, uint64_t seed) {
  disk.power_loss(survival, seed);
  return open();
}

Status LogFixture::write(int entries, size_t size, Index commit) {
  Persist persist;
  persist.commit = commit;
  for (int i = 0; i < entries; i++)
    persist.entries.push_back(make_entry(log->last_index() + 1 + i, term, size));
  return log->append({persist});
}

Status LogFixture::replace_from(Index from, int entries, size_t size) {
  Persist persist;
  persist.truncate_from = from;
  for (int i = 0; i < entries; i++) persist.entries.push_back(make_entry(from + i, term, size));
  return log->append({persist});
}

Status LogFixture::write_configuration(const Configuration& configuration) {
  Persist persist;
  persist.entries.push_back({log->last_index() + 1, term, EntryKind::kConfiguration,
                             std::make_shared<const Bytes>(encode(configuration))});
  return log->append({persist});
}

Status LogFixture::vote(Term new_term, NodeId candidate) {
  Persist persist;
  persist.hard_state = HardState{new_term, candidate};
  return log->append({persist});
}

Status LogFixture::compact_to(Index index) {
  LogStart start;
  start.last = {index, log->term_at(index)};
  return log->compact(start);
}

Status LogFixture::reset_to(EntryId last) {
  LogStart start;
  start.last = last;
  return log->reset(start);
}

std::vector<std::string> LogFixture::segments() const {
  std::vector<std::string> result;
  std::string prefix = std::string(kDirectory) + "/";
  for (const std::string& path : disk.files()) {
    if (parse_segment_name(path.substr(prefix.size()))) result.push_back(path);
  }
  return result;
}

std::vector<FoundRecord> LogFixture::records() const {
  std::vector<FoundRecord> result;
  for (const std::string& path : segments()) {
    Bytes content = disk.content(path);
    uint64_t salt = codec::Reader(ByteView(content).subspan(16)).u64();
    for (uint64_t at = kSegmentHeaderBytes; at + kRecordHeaderBytes <= content.size();) {
      auto decoded = decode_record_header(ByteView(content).subspan(at), salt);
      if (!decoded) break;
      result.push_back({path, at, salt, decoded->header});
      at += record_bytes(decoded->header.payload_length);
    }
  }
  return result;
}

FoundRecord LogFixture::record_of(Index index) const {
  FoundRecord found;
  for (const FoundRecord& record : records()) {
    if (record.header.type == RecordType::kEntry && record.header.index == index) found = record;
  }
  return found;
}

void LogFixture::lose(const FoundRecord& record) {
  disk.put(record.path, record.offset, Bytes(record_bytes(record.header.payload_length)));
}

}  // namespace dqlite::raft::test
