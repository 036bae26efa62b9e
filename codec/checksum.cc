#include "codec/checksum.h"

#include <cstring>

#define XXH_INLINE_ALL  // header only: the library exports no symbol of xxHash that could meet the host's own
#include <xxhash.h>

namespace dqlite::codec {

namespace {

// The first byte decides for nearly every page (a b-tree page begins with its type, never 0), and libc's
// vectorised memcmp for the rest: the page is zero if its first byte is and every byte equals the one before
// it.
bool is_all_zero(ByteView page) {
  return page.empty() || (page[0] == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0);
}

}  // namespace

uint64_t checksum(ByteView bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint32_t checksum32(ByteView bytes, uint64_t seed) {
  return static_cast<uint32_t>(checksum(bytes, seed));
}

uint64_t page_hash(uint32_t page_number, ByteView page) {
  return is_all_zero(page) ? 0 : checksum(page, page_number);
}

}  // namespace dqlite::codec
