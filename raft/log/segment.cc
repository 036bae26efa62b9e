#include "raft/log/segment.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "codec/checksum.h"

namespace dqlite::raft {

namespace {

constexpr uint8_t kSegmentMagic[8] = {'d', 'q', 'l', 'i', 't', 'e', 'L', 'G'};
constexpr uint32_t kSegmentVersion = 1;
constexpr size_t kUsedHeaderBytes = 64;
constexpr size_t kSegmentGuardedFrom = 16;
constexpr size_t kFillBytes = 256 << 10;

Bytes encode_header(const SegmentHeader& header) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.raw(kSegmentMagic);
  writer.u32(kSegmentVersion);
  writer.u32(0);
  writer.u64(header.salt);
  writer.u64(header.size_bytes);
  writer.u64(header.cluster_id_high);
  writer.u64(header.cluster_id_low);
  bytes.resize(kUsedHeaderBytes);
  writer.patch_u32(12, codec::checksum32(ByteView(bytes).subspan(kSegmentGuardedFrom)));
  bytes.resize(kSegmentHeaderBytes);
  return bytes;
}

Result<SegmentHeader> decode_header(ByteView bytes, const std::string& path) {
  codec::Reader reader(bytes.first(std::min(bytes.size(), kUsedHeaderBytes)));
  ByteView magic = reader.raw(sizeof(kSegmentMagic));
  uint32_t version = reader.u32();
  uint32_t checksum = reader.u32();
  SegmentHeader header;
  header.salt = reader.u64();
  header.size_bytes = reader.u64();
  header.cluster_id_high = reader.u64();
  header.cluster_id_low = reader.u64();
  if (reader.failed() || std::memcmp(magic.data(), kSegmentMagic, sizeof(kSegmentMagic)) != 0 ||
      checksum !=
          codec::checksum32(bytes.subspan(kSegmentGuardedFrom, kUsedHeaderBytes - kSegmentGuardedFrom))) {
    return Status(Code::kCorrupt, path + ": the segment's header at offset 0 is not valid");
  }
  if (version != kSegmentVersion) {
    return Status(Code::kUnsupported, path + ": log format version " + std::to_string(version) +
                                          ", this build knows version " + std::to_string(kSegmentVersion) +
                                          ": use the newer build that wrote it");
  }
  return header;
}

Status fill(File& file, const SegmentHeader& header) {
  if (Status status = file.write(0, encode_header(header)); !status) return status;
  Bytes zeros(std::min<uint64_t>(kFillBytes, header.size_bytes - kSegmentHeaderBytes));
  for (uint64_t at = kSegmentHeaderBytes; at < header.size_bytes; at += zeros.size()) {
    ByteView piece = ByteView(zeros).first(std::min<uint64_t>(zeros.size(), header.size_bytes - at));
    if (Status status = file.write(at, piece); !status) return status;
  }
  return file.sync_data();
}

bool parse_number(std::string_view text, uint64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::unique_ptr<Segment>> create_segment(Disk& disk, const std::string& path,
                                                const SegmentHeader& header) {
  auto segment = std::make_unique<Segment>();
  segment->path = path;
  segment->header = header;
  Result<std::unique_ptr<File>> file = disk.open(path, true);
  if (!file) return file.status();
  segment->file = std::move(*file);
  if (Status status = fill(*segment->file, header); !status) {
    segment->file.reset();
    // Its space is needed elsewhere. If that fails too, the next start removes it; the first failure is the
    // one to tell.
    (void)disk.remove(path).is_ok();
    return status.in("new log segment");
  }
  return segment;
}

Result<std::unique_ptr<Segment>> open_segment(Disk& disk, const std::string& path, uint64_t cluster_id_high,
                                              uint64_t cluster_id_low, const std::vector<ClusterId>& former) {
  auto segment = std::make_unique<Segment>();
  segment->path = path;
  Result<std::unique_ptr<File>> file = disk.open(path, false);
  if (!file) return file.status();
  segment->file = std::move(*file);
  Result<SegmentHeader> header = read_segment_header(*segment->file, path);
  if (!header) return header.status();
  segment->header = *header;
  Result<uint64_t> size = segment->file->size();
  if (!size) return size.status();
  if (*size != header->size_bytes || *size < kMinSegmentBytes) {
    return Status(Code::kCorrupt, path + ": the file is " + std::to_string(*size) +
                                      " bytes long, its header says " + std::to_string(header->size_bytes));
  }
  const ClusterId found{header->cluster_id_high, header->cluster_id_low};
  const bool is_ours = !found.is_set() || found == ClusterId{cluster_id_high, cluster_id_low} ||
                       std::find(former.begin(), former.end(), found) != former.end();
  if (!is_ours) {
    char ids[80];
    std::snprintf(ids, sizeof(ids), "%016llx%016llx, not to %016llx%016llx",
                  static_cast<unsigned long long>(header->cluster_id_high),
                  static_cast<unsigned long long>(header->cluster_id_low),
                  static_cast<unsigned long long>(cluster_id_high),
                  static_cast<unsigned long long>(cluster_id_low));
    return Status(Code::kRefused,
                  path + " belongs to cluster " + ids +
                      ": identity and log are from different directories; put the right ones together");
  }
  return segment;
}

Result<SegmentHeader> read_segment_header(File& file, const std::string& path) {
  Bytes bytes(kSegmentHeaderBytes);
  Result<size_t> got = file.read(0, bytes);
  if (!got) return Status(Code::kCorrupt, path + ": the header cannot be read: " + got.status().sentence());
  return decode_header(ByteView(bytes).first(*got), path);
}

std::string segment_name(const SegmentName& name) {
  char text[64];
  std::snprintf(text, sizeof(text), "log-%010llu-%020llu", static_cast<unsigned long long>(name.sequence),
                static_cast<unsigned long long>(name.first));
  return text;
}

std::optional<SegmentName> parse_segment_name(const std::string& name) {
  std::string_view rest(name);
  if (!rest.starts_with("log-")) return std::nullopt;
  rest.remove_prefix(4);
  size_t dash = rest.find('-');
  SegmentName parsed;
  if (dash == std::string_view::npos || !parse_number(rest.substr(0, dash), parsed.sequence) ||
      !parse_number(rest.substr(dash + 1), parsed.first) || parsed.sequence == 0) {
    return std::nullopt;
  }
  return parsed;
}

std::string spare_name(uint64_t number) {
  return "spare-" + std::to_string(number);
}

bool is_spare_name(const std::string& name) {
  return name.starts_with("spare-");
}

}  // namespace dqlite::raft
