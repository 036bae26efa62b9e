#include "vfs/file_lock.h"

#include <algorithm>
#include <thread>

namespace dqlite::vfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kFirstPause = std::chrono::microseconds(200);
constexpr auto kLongestPause = std::chrono::microseconds(4000);

}  // namespace

FileLock::~FileLock() {
  // From first to last byte; the descriptor itself stays open [V-C6]. There is nobody to tell of a failure.
  (void)file_->lock(kPendingByte, kSharedFirst + kSharedSize - kPendingByte, LockKind::kNone);
}

Status FileLock::take_reserved(Deadline deadline) {
  Status taken = take(kReservedByte, 1, deadline);
  if (taken.code() != Code::kBusy) return taken;
  return {Code::kBusy,
          taken.sentence() + ", which means to write to it; end that transaction or program first"};
}

Status FileLock::take_exclusive(Deadline deadline) {
  if (Status pending = take(kPendingByte, 1, deadline); !pending) return pending;
  Status shared = take(kSharedFirst, kSharedSize, deadline);
  if (shared) return shared;
  if (Status released = file_->lock(kPendingByte, 1, LockKind::kNone); !released) return released;
  if (shared.code() != Code::kBusy) return shared;
  return {Code::kBusy, shared.sentence() + ", which still reads it; the checkpoint waits until it is done"};
}

Status FileLock::back_to_reserved() {
  if (Status status = file_->lock(kSharedFirst, kSharedSize, LockKind::kNone); !status) return status;
  return file_->lock(kPendingByte, 1, LockKind::kNone);
}

Status FileLock::take(uint64_t offset, uint64_t length, Deadline deadline) {
  auto pause = kFirstPause;
  for (;;) {
    Status status = file_->lock(offset, length, LockKind::kWrite);
    if (status.code() != Code::kBusy) return status;
    auto now = Clock::now();
    if (now >= deadline) return status;
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, deadline - now));
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace dqlite::vfs
