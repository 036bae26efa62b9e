// The private wal-index is, byte for byte, what stock SQLite keeps in its -shm file for the same frames.

#include "vfs/wal_index.h"

#include <cstring>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(WalIndex) {
  TemporaryDirectory directory;

  std::string path() {
    return directory.path() + "/stock.db";
  }

  // Page numbers of the frames in stock's WAL, in order.
  std::vector<uint32_t> frames(uint32_t page_size, uint32_t count) {
    std::string wal = file_content(path() + "-wal");
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < count; i++) {
      const auto* at = reinterpret_cast<const uint8_t*>(wal.data()) + 32 + i * (page_size + 24);
      numbers.push_back(static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 |
                        static_cast<uint32_t>(at[2]) << 8 | at[3]);
    }
    return numbers;
  }
};

TEST(WalIndex, equals_stocks_memory_for_the_same_frames_across_three_regions) {
  Sql stock("file:" + path());
  stock.run("PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
  stock.run("PRAGMA synchronous = OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  for (int i = 0; i < 4; i++) {
    stock.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
        "INSERT OR REPLACE INTO t SELECT i * 7 % 5000, zeroblob(400 + i % 300) FROM n");
    stock.run("UPDATE t SET x = zeroblob(300) WHERE id % 3 = 0");
  }
  std::string shm = file_content(path() + "-shm");
  WalIndexHeader header;
  std::memcpy(&header, shm.data(), sizeof(header));
  CHECK(header.max_frame > 4062 + 4096);
  std::vector<uint32_t> numbers = frames(512, header.max_frame);

  WalIndex index;
  index.region(0);
  uint32_t frame = 0;
  for (uint32_t number : numbers) {
    index.append(++frame, number);
    // The first region is full at 4062 and never touched again; the second begins with 4063 and ends at 8158.
    if (frame == 4062) LONGS_EQUAL(1, index.region_count());
    if (frame == 4063) LONGS_EQUAL(2, index.region_count());
    if (frame == 8158) LONGS_EQUAL(2, index.region_count());
    if (frame == 8159) LONGS_EQUAL(3, index.region_count());
  }
  CHECK(index.region_count() >= 3);
  for (size_t i = 0; i < index.region_count(); i++) {
    size_t skip = i == 0 ? 136 : 0;  // the headers and the checkpoint's own numbers
    MEMCMP_EQUAL(shm.data() + i * WalIndex::kRegionBytes + skip,
                 static_cast<uint8_t*>(index.region(i)) + skip, WalIndex::kRegionBytes - skip);
  }
  // The header with its checksum, twice.
  WalIndexHeader ours = header;
  ours.checksum[0] = ours.checksum[1] = 0;
  index.show(ours);
  MEMCMP_EQUAL(shm.data(), index.region(0), 96);
  CHECK_EQUAL(header.max_frame, index.header().max_frame);
}

TEST(WalIndex, read_marks_begin_as_stocks_and_clearing_forgets_every_frame) {
  WalIndex index;
  auto* memory = static_cast<uint8_t*>(index.region(0));
  for (uint32_t frame = 1; frame <= 5000; frame++) index.append(frame, frame % 100 + 1);
  index.set_backfill(17);
  uint32_t backfill = 0;
  std::memcpy(&backfill, memory + 96, 4);
  CHECK_EQUAL(17U, backfill);
  WalIndex fresh;
  fresh.region(1);
  index.clear();
  POINTERS_EQUAL(memory, index.region(0));  // SQLite keeps the address
  MEMCMP_EQUAL(fresh.region(0), index.region(0), WalIndex::kRegionBytes);
  MEMCMP_EQUAL(fresh.region(1), index.region(1), WalIndex::kRegionBytes);
  uint32_t marks[5];
  std::memcpy(marks, memory + 100, sizeof(marks));
  CHECK_EQUAL(0U, marks[0]);
  for (int i = 1; i < 5; i++) CHECK_EQUAL(0xffffffffU, marks[i]);
}
