#include "raft/log/checked_file.h"

#include <algorithm>
#include <optional>

#include "codec/checksum.h"

namespace dqlite::raft {

namespace {

constexpr uint32_t kCopyVersion = 1;
constexpr size_t kCopyHeaderBytes = 32;
constexpr size_t kCopyGuardedFrom = 16;

uint64_t seed_of(uint32_t magic, uint32_t version) {
  return (uint64_t{magic} << 32) | version;
}

struct Copy {
  uint32_t version = 0;
  CheckedContent content;
};

std::optional<Copy> decode_copy(uint32_t magic, ByteView bytes) {
  codec::Reader reader(bytes);
  if (reader.u32() != magic) return std::nullopt;
  Copy copy;
  copy.version = reader.u32();
  uint64_t checksum = reader.u64();
  copy.content.sequence = reader.u64();
  uint32_t length = reader.u32();
  reader.u32();
  ByteView body = reader.raw(length);  // fails, without allocating, if the length is wrong
  if (reader.failed()) return std::nullopt;
  ByteView guarded = bytes.subspan(kCopyGuardedFrom, kCopyHeaderBytes - kCopyGuardedFrom + length);
  if (codec::checksum(guarded, seed_of(magic, copy.version)) != checksum) return std::nullopt;
  copy.content.body.assign(body.begin(), body.end());
  return copy;
}

}  // namespace

Bytes encode_checked(uint32_t magic, uint64_t sequence, ByteView body) {
  Bytes guarded;
  codec::Writer inner(guarded);
  inner.u64(sequence);
  inner.u32(static_cast<uint32_t>(body.size()));
  inner.u32(0);
  inner.raw(body);
  Bytes file;
  codec::Writer writer(file);
  for (int copy = 0; copy < 2; copy++) {
    writer.u32(magic);
    writer.u32(kCopyVersion);
    writer.u64(codec::checksum(guarded, seed_of(magic, kCopyVersion)));
    writer.raw(guarded);
    file.resize((file.size() + kCopyAlignment - 1) / kCopyAlignment * kCopyAlignment);
  }
  return file;
}

Result<CheckedContent> decode_checked(uint32_t magic, ByteView file, const std::string& path) {
  std::optional<Copy> newest;
  int valid_copies = 0;
  for (size_t at = 0; at + kCopyHeaderBytes <= file.size(); at += kCopyAlignment) {
    std::optional<Copy> copy = decode_copy(magic, file.subspan(at));
    if (!copy) continue;
    if (copy->version != kCopyVersion) {
      return Status(Code::kUnsupported, path + " has format version " + std::to_string(copy->version) +
                                            ", this build knows version " + std::to_string(kCopyVersion) +
                                            ": use the newer build that wrote it");
    }
    valid_copies++;
    if (!newest || copy->content.sequence > newest->content.sequence) newest = std::move(copy);
  }
  if (!newest) {
    return Status(Code::kCorrupt,
                  path + " (" + std::to_string(file.size()) + " bytes) holds no copy with a right checksum");
  }
  newest->content.valid_copies = valid_copies;
  return std::move(newest->content);
}

Result<Bytes> read_whole_file(Disk& disk, const std::string& path) {
  Result<std::unique_ptr<File>> file = disk.open(path, false);
  if (!file) return file.status();
  Result<uint64_t> size = (*file)->size();
  if (!size) return size.status();
  if (*size > kMaxCheckedFileBytes) {
    return Status(Code::kCorrupt, path + " is " + std::to_string(*size) +
                                      " bytes long; no valid one exceeds " +
                                      std::to_string(kMaxCheckedFileBytes));
  }
  Bytes bytes(*size);
  Result<size_t> got = (*file)->read(0, bytes);
  if (!got) return got.status();
  bytes.resize(*got);
  return bytes;
}

Status replace_file(Disk& disk, const std::string& directory, const std::string& name, ByteView bytes) {
  std::string path = directory + "/" + name;
  std::string fresh = path + ".new";
  Result<bool> left_over = disk.exists(fresh);
  if (!left_over) return left_over.status();
  if (*left_over) {
    if (Status status = disk.remove(fresh); !status) return status;
  }
  Result<std::unique_ptr<File>> file = disk.open(fresh, true);
  if (!file) return file.status();
  if (Status status = (*file)->write(0, bytes); !status) return status;
  if (Status status = (*file)->sync_data(); !status) return status;
  if (Status status = disk.rename(fresh, path); !status) return status;
  return disk.sync_directory(directory);
}

Status rewrite_copies(Disk& disk, const std::string& path, ByteView bytes) {
  Result<std::unique_ptr<File>> file = disk.open(path, false);
  if (!file) return file.status();
  size_t half = bytes.size() / 2;
  for (size_t at : {size_t{0}, half}) {
    if (Status status = (*file)->write(at, bytes.subspan(at, half)); !status) return status;
    if (Status status = (*file)->sync_data(); !status) return status;
  }
  return Status::ok();
}

Status ensure_directory(Disk& disk, const std::string& path) {
  if (Status status = disk.make_directory(path); !status) return status;
  std::string::size_type end = path.find_last_not_of('/');
  std::string::size_type slash = end == std::string::npos ? end : path.rfind('/', end);
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return disk.sync_directory(parent);
}

}  // namespace dqlite::raft
