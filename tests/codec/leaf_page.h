// A leaf page of a table b-tree as SQLite lays it out (file format, section 1.6): a header of 8 bytes,
// pointers of 2 bytes in key order from the front, cells from the end towards the front in the order they
// came.
#pragma once

#include <algorithm>
#include <cstdint>

#include "codec/bytes.h"

namespace dqlite::test {

class LeafPage {
 public:
  explicit LeafPage(size_t page_size) : bytes_(page_size) {
    bytes_[0] = 0x0d;
    set_content_start(page_size);
  }

  const Bytes& bytes() const { return bytes_; }
  size_t cell_count() const { return get(3); }
  size_t free_size() const { return content_start() - (kHeaderSize + 2 * cell_count()); }

  // Inserts a row as the `position`-th: the cell's content goes before all others, the pointers behind move
  // up.
  void insert(size_t position, uint16_t row, ByteView payload) {
    Bytes cell;
    put_varint(cell, payload.size());
    put_varint(cell, row);
    cell.insert(cell.end(), payload.begin(), payload.end());
    const size_t start = content_start() - cell.size();
    std::copy(cell.begin(), cell.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(start));
    const size_t count = cell_count();
    for (size_t i = count; i > position; i--) set(kHeaderSize + 2 * i, get(kHeaderSize + 2 * (i - 1)));
    set(kHeaderSize + 2 * position, start);
    set(3, count + 1);
    set_content_start(start);
  }

  // Removes the `position`-th row: its content becomes the first free block, the pointers behind move down.
  void remove(size_t position, size_t cell_size) {
    const size_t start = get(kHeaderSize + 2 * position);
    const size_t count = cell_count();
    for (size_t i = position; i + 1 < count; i++) set(kHeaderSize + 2 * i, get(kHeaderSize + 2 * (i + 1)));
    set(3, count - 1);
    set(start, get(1));
    set(start + 2, cell_size);
    set(1, start);
  }

 private:
  static constexpr size_t kHeaderSize = 8;

  static void put_varint(Bytes& out, size_t value) {  // below 2^14
    if (value >= 128) out.push_back(static_cast<uint8_t>(0x80 | (value >> 7)));
    out.push_back(static_cast<uint8_t>(value & 0x7f));
  }
  size_t content_start() const { return get(5) == 0 ? 65536 : get(5); }
  void set_content_start(size_t start) { set(5, start); }  // 65536 is written as 0
  size_t get(size_t offset) const { return static_cast<size_t>(bytes_[offset]) << 8 | bytes_[offset + 1]; }
  void set(size_t offset, size_t value) {
    bytes_[offset] = static_cast<uint8_t>(value >> 8);
    bytes_[offset + 1] = static_cast<uint8_t>(value);
  }

  Bytes bytes_;
};

}  // namespace dqlite::test
