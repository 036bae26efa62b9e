#include "vfs/checkpoint_record.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "codec/checksum.h"
#include "codec/page.h"

namespace dqlite::vfs {
namespace {

constexpr char kRecordMagic[] = "dqliteR1";
constexpr char kEndMagic[] = "dqliteE1";
constexpr char kMarkMagic[] = "dqliteM1";
constexpr size_t kMagicSize = 8;
constexpr uint32_t kRecordVersion = 1;
constexpr size_t kBlockSize = 4096;
constexpr size_t kEndSize = kMagicSize + 4 * 8 + 8;
constexpr size_t kMarkSize = kMagicSize + 8;

ByteView magic(const char* text) {
  return {reinterpret_cast<const uint8_t*>(text), kMagicSize};
}

bool begins_with(ByteView bytes, const char* text) {
  return bytes.size() >= kMagicSize && std::memcmp(bytes.data(), text, kMagicSize) == 0;
}

Status damaged(const std::string& what) {
  return {Code::kCorrupt, what};
}

// "db-7.a" or "db-7.b" gives 7.
std::optional<uint64_t> database_of(const std::string& name) {
  constexpr size_t kPrefix = 3;
  if (name.size() < kPrefix + 3 || name.compare(0, kPrefix, "db-") != 0) return std::nullopt;
  if (!name.ends_with(".a") && !name.ends_with(".b")) return std::nullopt;
  uint64_t id = 0;
  const char* end = name.data() + name.size() - 2;
  auto [stop, error] = std::from_chars(name.data() + kPrefix, end, id);
  if (error != std::errc() || stop != end) return std::nullopt;
  return id;
}

}  // namespace

Bytes encode_record(const CheckpointRecord& record) {
  Bytes body;
  codec::Writer fields(body);
  fields.u32(kRecordVersion);
  fields.u64(record.database);
  fields.text(record.name);
  fields.u32(record.page_size);
  fields.u32(record.page_count);
  fields.u64(record.index);
  fields.u64(record.term);
  fields.u64(record.checksum);

  Bytes bytes;
  codec::Writer out(bytes);
  out.raw(magic(kRecordMagic));
  out.blob(body);
  out.u64(codec::checksum(bytes));
  return bytes;
}

Result<CheckpointRecord> decode_record(ByteView bytes) {
  if (!begins_with(bytes, kRecordMagic)) return damaged("it does not begin with \"dqliteR1\"");
  codec::Reader frame(bytes);
  (void)frame.raw(kMagicSize);
  ByteView body = frame.blob();
  size_t summed = frame.position();
  uint64_t expected = frame.u64();
  if (frame.failed()) {
    return damaged("it ends after " + std::to_string(bytes.size()) + " bytes, in the middle of the record");
  }
  uint64_t found = codec::checksum(bytes.first(summed));
  if (found != expected) {
    return damaged("its checksum is " + std::to_string(found) + ", expected " + std::to_string(expected));
  }
  codec::Reader fields(body);
  uint32_t version = fields.u32();
  if (version != kRecordVersion) {
    return Status(Code::kUnsupported, "it has version " + std::to_string(version) +
                                          ", this build knows version " + std::to_string(kRecordVersion) +
                                          ": start a newer build of this extension");
  }
  CheckpointRecord record;
  record.database = fields.u64();
  record.name = fields.text();
  record.page_size = fields.u32();
  record.page_count = fields.u32();
  record.index = fields.u64();
  record.term = fields.u64();
  record.checksum = fields.u64();
  if (!fields.finished() || record.name.empty() || !codec::is_page_size(record.page_size)) {
    return damaged("its checksum is right but its fields make no record");
  }
  return record;
}

Bytes encode_end(const CheckpointRecord& record, const FileStamp& stamp) {
  Bytes bytes;
  codec::Writer out(bytes);
  out.raw(magic(kEndMagic));
  out.u64(stamp.device);
  out.u64(stamp.inode);
  out.u64(stamp.size_bytes);
  out.u64(static_cast<uint64_t>(stamp.changed_ns));
  out.u64(codec::checksum(bytes, record.checksum));
  return bytes;
}

std::optional<FileStamp> decode_end(const CheckpointRecord& record, ByteView bytes) {
  if (bytes.size() < kEndSize || !begins_with(bytes, kEndMagic)) return std::nullopt;
  codec::Reader fields(bytes);
  (void)fields.raw(kMagicSize);
  FileStamp stamp;
  stamp.device = fields.u64();
  stamp.inode = fields.u64();
  stamp.size_bytes = fields.u64();
  stamp.changed_ns = static_cast<int64_t>(fields.u64());
  size_t summed = fields.position();
  if (fields.u64() != codec::checksum(bytes.first(summed), record.checksum)) return std::nullopt;
  return stamp;
}

Bytes encode_repair_mark(const CheckpointRecord& record) {
  Bytes bytes;
  codec::Writer out(bytes);
  out.raw(magic(kMarkMagic));
  out.u64(codec::checksum(bytes, record.checksum));
  return bytes;
}

bool is_repair_mark(const CheckpointRecord& record, ByteView bytes) {
  const Bytes mark = encode_repair_mark(record);
  return bytes.size() >= kMarkSize && std::memcmp(bytes.data(), mark.data(), kMarkSize) == 0;
}

RecordStore::RecordStore(Files& files, std::string node_directory, uint64_t database)
    : files_(files), node_directory_(std::move(node_directory)), database_(database) {}

Result<std::vector<uint64_t>> RecordStore::list(Files& files, const std::string& node_directory) {
  auto names = files.list(node_directory);
  if (!names) return names.status();
  std::vector<uint64_t> ids;
  for (const std::string& name : *names) {
    if (auto id = database_of(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string RecordStore::path(RecordSlot slot) const {
  return node_directory_ + "/db-" + std::to_string(database_) + (slot == RecordSlot::kA ? ".a" : ".b");
}

std::string RecordStore::sums_path() const {
  return node_directory_ + "/db-" + std::to_string(database_) + ".sums";
}

Result<FoundRecords> RecordStore::load() {
  FoundRecords found;
  for (RecordSlot slot : {RecordSlot::kA, RecordSlot::kB}) {
    if (Status status = load_slot(slot, found); !status) return status;
  }
  if (found.whole.size() == 2 && found.whole[0].record.index > found.whole[1].record.index) {
    std::swap(found.whole[0], found.whole[1]);
  }
  return found;
}

Status RecordStore::load_slot(RecordSlot slot, FoundRecords& found) {
  auto file = files_.open(path(slot), false);
  if (file.status().code() == Code::kNotFound) return Status::ok();
  if (!file) return file.status();
  Bytes bytes(kBlockSize + kEndSize);
  auto size = (*file)->read(0, bytes);
  if (!size) return size.status();
  bytes.resize(*size);
  auto record = decode_record(ByteView(bytes).first(std::min(bytes.size(), kBlockSize)));
  if (!record) {
    if (record.status().code() == Code::kUnsupported)
      return record.status().in("the checkpoint record " + path(slot));
    // A record gets its name when it is whole and synced, so this is damage and not a torn write.
    found.damage = record.status().in("the checkpoint record " + path(slot) + " is damaged").sentence();
    return Status::ok();
  }
  if (record->database != database_) {
    found.damage =
        "the checkpoint record " + path(slot) + " speaks of database " + std::to_string(record->database);
    return Status::ok();
  }
  StoredRecord stored;
  stored.record = std::move(*record);
  stored.slot = slot;
  if (bytes.size() > kBlockSize) {
    const ByteView second = ByteView(bytes).subspan(kBlockSize);
    stored.end = decode_end(stored.record, second);
    stored.is_in_repair = is_repair_mark(stored.record, second);
  }
  found.whole.push_back(std::move(stored));
  return Status::ok();
}

Status RecordStore::write(RecordSlot slot, const CheckpointRecord& record) {
  Bytes bytes = encode_record(record);
  if (bytes.size() > kBlockSize) {
    return {Code::kInvalid, "the name of database " + std::to_string(database_) + " has " +
                                std::to_string(record.name.size()) + " bytes, a record has room for " +
                                std::to_string(kBlockSize - (bytes.size() - record.name.size()))};
  }
  const std::string unfinished = node_directory_ + "/db-" + std::to_string(database_) + ".new";
  auto file = files_.open(unfinished, true);
  if (!file) return file.status();
  if (Status status = (*file)->write(0, bytes); !status) return status;
  if (Status status = (*file)->sync(); !status) return status;
  if (Status status = files_.rename(unfinished, path(slot)); !status) return status;
  return files_.sync_directory(node_directory_);
}

Status RecordStore::write_end(RecordSlot slot, const CheckpointRecord& record, const FileStamp& stamp) {
  auto file = files_.open(path(slot), false);
  if (!file) return file.status();
  return (*file)->write(kBlockSize, encode_end(record, stamp));
}

Status RecordStore::mark_repair(RecordSlot slot, const CheckpointRecord& record) {
  auto file = files_.open(path(slot), false);
  if (!file) return file.status();
  Status status = (*file)->write(kBlockSize, encode_repair_mark(record));
  return status ? (*file)->sync() : status;
}

Status RecordStore::remove(RecordSlot slot) {
  return files_.remove(path(slot));
}

}  // namespace dqlite::vfs
