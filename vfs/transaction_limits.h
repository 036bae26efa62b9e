// How a node handles transactions that are too large for memory or for one entry of the log. Set before the first
// connection; only tests change them.
#pragma once

#include <cstddef>

namespace dqlite::vfs {

struct TransactionLimits {
  size_t memory_bytes = 16 << 20;  // of one transaction's frames; those beyond go to a spill file
};

}  // namespace dqlite::vfs
