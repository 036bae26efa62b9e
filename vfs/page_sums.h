// The hash of each page of one database file, so that rot is found when a page is read and never becomes an
// entry [A6].
//
//   dqlite-node/db-<id>.sums     8 bytes a page, little-endian: codec::page_hash, from page 1
//
// The XOR of all of them is the record's rolling checksum, which is how the table proves that it belongs to
// the record. It is never synced: one that was lost or is older than the file fails that proof, and is made
// anew from the file, whose pages must then give the record's checksum. In memory it takes 8 bytes a page: 2
// MB for 1 GB of 4096-byte pages.
//
// A private part of DatabaseFile, which guards it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codec/status.h"
#include "vfs/files.h"

namespace dqlite::vfs {

class PageSums {
 public:
  PageSums() = default;
  explicit PageSums(std::vector<uint64_t> sums) : sums_(std::move(sums)) {}

  [[nodiscard]] uint32_t page_count() const { return static_cast<uint32_t>(sums_.size()); }
  // 0 above the end: the share of a page of zeros.
  [[nodiscard]] uint64_t of(uint32_t page_number) const {
    return page_number <= sums_.size() ? sums_[page_number - 1] : 0;
  }
  [[nodiscard]] uint64_t total() const;

  void resize(uint32_t page_count) { sums_.resize(page_count, 0); }
  void set(uint32_t page_number, uint64_t sum) { sums_[page_number - 1] = sum; }

  static Result<PageSums> load(Files& files, const std::string& path, uint32_t page_count);
  Status save(Files& files, const std::string& path) const;
  // Writes the blocks that hold these pages, ascending, and cuts the table file to its size.
  Status save_changed(Files& files, const std::string& path, const std::vector<uint32_t>& page_numbers) const;

 private:
  [[nodiscard]] Bytes encode(size_t first, size_t count) const;

  std::vector<uint64_t> sums_;
};

}  // namespace dqlite::vfs
