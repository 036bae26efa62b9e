#include "vfs/snapshot.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "codec/checksum.h"
#include "codec/command.h"
#include "codec/page.h"

namespace dqlite::vfs {
namespace {

constexpr uint32_t kSnapshotMagic = 0x4e535144;  // "DQSN"
constexpr uint16_t kVersion = 1;
constexpr size_t kPrefixBytes = 10;  // magic, version, header size
constexpr uint32_t kLongestHeader = 16 << 20;
constexpr size_t kHeaderUnit = 4096;
constexpr size_t kCopyBytes = 1 << 20;

std::string part_path(const DatabaseSet& databases) {
  return databases.paths().node_directory + "/incoming.part";
}
std::string complete_path(const DatabaseSet& databases) {
  return databases.paths().node_directory + "/incoming";
}

uint64_t pages_bytes(const CheckpointRecord& record) {
  return static_cast<uint64_t>(record.page_count) * record.page_size;
}

Bytes encode(const SnapshotHeader& header) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u32(kSnapshotMagic);
  writer.u16(kVersion);
  writer.u32(0);
  writer.u64(header.last.index);
  writer.u64(header.last.term);
  writer.u32(static_cast<uint32_t>(header.databases.size()));
  for (const CheckpointRecord& record : header.databases) {
    writer.u64(record.database);
    writer.text(record.name);
    writer.u32(record.page_size);
    writer.u32(record.page_count);
    writer.u64(record.index);
    writer.u64(record.term);
    writer.u64(record.checksum);
  }
  bytes.resize((bytes.size() + 8 + kHeaderUnit - 1) / kHeaderUnit * kHeaderUnit - 8);
  writer.patch_u32(6, static_cast<uint32_t>(bytes.size() + 8));
  writer.u64(codec::checksum(bytes));
  return bytes;
}

Status unusable(const std::string& what) {
  return {Code::kCorrupt, "the arrived snapshot cannot be used: " + what};
}

Result<SnapshotHeader> read_header(DataFile& file) {
  Bytes prefix(kPrefixBytes);
  Result<size_t> got = file.read(0, prefix);
  if (!got) return got.status();
  codec::Reader start(prefix);
  if (*got < kPrefixBytes || start.u32() != kSnapshotMagic) return unusable("it does not begin as one");
  uint16_t version = start.u16();
  if (version != kVersion) {
    return Status(Code::kUnsupported, "the arrived snapshot is of version " + std::to_string(version) +
                                          ", this build knows version 1: update this node");
  }
  uint32_t size = start.u32();
  if (size < kPrefixBytes + 8 || size > kLongestHeader) return unusable("its header has an impossible size");
  Bytes bytes(size);
  got = file.read(0, bytes);
  if (!got) return got.status();
  ByteView checked = ByteView(bytes).first(size - 8);
  codec::Reader checksum(ByteView(bytes).last(8));
  if (*got < size || checksum.u64() != codec::checksum(checked))
    return unusable("its header is incomplete or altered");
  codec::Reader reader(checked.subspan(kPrefixBytes));
  SnapshotHeader header;
  header.size_bytes = size;
  header.last.index = reader.u64();
  header.last.term = reader.u64();
  uint32_t count = reader.u32();
  for (uint32_t i = 0; i < count && !reader.failed(); i++) {
    CheckpointRecord record;
    record.database = reader.u64();
    record.name = reader.text();
    record.page_size = reader.u32();
    record.page_count = reader.u32();
    record.index = reader.u64();
    record.term = reader.u64();
    record.checksum = reader.u64();
    if (!codec::is_page_size(record.page_size) || !codec::is_database_name(record.name)) {
      return unusable("it names a database '" + record.name + "' with pages of " +
                      std::to_string(record.page_size));
    }
    header.databases.push_back(std::move(record));
  }
  if (reader.failed()) return unusable("its header ends too early");
  return header;
}

DatabaseFile::PageSource source_in(std::shared_ptr<DataFile> file, uint64_t begin, uint32_t page_size) {
  return [file = std::move(file), begin, page_size](uint32_t number, std::span<uint8_t> out) -> Status {
    Result<size_t> got = file->read(begin + static_cast<uint64_t>(number - 1) * page_size, out);
    if (!got) return got.status();
    return *got == out.size() ? Status::ok() : unusable("it ends within page " + std::to_string(number));
  };
}

Status check_database(const CheckpointRecord& record, const DatabaseFile::PageSource& source) {
  Bytes page(record.page_size);
  uint64_t checksum = 0;
  for (uint64_t number = 1; number <= record.page_count; number++) {
    if (Status status = source(static_cast<uint32_t>(number), page); !status) return status;
    checksum ^= codec::page_hash(static_cast<uint32_t>(number), page);
  }
  if (checksum == record.checksum) return Status::ok();
  return unusable(record.name + " does not have the checksum that its header states");
}

using Use = std::function<Status(const CheckpointRecord&, const DatabaseFile::PageSource&)>;

Status for_each_database(const std::shared_ptr<DataFile>& file, const SnapshotHeader& header,
                         const Use& use) {
  uint64_t begin = header.size_bytes;
  for (const CheckpointRecord& record : header.databases) {
    Status status = use(record, source_in(file, begin, record.page_size));
    if (!status) return status;
    begin += pages_bytes(record);
  }
  return Status::ok();
}

Status remove_complete(DatabaseSet& databases) {
  if (Status status = databases.files().remove(complete_path(databases)); !status) return status;
  return databases.files().sync_directory(databases.paths().node_directory);
}

// The durable stream is there: every database moves to it, and then it goes. `moved`: how many did.
Status install_complete(DatabaseSet& databases, const std::shared_ptr<DataFile>& file, size_t& moved) {
  Result<SnapshotHeader> header = read_header(*file);
  if (!header) return header.status();
  Status status = for_each_database(
      file, *header, [&](const CheckpointRecord& record, const DatabaseFile::PageSource& source) {
        Result<bool> installed = databases.install(record, source);
        if (installed && *installed) moved++;
        return installed.status();
      });
  if (!status) return status;
  databases.installed(header->last);
  return remove_complete(databases);
}

}  // namespace

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::open(DatabaseSet& databases) {
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader);
  // The bound first: what is applied after it only makes the files newer than it says.
  DatabaseSet::Point last = databases.settled_point();
  for (Database* database : databases.databases()) {
    if (database->id() == 0) continue;
    auto part = std::make_unique<Part>();
    part->database = database;
    reader->parts_.push_back(std::move(part));
    Part& added = *reader->parts_.back();  // ends the read, whatever happens from here on
    added.file = database->begin_file_read(added.reader, last.index, last.term);
    reader->header_.databases.push_back(added.file->record());
  }
  reader->header_.last = last;
  reader->encoded_header_ = encode(reader->header_);
  reader->size_bytes_ = reader->encoded_header_.size();
  for (auto& part : reader->parts_) {
    part->begin = reader->size_bytes_;
    reader->size_bytes_ += pages_bytes(part->file->record());
  }
  return reader;
}

