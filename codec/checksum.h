// The one hash of this project: XXH3, 64 bits (Debian's libxxhash-dev, header only).
//
// `checksum` guards records, messages and files against torn and rotten bytes; it does not guard against
// an attacker. `page_hash` is what a database's rolling checksum is the XOR of. Pure; any thread.
#pragma once

#include <cstdint>

#include "codec/bytes.h"

namespace dqlite::codec {

// The seed keeps apart bytes that are equal but belong to different things (a segment's salt, a page number).
uint64_t checksum(ByteView bytes, uint64_t seed = 0);

// The lower half, for formats that have four bytes for it.
uint32_t checksum32(ByteView bytes, uint64_t seed = 0);

// The share of one page in its database's rolling checksum. A page of zeros has the share 0, so a page that
// was never written since it came into range (the logical image reads it as zeros) needs no look-up.
// `page` must be the canonical image (see codec/page.h); `page_number` counts from 1.
uint64_t page_hash(uint32_t page_number, ByteView page);

}  // namespace dqlite::codec
