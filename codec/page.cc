#include "codec/page.h"

#include <bit>

namespace dqlite::codec {

namespace {

// Offsets in the database header, section 1.3 of SQLite's file format.
constexpr size_t kHeaderSize = 100;
constexpr size_t kWriteVersion = 18;
constexpr size_t kReadVersion = 19;
constexpr size_t kChangeCounter = 24;
constexpr size_t kVersionValidFor = 92;  // the change counter's twin
constexpr uint8_t kRollbackJournal = 1;  // 2 would be WAL

void put_big_endian(std::span<uint8_t> at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

bool is_page_size(uint64_t size) {
  return size >= kMinPageSize && size <= kMaxPageSize && std::has_single_bit(size);
}

void make_canonical_page1(std::span<uint8_t> page) {
  if (page.size() < kHeaderSize) return;
  page[kWriteVersion] = kRollbackJournal;
  page[kReadVersion] = kRollbackJournal;
  stamp_page1(page, 0);
}

void stamp_page1(std::span<uint8_t> page, uint32_t stamp) {
  if (page.size() < kHeaderSize) return;
  // Both, or SQLite distrusts the header's page count and takes the file's size instead (lockBtree).
  put_big_endian(page.subspan(kChangeCounter, 4), stamp);
  put_big_endian(page.subspan(kVersionValidFor, 4), stamp);
}

uint32_t read_stamp(ByteView page) {
  if (page.size() < kHeaderSize) return 0;
  uint32_t stamp = 0;
  for (uint8_t byte : page.subspan(kChangeCounter, 4)) stamp = stamp << 8 | byte;
  return stamp;
}

// Not the index itself: a stock writer adds 1 to the counter for each of its transactions, and a file it
// changed would then bear the stamp of the checkpoint at the next index. Multiplying by an odd number is a
// bijection of 32 bits; 2^32 divided by the golden ratio keeps the stamps of near indexes far apart.
uint32_t stamp_of(uint64_t index) {
  return static_cast<uint32_t>(index) * 0x9E3779B1U;
}

}  // namespace dqlite::codec
