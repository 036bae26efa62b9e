#include "vfs/file_header.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/big_endian.h"
#include "codec/page.h"

namespace dqlite::vfs {
namespace {

constexpr char kSqliteMagic[] = "SQLite format 3";  // with its final zero

}  // namespace

Result<FileHeader> read_file_header(DataFile& file) {
  auto stamp = file.stamp();
  if (!stamp) return stamp.status();
  std::array<uint8_t, kFileHeaderSize> bytes{};
  auto got = file.read(0, bytes);
  if (!got) return got.status();
  FileHeader header;
  header.file_size = stamp->size_bytes;
  header.is_blank = std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  // Two bytes at offset 16; a 1 stands for 65536.
  uint32_t page_size = static_cast<uint32_t>(bytes[16] << 8 | bytes[17]);
  if (page_size == 1) page_size = 65536;
  header.is_sqlite = *got == bytes.size() &&
                     std::memcmp(bytes.data(), kSqliteMagic, sizeof kSqliteMagic) == 0 &&
                     codec::is_page_size(page_size);
  if (header.is_sqlite) header.page_size = page_size;
  header.write_version = bytes[18];
  header.read_version = bytes[19];
  header.stamp = codec::get_big_endian(&bytes[24]);
  header.stamp_twin = codec::get_big_endian(&bytes[92]);
  return header;
}

}  // namespace dqlite::vfs
