// Byte strings, and the cursors with which every format of this project is written and read.
//
// All integers are little-endian and of fixed width. A `Reader` never reads past its view: the first
// failed read makes it fail for good (`failed()`), returns zeros from then on and moves no further, so a
// decoder can read a whole structure and ask once. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dqlite {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;
// Immutable and shared between threads and queues without a copy.
using SharedBytes = std::shared_ptr<const Bytes>;

namespace codec {

class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  void u8(uint8_t value) { out_.push_back(value); }
  void u16(uint16_t value) { integer(value); }
  void u32(uint32_t value) { integer(value); }
  void u64(uint64_t value) { integer(value); }
  // `bytes` must not point into `out` itself, which may move.
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // A length of 32 bits, then the bytes: fewer than 2^32 of them.
  void blob(ByteView bytes) {
    u32(static_cast<uint32_t>(bytes.size()));
    raw(bytes);
  }
  void text(std::string_view text) { blob({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }
  [[nodiscard]] size_t size() const { return out_.size(); }
  // Overwrites four bytes that were written before: a length or checksum known only at the end. `offset`
  // counts from the beginning of `out`, as `size()` does, and offset + 4 must not be above it.
  void patch_u32(size_t offset, uint32_t value) {
    for (int i = 0; i < 4; i++) out_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }

 private:
  template <typename T>
  void integer(T value) {
    for (size_t i = 0; i < sizeof(T); i++) out_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }

  Bytes& out_;
};

class Reader {
 public:
  explicit Reader(ByteView view) : view_(view) {}

  uint8_t u8() { return integer<uint8_t>(); }
  uint16_t u16() { return integer<uint16_t>(); }
  uint32_t u32() { return integer<uint32_t>(); }
  uint64_t u64() { return integer<uint64_t>(); }
  // A view into the reader's own bytes; empty after a failure.
  ByteView raw(size_t size) {
    if (failed_ || size > view_.size() - position_) {
      failed_ = true;
      return {};
    }
    ByteView part = view_.subspan(position_, size);
    position_ += size;
    return part;
  }
  ByteView blob() { return raw(u32()); }
  std::string text() {
    ByteView part = blob();
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] size_t position() const { return position_; }
  [[nodiscard]] size_t remaining() const { return failed_ ? 0 : view_.size() - position_; }
  // Everything was there and nothing is left over: what most decoders demand at their end.
  [[nodiscard]] bool finished() const { return !failed_ && position_ == view_.size(); }

 private:
  template <typename T>
  T integer() {
    ByteView part = raw(sizeof(T));
    T value = 0;
    for (size_t i = 0; i < part.size(); i++) {
      value = static_cast<T>(value | (static_cast<T>(part[i]) << (8 * i)));
    }
    return value;
  }

  ByteView view_;
  size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace codec
}  // namespace dqlite
