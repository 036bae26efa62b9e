#include "raft/log/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

namespace dqlite::raft {

Result<uint64_t> random_number() {
  uint64_t value = 0;
  while (value == 0) {
    ssize_t got = getrandom(&value, sizeof(value), 0);
    if (got == static_cast<ssize_t>(sizeof(value))) continue;
    value = 0;
    if (got < 0 && errno != EINTR) {
      return Status(Code::kIo, std::string("getrandom failed: ") + std::strerror(errno));
    }
  }
  return value;
}

}  // namespace dqlite::raft
