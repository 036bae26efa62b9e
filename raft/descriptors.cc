#include "raft/descriptors.h"

#include <unistd.h>

namespace dqlite::raft {

void Descriptors::add(int descriptor) {
  for (std::atomic<int>& slot : slots_) {
    int empty = -1;
    if (slot.compare_exchange_strong(empty, descriptor)) return;
  }
}

void Descriptors::remove(int descriptor) {
  for (std::atomic<int>& slot : slots_) {
    int found = descriptor;
    if (slot.compare_exchange_strong(found, -1)) return;
  }
}

void Descriptors::close_all() {
  for (std::atomic<int>& slot : slots_) {
    const int descriptor = slot.exchange(-1);
    if (descriptor >= 0) close(descriptor);
  }
}

}  // namespace dqlite::raft
