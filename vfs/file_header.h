// The first bytes of a database file, as far as the checkpoint cares. A private part of DatabaseFile. Pure
// but for the read.
#pragma once

#include <cstdint>

#include "codec/status.h"
#include "vfs/files.h"

namespace dqlite::vfs {

struct FileHeader {
  uint64_t file_size = 0;
  bool is_sqlite = false;     // "SQLite format 3\0" and a page size that exists
  bool is_blank = false;      // nothing but zeros, or nothing at all
  uint8_t write_version = 0;  // offset 18: 1 with a rollback journal, 2 with a WAL
  uint8_t read_version = 0;   // offset 19
  uint32_t page_size = 0;     // 0 unless is_sqlite
  uint32_t stamp = 0;         // offset 24
  uint32_t stamp_twin = 0;    // offset 92
};

constexpr size_t kFileHeaderSize = 100;

Result<FileHeader> read_file_header(DataFile& file);

}  // namespace dqlite::vfs
