// The bytes of a kDifference:
//
//   nothing                              the page equals its previous version
//   one LZ4 block                        page sizes up to 32768
//   u16 length, LZ4 block, LZ4 block     page size 65536: two stretches of 32768 bytes, each standing on the
//   same
//                                        stretch of the previous version; the length is the first block's
//
// LZ4 reaches back 65535 bytes at most. A byte and its own old version are as far apart as the dictionary is
// long, so a dictionary of 65536 bytes would hold every byte just out of its reach. With stretches of 32768
// every byte of the dictionary is within reach of every byte of the stretch (32768 + 32767 = 65535).
//
// Example: page size 512, only the last five bytes changed (to "hello"):
//
//   0f          no literal, a match of at least 15 + 4 bytes ...
//   00 02       ... 512 bytes back, that is from the beginning of the dictionary ...
//   ff e9       ... and 255 + 233 more: 507 bytes
//   50          five literals, the end
//   68 65 6c 6c 6f
#include "codec/page_diff.h"

#include <lz4.h>

#include <algorithm>
#include <cstring>

#include "codec/page.h"

namespace dqlite::codec {

namespace {

constexpr size_t kMaxStretch = 32768;
constexpr size_t kLengthSize = 2;
static_assert(LZ4_COMPRESSBOUND(kMaxStretch) <= UINT16_MAX, "a block's length must fit its field");

const char* chars(ByteView bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}
char* mutable_chars(std::span<uint8_t> bytes) {
  return reinterpret_cast<char*>(bytes.data());
}
int length(ByteView bytes) {
  return static_cast<int>(bytes.size());
}

// Both return the number of bytes written, or 0 if `room` is too small for the form.

size_t compress(LZ4_stream_t& state, ByteView page, std::span<uint8_t> room) {
  return static_cast<size_t>(
      LZ4_compress_fast_extState(&state, chars(page), mutable_chars(room), length(page), length(room), 1));
}

size_t differ(LZ4_stream_t& state, ByteView page, ByteView previous, std::span<uint8_t> room) {
  const size_t stretch = std::min(page.size(), kMaxStretch);
  size_t used = 0;
  for (size_t offset = 0; offset < page.size(); offset += stretch) {
    const size_t head = offset + stretch < page.size() ? kLengthSize : 0;
    if (room.size() <= used + head) return 0;
    const std::span<uint8_t> target = room.subspan(used + head);
    // Forgets all that was in `state`.
    LZ4_loadDict(&state, chars(previous.subspan(offset, stretch)), static_cast<int>(stretch));
    const int size =
        LZ4_compress_fast_continue(&state, chars(page.subspan(offset, stretch)), mutable_chars(target),
                                   static_cast<int>(stretch), length(target), 1);
    if (size <= 0) return 0;
    if (head != 0) {
      room[used] = static_cast<uint8_t>(size);
      room[used + 1] = static_cast<uint8_t>(size >> 8);
    }
    used += head + static_cast<size_t>(size);
  }
  return used;
}

Status corrupt(const char* form, ByteView bytes, const std::string& found) {
  return {Code::kCorrupt, std::string(form) + " page of " + std::to_string(bytes.size()) +
                              " bytes: " + found + "; the entry it came in is damaged"};
}

Result<Bytes> decode_whole(ByteView bytes, uint32_t page_size) {
  if (bytes.size() != page_size) {
    return corrupt("whole", bytes, "expected " + std::to_string(page_size) + " bytes");
  }
  return Bytes(bytes.begin(), bytes.end());
}

Result<Bytes> decode_compressed(ByteView bytes, uint32_t page_size) {
  if (bytes.empty() || bytes.size() >= page_size) {
    return corrupt("compressed", bytes, "expected from 1 to " + std::to_string(page_size - 1) + " bytes");
  }
  Bytes page(page_size);
  const int size = LZ4_decompress_safe(chars(bytes), mutable_chars(page), length(bytes), length(page));
  if (size != length(page)) {
    return corrupt("compressed", bytes,
                   "LZ4 answered " + std::to_string(size) + ", expected " + std::to_string(page_size));
  }
  return page;
}

// One stretch: `block` on top of `dictionary` must fill `target` exactly.
Status decode_stretch(ByteView bytes, ByteView block, ByteView dictionary, std::span<uint8_t> target) {
  if (block.empty()) return corrupt("difference", bytes, "a block of it is empty");
  const int size = LZ4_decompress_safe_usingDict(chars(block), mutable_chars(target), length(block),
                                                 length(target), chars(dictionary), length(dictionary));
  if (size == length(target)) return Status::ok();
  return corrupt("difference", bytes,
                 "LZ4 answered " + std::to_string(size) + ", expected " + std::to_string(target.size()));
}

Result<Bytes> decode_difference(ByteView bytes, ByteView previous, uint32_t page_size) {
  if (previous.size() != page_size) {
    return corrupt("difference", bytes,
                   "its previous version has " + std::to_string(previous.size()) + " bytes, expected " +
                       std::to_string(page_size));
  }
  if (bytes.empty()) return Bytes(previous.begin(), previous.end());
  if (bytes.size() >= page_size) {
    return corrupt("difference", bytes, "expected at most " + std::to_string(page_size - 1) + " bytes");
  }
  Bytes page(page_size);
  Reader reader(bytes);
  const size_t stretch = std::min<size_t>(page_size, kMaxStretch);
  for (size_t offset = 0; offset < page_size; offset += stretch) {
    const bool last = offset + stretch == page_size;
    const ByteView block = reader.raw(last ? reader.remaining() : reader.u16());
    Status status = decode_stretch(bytes, block, previous.subspan(offset, stretch),
                                   std::span<uint8_t>(page).subspan(offset, stretch));
    if (!status) return status;
  }
  return page;
}

}  // namespace

PageForm encode_page(ByteView page, ByteView previous, Bytes& out) {
  if (!is_page_size(page.size())) {  // the caller's mistake; this form at least loses nothing
    out.insert(out.end(), page.begin(), page.end());
    return PageForm::kWhole;
  }
  const bool has_previous = previous.size() == page.size();
  if (has_previous && std::memcmp(page.data(), previous.data(), page.size()) == 0)
    return PageForm::kDifference;

  // Room for both forms side by side. Each gets only as much as lets it win, so LZ4 gives up early on the
  // loser.
  const size_t start = out.size();
  out.resize(start + 2 * page.size());
  const std::span<uint8_t> room = std::span<uint8_t>(out).subspan(start);
  LZ4_stream_t state;  // 16 KiB; initialised by whoever uses it
  const size_t most = page.size() - 1;
  const size_t difference = has_previous ? differ(state, page, previous, room.first(most)) : 0;
  // On equal sizes the form that needs no previous version wins.
  const size_t compressed = compress(state, page, room.subspan(most, difference != 0 ? difference : most));

  if (compressed != 0) {
    std::memmove(room.data(), room.data() + most, compressed);
    out.resize(start + compressed);
    return PageForm::kCompressed;
  }
  if (difference != 0) {
    out.resize(start + difference);
    return PageForm::kDifference;
  }
  std::memcpy(room.data(), page.data(), page.size());
  out.resize(start + page.size());
  return PageForm::kWhole;
}

Result<Bytes> decode_page(PageForm form, ByteView bytes, ByteView previous, uint32_t page_size) {
  if (!is_page_size(page_size)) {
    return Status(Code::kInvalid,
                  "page size " + std::to_string(page_size) + ": expected a power of two from 512 to 65536");
  }
  switch (form) {
    case PageForm::kWhole:
      return decode_whole(bytes, page_size);
    case PageForm::kCompressed:
      return decode_compressed(bytes, page_size);
    case PageForm::kDifference:
      return decode_difference(bytes, previous, page_size);
  }
  return Status(Code::kUnsupported, "page form " + std::to_string(static_cast<unsigned>(form)) +
                                        ": this build knows 1 to 3; upgrade this node");
}

}  // namespace dqlite::codec
