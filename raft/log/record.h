// The unit of the log: a header of 64 bytes, a payload, zeros up to the next multiple of 8.
//
// Written by Log::append, read by recovery and Log::read; both sides share this file. Pure; any thread.
//
//   offset  bytes  field
//        0      4  magic "DQLR"
//        4      4  header checksum: of bytes 8..63, seeded with the segment's salt
//        8      8  payload checksum, seeded with the salt (see payload_checksum)
//       16      4  payload length
//       20      4  header checksum of the record before this one, across segments: the chain
//       24      8  batch number
//       32      8  index: an entry's own; truncate: the first one removed; begin, footer: the next one;
//                  commit: 0
//       40      8  term: an entry's own; else 0
//       48      8  commit index: known to be committed AND durable here before this batch was written [A2]
//       56      1  type (RecordType)
//       57      1  kind (EntryKind) of an entry, else 0
//       58      1  1 in the last record of a batch, else 0
//       59      5  zeros
//
// Example: an entry 7 of term 2, kind command, payload "hello", alone in batch 9, commit index 6, in a
// segment with salt 0x1122334455667788, behind a record whose header checksum is 0xAABBCCDD (record_test.cc
// proves it):
//
//   44 51 4C 52  0E 1A D8 48  55 47 4D E1 1A 81 88 2E   magic, header checksum, payload checksum
//   05 00 00 00  DD CC BB AA  09 00 00 00 00 00 00 00   length, chain, batch
//   07 00 00 00 00 00 00 00   02 00 00 00 00 00 00 00   index, term
//   06 00 00 00 00 00 00 00   02 03 01 00 00 00 00 00   commit, type, kind, end of batch
//   68 65 6C 6C 6F 00 00 00                             payload, padding
//
// Header and payload have checksums of their own, so that a record with a rotten payload still has a name,
// and a length is believed only after the header's checksum was right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "codec/bytes.h"
#include "raft/core/types.h"

namespace dqlite::raft {

enum class RecordType : uint8_t {
  kBegin = 1,     // the first record of a segment; payload: the segment's sequence number (8 bytes)
  kEntry = 2,     // a log entry
  kTruncate = 3,  // the entries from `index` on are gone
  kCommit = 4,    // carries nothing but its commit index
  kFooter = 5,    // the last record of a full segment: the log goes on in the next one, which exists
};

struct RecordHeader {
  RecordType type = RecordType::kEntry;
  uint8_t kind = 0;
  bool ends_batch = false;
  uint32_t payload_length = 0;
  uint64_t payload_checksum = 0;
  uint32_t previous = 0;
  uint64_t batch = 0;
  Index index = 0;
  Term term = 0;
  Index commit = 0;
};

constexpr size_t kRecordHeaderBytes = 64;
constexpr size_t kRecordAlignment = 8;
constexpr uint32_t kMaxPayloadBytes = 1U << 30;
// A payload's checksum is a chain over pieces of this size, so that a reader needs memory for one piece only.
constexpr size_t kPayloadPieceBytes = 256 << 10;
constexpr size_t kBeginPayloadBytes = 8;

// What a record with that payload takes in a segment.
constexpr uint64_t record_bytes(uint64_t payload_length) {
  return kRecordHeaderBytes + (payload_length + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}
constexpr uint64_t kBeginBytes = record_bytes(kBeginPayloadBytes);
constexpr uint64_t kFooterBytes = record_bytes(0);

// One step of the chain: `running` is the salt for the first piece. Every piece but the last is
// kPayloadPieceBytes long.
uint64_t payload_piece_checksum(ByteView piece, uint64_t running);
uint64_t payload_checksum(ByteView payload, uint64_t salt);

// Writes 64 bytes and returns the header checksum, which the next record carries as `previous`.
uint32_t encode_record_header(const RecordHeader& header, uint64_t salt, std::span<uint8_t> out);

struct DecodedHeader {
  RecordHeader header;
  uint32_t checksum = 0;
};

// Nothing, unless magic and checksum are right: zeros, torn bytes, and records of a segment with another
// salt.
std::optional<DecodedHeader> decode_record_header(ByteView bytes, uint64_t salt);

// The quick look of a search for records at every aligned offset.
bool has_record_magic(ByteView bytes);

}  // namespace dqlite::raft
