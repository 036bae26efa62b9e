// A page as its difference from its own previous version.
//
// LZ4 with the old page as the dictionary: an INSERT into a table of a million rows travels as about 650
// bytes instead of 9,380. A page with no previous version, or one that does not shrink, travels whole (with
// LZ4 if that helps). A page equal to its previous version costs nothing but its number. Pure; any thread.
#pragma once

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::codec {

enum class PageForm : uint8_t {
  kWhole = 1,       // the bytes themselves
  kCompressed = 2,  // LZ4 without a dictionary
  kDifference = 3,  // LZ4 with the previous version as dictionary
};

// Appends the smallest form's bytes to `out` and names it. `previous` is empty for a page without a previous
// version, else exactly as long as `page`. Neither may point into `out`, which moves as it grows.
PageForm encode_page(ByteView page, ByteView previous, Bytes& out);

// Rebuilds exactly `page_size` bytes. `previous` must be what the encoder had; a wrong one is found by the
// page's hash in the transaction, not here. Hostile bytes give kCorrupt and never read or write out of
// bounds.
Result<Bytes> decode_page(PageForm form, ByteView bytes, ByteView previous, uint32_t page_size);

}  // namespace dqlite::codec
