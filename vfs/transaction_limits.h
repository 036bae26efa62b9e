// How a node handles transactions that are too large for memory or for one entry of the log. Set before the first
// connection; only tests change them.
#pragma once

#include <chrono>
#include <cstddef>

namespace dqlite::vfs {

struct TransactionLimits {
  size_t memory_bytes = 16 << 20;  // of one transaction's frames; those beyond go to a spill file
  // A transaction that takes more in the log goes there in parts of about this size. They are so small because
  // entries of other databases go between them, and a heartbeat waits behind them.
  size_t part_bytes = 1 << 20;
  size_t parts_in_flight = 4;                     // proposed and not applied here yet
  std::chrono::milliseconds space_interval{100};  // how often who waits for space looks again
};

}  // namespace dqlite::vfs
