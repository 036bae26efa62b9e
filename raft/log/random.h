// Random numbers of the operating system, for what must never come twice: instances, boot nonces, salts. Any
// thread.
#pragma once

#include <cstdint>

#include "codec/status.h"

namespace dqlite::raft {

// 64 bits of getrandom(2), never 0.
Result<uint64_t> random_number();

}  // namespace dqlite::raft
