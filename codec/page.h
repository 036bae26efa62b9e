// What a page is, outside SQLite: its sizes, and the canonical form of page 1.
//
// Page 1 of a database file holds bytes that belong to the file and not to the data: the two format version
// bytes (offsets 18 and 19: 2 in WAL mode, 1 else) and the change counter with its twin (24..27 and 92..95),
// which the node uses as the checkpoint stamp so that stock readers drop their caches. The canonical form has
// 1, 1 and zeros there. Every page 1 is made canonical in one place as it enters (a frame SQLite wrote, a
// read of the file) and stamped in one place as it leaves for the file; differences, hashes and copies see
// the canonical form alone. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "codec/bytes.h"

namespace dqlite::codec {

constexpr uint32_t kMinPageSize = 512;
constexpr uint32_t kMaxPageSize = 65536;

// A power of two from 512 to 65536.
bool is_page_size(uint64_t size);

// In place; `page` is page 1 whole, or its first bytes (at least 100).
void make_canonical_page1(std::span<uint8_t> page);

// Writes `stamp` (big-endian, as SQLite's counter) where a canonical page 1 has its zeros.
void stamp_page1(std::span<uint8_t> page, uint32_t stamp);
uint32_t read_stamp(ByteView page);

// The stamp of a checkpoint at `index`: a function of the log index alone, so that files at the same index
// are equal byte for byte; a bijection of the low 32 bits, so that two checkpoints differ.
uint32_t stamp_of(uint64_t index);

}  // namespace dqlite::codec
