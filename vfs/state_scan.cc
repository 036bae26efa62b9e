#include "vfs/state_scan.h"

#include <algorithm>

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
  const uint32_t lock_page = page_size_ == 0 ? 0 : lock_byte_page(page_size_);
  if (lock_page != 0 && lock_page <= mark_.page_count) taken_[lock_page] = true;
  begun_ = true;
  return Status::ok();
}

Status StateScan::run(const std::function<Status()>& pause) {
  Status status = visit_changes(pause);
  if (status) status = visit_file(pause);
  end();
  return status ? failure() : status;
}

Status StateScan::visit_changes(const std::function<Status()>& pause) {
  const Bytes zeros(page_size_);
  const uint32_t lock_page = page_size_ == 0 ? 0 : lock_byte_page(page_size_);
  uint32_t count = 0;
  for (PageImage& image : changes_) {
    if (count++ % kPagesBetweenPauses == 0) {
      if (Status status = pause(); !status) return status;
    }
    if (image.number == lock_page) continue;
    visit(image.number, image.bytes == nullptr ? ByteView(zeros) : ByteView(*image.bytes), Status::ok());
    image.bytes.reset();
    if (Status status = failure(); !status) return status;
  }
  changes_.clear();
  return Status::ok();
}

Status StateScan::visit_file(const std::function<Status()>& pause) {
  DatabaseFile& file = database_.versions().file();
  Bytes page(page_size_);
  uint32_t count = 0;
  for (uint64_t i = 1; i <= mark_.page_count; i++) {
    const auto number = static_cast<uint32_t>(i);
    if (!needs(number)) continue;
    if (count++ % kPagesBetweenPauses == 0) {
      if (Status status = pause(); !status) return status;
    }
    std::fill(page.begin(), page.end(), uint8_t{0});
    const Status fault = file.read(number, page);
    // A page is handed over before it is overwritten: one that nobody took meanwhile was read untouched.
    if (take(number)) visit(number, page, fault);
    if (Status status = failure(); !status) return status;
  }
  return Status::ok();
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

void StateScan::keep(uint32_t page_number, ByteView page, const Status& fault) {
  if (take(page_number)) visit(page_number, page, fault);
}

void StateScan::lose() {
  std::lock_guard lock(mutex_);
  failure_ = {Code::kBusy,
              "the copy of " + database_.name() + " was replaced by a newer one meanwhile: try again"};
}

void StateScan::visit(uint32_t page_number, ByteView page, const Status& fault) {
  const Status status = visit_(page_number, page, fault);
  const uint64_t hash = codec::page_hash(page_number, page);
  std::lock_guard lock(mutex_);
  checksum_ ^= hash;
  if (!status && failure_) failure_ = status;
}

Status StateScan::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

void StateScan::end() {
  if (is_keeper_) database_.versions().remove_keeper(*this);
  is_keeper_ = false;
}

}  // namespace dqlite::vfs
