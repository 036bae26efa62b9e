#include "raft/log/record.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr uint64_t kSalt = 0x1122334455667788;

RecordHeader example() {
  RecordHeader header;
  header.type = RecordType::kEntry;
  header.kind = static_cast<uint8_t>(EntryKind::kCommand);
  header.ends_batch = true;
  header.payload_length = 5;
  header.payload_checksum = payload_checksum(Bytes{'h', 'e', 'l', 'l', 'o'}, kSalt);
  header.previous = 0xAABBCCDD;
  header.batch = 9;
  header.index = 7;
  header.term = 2;
  header.commit = 6;
  return header;
}

}  // namespace

TEST_GROUP(Record){};

TEST(Record, the_example_of_the_header_file_is_true) {
  Bytes bytes(kRecordHeaderBytes);
  encode_record_header(example(), kSalt, bytes);
  std::string found;
  for (size_t i = 0; i < bytes.size(); i++) {
    char text[4];
    std::snprintf(text, sizeof(text), "%02X", bytes[i]);
    found += std::string(i == 0 ? "" : i % 16 == 0 ? "\n" : " ") + text;
  }
  STRCMP_EQUAL(
      "44 51 4C 52 0E 1A D8 48 55 47 4D E1 1A 81 88 2E\n"
      "05 00 00 00 DD CC BB AA 09 00 00 00 00 00 00 00\n"
      "07 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00\n"
      "06 00 00 00 00 00 00 00 02 03 01 00 00 00 00 00",
      found.c_str());
}

TEST(Record, decodes_to_what_was_encoded) {
  Bytes bytes(kRecordHeaderBytes);
  uint32_t checksum = encode_record_header(example(), kSalt, bytes);
  auto decoded = decode_record_header(bytes, kSalt);
  CHECK(decoded.has_value());
  LONGS_EQUAL(checksum, decoded->checksum);
  CHECK(decoded->header.type == RecordType::kEntry);
  LONGS_EQUAL(3, decoded->header.kind);
  CHECK(decoded->header.ends_batch);
  LONGS_EQUAL(5, decoded->header.payload_length);
  CHECK(decoded->header.payload_checksum == example().payload_checksum);
  LONGS_EQUAL(0xAABBCCDD, decoded->header.previous);
  LONGS_EQUAL(9, decoded->header.batch);
  LONGS_EQUAL(7, decoded->header.index);
  LONGS_EQUAL(2, decoded->header.term);
  LONGS_EQUAL(6, decoded->header.commit);
}

TEST(Record, zeros_short_bytes_and_another_salt_are_no_record) {
  Bytes bytes(kRecordHeaderBytes);
  CHECK_FALSE(decode_record_header(bytes, kSalt).has_value());
  encode_record_header(example(), kSalt, bytes);
  CHECK_FALSE(decode_record_header(bytes, kSalt + 1).has_value());
  CHECK_FALSE(decode_record_header(ByteView(bytes).first(63), kSalt).has_value());
}

TEST(Record, every_flipped_bit_of_a_header_is_found) {
  Bytes bytes(kRecordHeaderBytes);
  encode_record_header(example(), kSalt, bytes);
  for (size_t bit = 0; bit < 8 * bytes.size(); bit++) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    CHECK_FALSE(decode_record_header(bytes, kSalt).has_value());
    bytes[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  }
}

TEST(Record, a_payload_checksum_is_a_chain_over_pieces) {
  Bytes payload(2 * kPayloadPieceBytes + 100, 7);
  uint64_t running = kSalt;
  ByteView rest(payload);
  while (!rest.empty()) {
    ByteView piece = rest.first(std::min(kPayloadPieceBytes, rest.size()));
    running = payload_piece_checksum(piece, running);
    rest = rest.subspan(piece.size());
  }
  CHECK(payload_checksum(payload, kSalt) == running);
  CHECK(payload_checksum({}, kSalt) == kSalt);
  payload[kPayloadPieceBytes] ^= 1;
  CHECK(payload_checksum(payload, kSalt) != running);
}

TEST(Record, sizes_are_multiples_of_eight) {
  LONGS_EQUAL(64, record_bytes(0));
  LONGS_EQUAL(72, record_bytes(1));
  LONGS_EQUAL(72, record_bytes(8));
  LONGS_EQUAL(80, record_bytes(9));
}
