#include "raft/log/record.h"

#include <algorithm>
#include <cstring>

#include "codec/checksum.h"

namespace dqlite::raft {

namespace {

constexpr uint8_t kRecordMagic[4] = {'D', 'Q', 'L', 'R'};
constexpr size_t kRecordGuardedFrom = 8;  // the header checksum covers the bytes from here on

}  // namespace

uint64_t payload_piece_checksum(ByteView piece, uint64_t running) {
  return codec::checksum(piece, running);
}

uint64_t payload_checksum(ByteView payload, uint64_t salt) {
  uint64_t running = salt;
  for (size_t at = 0; at < payload.size(); at += kPayloadPieceBytes) {
    running = payload_piece_checksum(payload.subspan(at, std::min(kPayloadPieceBytes, payload.size() - at)),
                                     running);
  }
  return running;
}

uint32_t encode_record_header(const RecordHeader& header, uint64_t salt, std::span<uint8_t> out) {
  Bytes bytes;
  bytes.reserve(kRecordHeaderBytes);
  codec::Writer writer(bytes);
  writer.raw(kRecordMagic);
  writer.u32(0);
  writer.u64(header.payload_checksum);
  writer.u32(header.payload_length);
  writer.u32(header.previous);
  writer.u64(header.batch);
  writer.u64(header.index);
  writer.u64(header.term);
  writer.u64(header.commit);
  writer.u8(static_cast<uint8_t>(header.type));
  writer.u8(header.kind);
  writer.u8(header.ends_batch ? 1 : 0);
  bytes.resize(kRecordHeaderBytes);
  uint32_t checksum = codec::checksum32(ByteView(bytes).subspan(kRecordGuardedFrom), salt);
  writer.patch_u32(4, checksum);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return checksum;
}

std::optional<DecodedHeader> decode_record_header(ByteView bytes, uint64_t salt) {
  if (bytes.size() < kRecordHeaderBytes || !has_record_magic(bytes)) return std::nullopt;
  codec::Reader reader(bytes.first(kRecordHeaderBytes));
  DecodedHeader decoded;
  reader.u32();
  decoded.checksum = reader.u32();
  if (decoded.checksum !=
      codec::checksum32(bytes.subspan(kRecordGuardedFrom, kRecordHeaderBytes - kRecordGuardedFrom), salt)) {
    return std::nullopt;
  }
  RecordHeader& header = decoded.header;
  header.payload_checksum = reader.u64();
  header.payload_length = reader.u32();
  header.previous = reader.u32();
  header.batch = reader.u64();
  header.index = reader.u64();
  header.term = reader.u64();
  header.commit = reader.u64();
  header.type = static_cast<RecordType>(reader.u8());
  header.kind = reader.u8();
  header.ends_batch = reader.u8() != 0;
  return decoded;
}

bool has_record_magic(ByteView bytes) {
  return bytes.size() >= sizeof(kRecordMagic) &&
         std::memcmp(bytes.data(), kRecordMagic, sizeof(kRecordMagic)) == 0;
}

}  // namespace dqlite::raft