SnapshotReader::~SnapshotReader() {
  for (auto& part : parts_) part->database->end_file_read(part->reader);
}

Status SnapshotReader::read_pages(const Part& part, uint64_t offset, std::span<uint8_t> out) {
  uint32_t page_size = part.file->record().page_size;
  Bytes page(page_size);
  while (!out.empty()) {
    auto number = static_cast<uint32_t>(offset / page_size + 1);
    size_t within = offset % page_size;
    size_t size = std::min<size_t>(out.size(), page_size - within);
    if (Status status = part.database->read_file(*part.file, number, page); !status) return status;
    std::memcpy(out.data(), page.data() + within, size);
    out = out.subspan(size);
    offset += size;
  }
  return Status::ok();
}

Result<Bytes> SnapshotReader::read(uint64_t offset, size_t size) {
  if (offset >= size_bytes_) return Bytes{};
  Bytes bytes(std::min<uint64_t>(size, size_bytes_ - offset));
  std::span<uint8_t> rest(bytes);
  if (offset < encoded_header_.size()) {
    size_t part = std::min<size_t>(rest.size(), encoded_header_.size() - offset);
    std::memcpy(rest.data(), encoded_header_.data() + offset, part);
    rest = rest.subspan(part);
    offset += part;
  }
  for (const auto& part : parts_) {
    uint64_t end = part->begin + pages_bytes(part->file->record());
    if (rest.empty() || offset >= end) continue;
    size_t here = std::min<uint64_t>(rest.size(), end - offset);
    if (Status status = read_pages(*part, offset - part->begin, rest.first(here)); !status) return status;
    rest = rest.subspan(here);
    offset += here;
  }
  return bytes;
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotWriter::open(DatabaseSet& databases) {
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(databases));
  Result<bool> is_there = databases.files().exists(part_path(databases));
  if (!is_there) return is_there.status();
  Result<std::shared_ptr<DataFile>> file = databases.files().open(part_path(databases), !*is_there);
  if (!file) return file.status();
  writer->file_ = std::move(*file);
  if (*is_there) return writer;
  if (Status status = writer->copy_own_state(); !status) return status;
  return writer;
}

