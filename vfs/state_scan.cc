#include "vfs/state_scan.h"

#include <algorithm>
#include <new>

#include "codec/checksum.h"
#include "vfs/file_lock.h"

namespace dqlite::vfs {
namespace {

constexpr uint32_t kPagesBetweenPauses = 64;

}  // namespace

Status StateScan::begin() {
  // First the keeper, then the state: a checkpoint that has asked the keepers already moves nothing to the file
  // but what the state has as frames.
  if (!database_.versions().add_keeper(*this)) {
    return {Code::kBusy, "the copy of " + database_.name() + " is being replaced by a newer one: try again"};
  }
  is_keeper_ = true;
  std::lock_guard lock(mutex_);
  CommittedView view = database_.committed_changes(changes_);
  mark_ = view.mark;
  id_ = view.database;
  page_size_ = view.page_size;
  taken_.resize(size_t{mark_.page_count} + 1);
  for (const PageImage& image : changes_) taken_[image.number] = true;
  lock_page_ = page_size_ == 0 ? 0 : lock_byte_page(page_size_);
  if (lock_page_ != 0 && lock_page_ <= mark_.page_count) taken_[lock_page_] = true;
  begun_ = true;
  return Status::ok();
}

Status StateScan::run(const std::function<Status()>& pause) {
  Status status = visit_changes(pause);
  if (status) status = visit_file(pause);
  end();
  // What the last checkpoint handed over before.
  return status ? visit_queued(pause) : status;
}

Status StateScan::visit_changes(const std::function<Status()>& pause) {
  Bytes page(page_size_);
  for (PageImage& image : changes_) {
    if (image.number == lock_page_) continue;
    if (Status status = maybe_pause(pause); !status) return status;
    // A frame that is lost is no page that another member could give back: the scan ends.
    if (Status status = image.read(page); !status) return status;
    if (Status status = visit(image.number, page, Status::ok()); !status) return status;
    image = {};
    if (Status status = visit_queued(pause); !status) return status;
  }
  changes_.clear();
  return Status::ok();
}

Status StateScan::visit_file(const std::function<Status()>& pause) {
  DatabaseFile& file = database_.versions().file();
  Bytes page(page_size_);
  for (uint64_t i = 1; i <= mark_.page_count; i++) {
    const auto number = static_cast<uint32_t>(i);
    if (Status status = visit_queued(pause); !status) return status;
    if (!needs(number)) continue;
    if (Status status = maybe_pause(pause); !status) return status;
    std::fill(page.begin(), page.end(), uint8_t{0});
    const Status fault = file.read(number, page);
    // A page is handed over before it is overwritten: one that nobody took meanwhile was read untouched.
    if (!take(number)) continue;
    if (Status status = visit(number, page, fault); !status) return status;
  }
  return Status::ok();
}

// Also the failure of the scan, if something else ended it.
Status StateScan::visit_queued(const std::function<Status()>& pause) {
  while (true) {
    QueuedPage next;
    {
      std::lock_guard lock(mutex_);
      if (!failure_ || queue_.empty()) return failure_;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    if (Status status = maybe_pause(pause); !status) return status;
    if (Status status = visit(next.number, next.page, next.fault); !status) return status;
  }
}

Status StateScan::maybe_pause(const std::function<Status()>& pause) {
  return visited_ % kPagesBetweenPauses == 0 ? pause() : Status::ok();
}

Status StateScan::visit(uint32_t page_number, ByteView page, const Status& fault) {
  visited_++;
  checksum_ ^= codec::page_hash(page_number, page);
  return visit_(page_number, page, fault);
}

bool StateScan::needs(uint32_t page_number) {
  std::lock_guard lock(mutex_);
  return begun_ && failure_ && page_number < taken_.size() && !taken_[page_number];
}

bool StateScan::take(uint32_t page_number) {
  std::lock_guard lock(mutex_);
  if (!failure_ || taken_[page_number]) return false;
  taken_[page_number] = true;
  return true;
}

// On the checkpoint thread, which must not wait for a visit nor fail for want of memory.
void StateScan::keep(uint32_t page_number, ByteView page, const Status& fault) {
  std::lock_guard lock(mutex_);
  if (!failure_ || taken_[page_number]) return;
  try {
    if ((queue_.size() + 1) * page.size() > kQueueLimit) {
      failure_ = {Code::kBusy, "checkpoints of " + database_.name() +
                                   " overwrote its pages faster than they could be put aside: try again"};
      return queue_.clear();
    }
    queue_.push_back({page_number, Bytes(page.begin(), page.end()), fault});
    taken_[page_number] = true;
  } catch (const std::bad_alloc&) {
    failure_ = Status(Code::kFull, "out of memory");  // of no allocation itself
    queue_.clear();
  }
}

void StateScan::lose() {
  std::lock_guard lock(mutex_);
  failure_ = {Code::kBusy,
              "the copy of " + database_.name() + " was replaced by a newer one meanwhile: try again"};
}

void StateScan::end() {
  if (is_keeper_) database_.versions().remove_keeper(*this);
  is_keeper_ = false;
}

}  // namespace dqlite::vfs
