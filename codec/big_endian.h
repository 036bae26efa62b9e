// Integers as SQLite writes them into its files, journals and WAL: big-endian. Everything of our own is
// little-endian (bytes.h).
#pragma once

#include <cstdint>

namespace dqlite::codec {

inline uint32_t get_big_endian(const uint8_t* in) {
  return uint32_t{in[0]} << 24 | uint32_t{in[1]} << 16 | uint32_t{in[2]} << 8 | in[3];
}

inline void put_big_endian(uint8_t* out, uint32_t value) {
  for (int i = 0; i < 4; i++) out[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

}  // namespace dqlite::codec
