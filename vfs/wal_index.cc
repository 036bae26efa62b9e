#include "vfs/wal_index.h"

#include <cstring>

namespace dqlite::vfs {
namespace {

// walformat.html 2.2: a region holds 4096 page numbers and then 8192 hash slots; in the first one, the first
// 34 page numbers make room for the two headers and WalCkptInfo.
constexpr uint32_t kFramesPerRegion = 4096;
constexpr uint32_t kIndexHeaderBytes = 136;
constexpr uint32_t kFramesInFirst = kFramesPerRegion - kIndexHeaderBytes / 4;
constexpr uint32_t kSlots = 8192;
constexpr uint32_t kSlotOffset = 16384;
constexpr uint32_t kHashFactor = 383;

// WalCkptInfo, behind the two headers: nBackfill, then five read marks, eight lock bytes, nBackfillAttempted.
constexpr uint32_t kBackfillOffset = 96;
constexpr uint32_t kReadMarkOffset = 100;
constexpr uint32_t kReadMarks = 5;
constexpr uint32_t kReadMarkUnused = 0xffffffff;

uint32_t region_of(uint32_t frame) {
  return (frame + kFramesPerRegion - kFramesInFirst - 1) / kFramesPerRegion;
}

void checksum_of(const WalIndexHeader& header, uint32_t out[2]) {
  uint32_t words[10];
  std::memcpy(words, &header, sizeof(words));
  uint32_t s1 = 0;
  uint32_t s2 = 0;
  for (int i = 0; i < 10; i += 2) {
    s1 += words[i] + s2;
    s2 += words[i + 1] + s1;
  }
  out[0] = s1;
  out[1] = s2;
}

void reset_checkpoint_info(uint8_t* first) {
  std::memset(first + kBackfillOffset, 0, kIndexHeaderBytes - kBackfillOffset);
  for (uint32_t mark = 1; mark < kReadMarks; mark++) {
    std::memcpy(first + kReadMarkOffset + 4 * mark, &kReadMarkUnused, 4);
  }
}

}  // namespace

void* WalIndex::region(size_t number) {
  while (regions_.size() <= number) {
    regions_.push_back(std::make_unique<uint8_t[]>(kRegionBytes));
    if (regions_.size() == 1) reset_checkpoint_info(regions_[0].get());
  }
  return regions_[number].get();
}

void WalIndex::clear() {
  for (auto& memory : regions_) std::memset(memory.get(), 0, kRegionBytes);
  if (!regions_.empty()) reset_checkpoint_info(regions_[0].get());
}

void WalIndex::append(uint32_t number, uint32_t page_number) {
  uint32_t which = region_of(number);
  auto* memory = static_cast<uint8_t*>(region(which));
  uint32_t before = which == 0 ? 0 : kFramesInFirst + (which - 1) * kFramesPerRegion;
  uint32_t position = number - before;  // from 1
  uint32_t offset = (which == 0 ? kIndexHeaderBytes : 0) + 4 * (position - 1);
  std::memcpy(memory + offset, &page_number, 4);
  auto* slots = reinterpret_cast<uint16_t*>(memory + kSlotOffset);
  uint32_t slot = (page_number * kHashFactor) & (kSlots - 1);
  while (slots[slot] != 0) slot = (slot + 1) & (kSlots - 1);
  slots[slot] = static_cast<uint16_t>(position);
}

void WalIndex::show(WalIndexHeader header) {
  checksum_of(header, header.checksum);
  auto* first = static_cast<uint8_t*>(region(0));
  std::memcpy(first, &header, sizeof(header));
  std::memcpy(first + sizeof(header), &header, sizeof(header));
}

WalIndexHeader WalIndex::header() const {
  WalIndexHeader header;
  std::memcpy(&header, regions_[0].get(), sizeof(header));
  return header;
}

void WalIndex::set_backfill(uint32_t number) {
  std::memcpy(static_cast<uint8_t*>(region(0)) + kBackfillOffset, &number, 4);
}

void WalIndex::release() {
  regions_.clear();
}

}  // namespace dqlite::vfs
