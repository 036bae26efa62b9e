// Database content for tests of files: canonical pages, the checkpoint record they make, and the file they
// make.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codec/checksum.h"
#include "codec/page.h"
#include "vfs/database_file.h"

namespace dqlite::vfs {

// Where tests of one database put it, and the indexes of its checkpoints.
constexpr char kPath[] = "/n1/app.db";
constexpr char kNode[] = "/n1/dqlite-node";
constexpr uint64_t kOldIndex = 10, kNewIndex = 20, kLaterIndex = 30;

struct Image {
  uint32_t page_size = 512;
  std::vector<Bytes> pages;  // canonical
};

// Random pages, of which page 1 begins like a database.
inline Bytes random_page(uint32_t number, uint32_t page_size, std::mt19937_64& random) {
  Bytes page(page_size);
  for (uint8_t& byte : page) byte = static_cast<uint8_t>(random());
  if (number == 1) {
    std::memcpy(page.data(), "SQLite format 3", 16);
    page[16] = static_cast<uint8_t>(page_size == 65536 ? 0 : page_size >> 8);
    page[17] = page_size == 65536 ? 1 : 0;
    codec::make_canonical_page1(page);
  }
  return page;
}

inline Image random_image(uint32_t page_count, uint64_t seed, uint32_t page_size = 512) {
  std::mt19937_64 random(seed);
  Image image{page_size, {}};
  for (uint32_t number = 1; number <= page_count; number++) {
    image.pages.push_back(random_page(number, page_size, random));
  }
  return image;
}

inline CheckpointRecord record_of(const Image& image, uint64_t index, uint64_t database = 7) {
  CheckpointRecord record;
  record.database = database;
  record.name = "app.db";
  record.page_size = image.page_size;
  record.page_count = static_cast<uint32_t>(image.pages.size());
  record.index = index;
  record.term = 3;
  for (uint32_t i = 0; i < record.page_count; i++) record.checksum ^= codec::page_hash(i + 1, image.pages[i]);
  return record;
}

// The file that a checkpoint of `image` at `index` is, byte for byte.
inline Bytes file_of(const Image& image, uint64_t index) {
  Bytes bytes;
  for (const Bytes& page : image.pages) bytes.insert(bytes.end(), page.begin(), page.end());
  if (!bytes.empty()) codec::stamp_page1(bytes, codec::stamp_of(index));
  return bytes;
}

inline PageImage shared_page(uint32_t number, const Bytes& bytes) {
  return {number, std::make_shared<const Bytes>(bytes)};
}

// The pages in which `next` differs from `base`.
inline std::vector<PageImage> changed_pages(const Image& base, const Image& next) {
  std::vector<PageImage> pages;
  for (uint32_t i = 0; i < next.pages.size(); i++) {
    if (i >= base.pages.size() || base.pages[i] != next.pages[i])
      pages.push_back(shared_page(i + 1, next.pages[i]));
  }
  return pages;
}

inline std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
}

}  // namespace dqlite::vfs