Status SnapshotWriter::copy_own_state() {
  Result<std::unique_ptr<SnapshotReader>> own = SnapshotReader::open(databases_);
  if (!own) return own.status();
  if ((*own)->is_empty()) return Status::ok();
  for (uint64_t offset = 0; offset < (*own)->size_bytes(); offset += kCopyBytes) {
    Result<Bytes> bytes = (*own)->read(offset, kCopyBytes);
    // A page that is rotten here comes from the sender.
    if (!bytes) return bytes.status().code() == Code::kCorrupt ? Status::ok() : bytes.status();
    if (Status status = file_->write(offset, *bytes); !status) return status;
  }
  return Status::ok();
}

Result<std::vector<uint64_t>> SnapshotWriter::held(size_t piece_bytes) {
  std::vector<uint64_t> checksums;
  Bytes piece(piece_bytes);
  for (uint64_t offset = 0;; offset += piece_bytes) {
    Result<size_t> got = file_->read(offset, piece);
    if (!got) return got.status();
    if (*got > 0) checksums.push_back(codec::checksum(ByteView(piece).first(*got)));
    if (*got < piece_bytes) return checksums;
  }
}

bool is_temporary(const Status& status) {
  return failure_class(status.code()) == FailureClass::kTemporary;
}

SnapshotWriter::~SnapshotWriter() {
  if (stays_) return;
  Status ignored = databases_.files().remove(part_path(databases_));  // the next start clears it away, too
  (void)ignored;
}

Status SnapshotWriter::write(uint64_t offset, ByteView bytes) {
  return file_->write(offset, bytes);
}

Status SnapshotWriter::install() {
  Result<SnapshotHeader> header = read_header(*file_);
  if (!header) return header.status();
  Status status = for_each_database(file_, *header, check_database);
  if (status) status = file_->sync();
  if (status) status = databases_.files().rename(part_path(databases_), complete_path(databases_));
  if (status) stays_ = true;
  if (status) status = databases_.files().sync_directory(databases_.paths().node_directory);
  if (!status) return status;
  size_t moved = 0;
  status = install_complete(databases_, file_, moved);
  if (!is_temporary(status)) return status;
  // After a temporary failure the node goes on from its log as if nothing had been: then nothing may have
  // changed, and the next start must not find this state. Otherwise only a new start can go on.
  if (moved == 0) {
    if (Status removed = remove_complete(databases_); removed) return status;
  }
  return {Code::kPoisoned, status.sentence() + "; the installation goes on when the process starts again"};
}

Status discard_kept_stream(DatabaseSet& databases) {
  return databases.files().remove(part_path(databases));
}

Status finish_installation(DatabaseSet& databases) {
  Result<bool> exists = databases.files().exists(complete_path(databases));
  if (!exists) return exists.status();
  if (!*exists) return Status::ok();
  Result<std::shared_ptr<DataFile>> file = databases.files().open(complete_path(databases), false);
  if (!file) return file.status();
  size_t moved = 0;
  return install_complete(databases, *file, moved);
}

}  // namespace dqlite::vfs
