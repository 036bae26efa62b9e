// A connection's own wal-index: the shared memory of SQLite's WAL mode, shared with nobody.
//
// SQLite reads it exactly as it would read a real `-shm` file (format version 3007000,
// sqlite.org/walformat.html section 2), so the VFS alone decides what a connection sees and when. Frame
// numbers are private to the connection, too. Used by the connection's thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace dqlite::vfs {

// The 48 bytes that stand twice at the head of the first region, in the machine's own byte order.
struct WalIndexHeader {
  uint32_t version = 3007000;
  uint32_t unused = 0;
  uint32_t change = 0;  // differs whenever the content differs
  uint8_t is_init = 1;
  uint8_t big_endian_checksum = 0;
  uint16_t page_size = 0;  // 1 stands for 65536
  uint32_t max_frame = 0;
  uint32_t page_count = 0;
  uint32_t frame_checksum[2] = {0, 0};
  uint32_t salt[2] = {0, 0};
  uint32_t checksum[2] = {0, 0};
};
static_assert(sizeof(WalIndexHeader) == 48);

class WalIndex {
 public:
  static constexpr size_t kRegionBytes = 32768;

  // The memory of region `number`, zeroed when it is first asked for; stays where it is for the object's
  // life.
  void* region(size_t number);
  [[nodiscard]] size_t region_count() const { return regions_.size(); }

  // Forgets every frame: all regions zeroed but for the header area, which the next `show` overwrites.
  void clear();

  // Enters a frame that follows the newest one. `number` counts from 1.
  void append(uint32_t number, uint32_t page_number);

  // Makes `header` (its checksum is filled in here) what SQLite sees next.
  void show(WalIndexHeader header);
  // The header as it stands: as shown, or as SQLite wrote it at its commit.
  [[nodiscard]] WalIndexHeader header() const;

  // Frames at or below are in the database file.
  void set_backfill(uint32_t number);

  void release();  // frees all regions (xShmUnmap)

 private:
  std::vector<std::unique_ptr<uint8_t[]>> regions_;
};

}  // namespace dqlite::vfs
