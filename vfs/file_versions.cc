#include "vfs/file_versions.h"

#include <algorithm>

namespace dqlite::vfs {

FileVersions::FileVersions(std::unique_ptr<DatabaseFile> file)
    : file_(std::move(file)), current_(std::make_shared<FileVersion>(kept_total_)) {
  current_->record_ = file_->record();
}

PinnedVersion FileVersions::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void FileVersions::record_changed() {
  std::lock_guard lock(mutex_);
  move_on();  // a version never changes: readers look at its record without a lock
}

std::optional<PageImage> FileVersions::find_kept(const FileVersion& version, uint32_t page_number) const {
  for (const FileVersion* v = &version; v != nullptr; v = v->next_.get()) {
    auto found = v->kept_.find(page_number);
    if (found != v->kept_.end()) return found->second;
  }
  return std::nullopt;
}

Status FileVersions::read(const FileVersion& version, uint32_t page_number, std::span<uint8_t> out) {
  Status status = file_->read(page_number, out);
  // A page is kept before it is overwritten, so a page that is not kept after the read was read untouched.
  std::unique_lock lock(mutex_);
  if (const std::optional<PageImage> kept = find_kept(version, page_number)) {
    lock.unlock();
    return kept->read(out);
  }
  for (const FileVersion* v = &version; v != nullptr; v = v->next_.get()) {
    if (v->lost_) {
      return {Code::kBusy, "the copy of " + file_->path() +
                               " that this read transaction began on was replaced by a "
                               "newer one: end the transaction and read again"};
    }
  }
  return status;
}

namespace {

using PageUse = std::function<Status(uint32_t page_number)>;

// Every page that a checkpoint takes away: those it overwrites and those it cuts off.
Status for_each_replaced(const CheckpointRecord& present, const CheckpointRecord& next,
                         const std::vector<PageImage>& pages, const PageUse& use) {
  for (const PageImage& image : pages) {
    if (Status status = use(image.number); !status) return status;
  }
  for (uint64_t number = uint64_t{next.page_count} + 1; number <= present.page_count; number++) {
    if (Status status = use(static_cast<uint32_t>(number)); !status) return status;
  }
  return Status::ok();
}

}  // namespace

Status FileVersions::keep_old_pages(const CheckpointRecord& next, const std::vector<PageImage>& pages) {
  FrameList list = file_->page_list(kMemoryLimit - std::min(kMemoryLimit, kept_bytes()));
  const CheckpointRecord& present = file_->record();
  Status kept = for_each_replaced(present, next, pages, [&](uint32_t number) -> Status {
    if (number > present.page_count) return Status::ok();  // nobody reads it as of before
    Bytes page(present.page_size);
    Status status = file_->read(number, page);
    return status ? list.append(number, std::move(page)) : status;
  });
  if (!kept) return kept;
  uint64_t in_memory = 0;
  std::unordered_map<uint32_t, PageImage> old_pages;
  for (PageImage& page : list.take()) {
    if (!page.is_spilled()) in_memory += page.size();
    old_pages.emplace(page.number, std::move(page));
  }
  std::lock_guard lock(mutex_);
  current_->forget_kept();
  kept_total_->fetch_add(in_memory);
  current_->kept_in_memory_ = in_memory;
  current_->kept_ = std::move(old_pages);
  return Status::ok();
}

void FileVersions::give_to_keepers(const CheckpointRecord& next, const std::vector<PageImage>& pages) {
  std::lock_guard lock(keeping_);
  if (keepers_.empty()) return;
  const CheckpointRecord& present = file_->record();
  Bytes page(present.page_size);
  // A page that cannot be read ends its keeper's work, not the checkpoint.
  (void)for_each_replaced(present, next, pages, [&](uint32_t number) {
    std::optional<Status> read;
    for (PageKeeper* keeper : keepers_) {
      if (!keeper->needs(number)) continue;
      if (!read) read = file_->read(number, page);
      keeper->keep(number, page, *read);
    }
    return Status::ok();
  });
}

bool FileVersions::add_keeper(PageKeeper& keeper) {
  std::lock_guard keeping(keeping_);
  std::lock_guard lock(mutex_);
  if (current_->lost_) return false;
  keepers_.push_back(&keeper);
  return true;
}

void FileVersions::remove_keeper(PageKeeper& keeper) {
  std::lock_guard keeping(keeping_);
  std::erase(keepers_, &keeper);
}

Result<CheckpointCost> FileVersions::advance(const CheckpointRecord& next,
                                             const std::vector<PageImage>& pages, bool older_pinned,
                                             std::chrono::steady_clock::time_point deadline) {
  if (older_pinned) {
    if (Status status = keep_old_pages(next, pages); !status) return status;
  }
  give_to_keepers(next, pages);
  Result<CheckpointCost> cost = file_->checkpoint(next, pages, deadline);
  std::lock_guard lock(mutex_);
  if (!cost) {
    // Where the file is in doubt the kept pages stay true.
    if (is_untouched()) current_->forget_kept();
    return cost;
  }
  move_on();
  return cost;
}

Result<CheckpointCost> FileVersions::replace(const CheckpointRecord& next, const PageReader& source,
                                             std::chrono::steady_clock::time_point deadline) {
  Result<CheckpointCost> cost = file_->replace(next, source, deadline, [this] {
    std::lock_guard keeping(keeping_);
    for (PageKeeper* keeper : keepers_) keeper->lose();
    std::lock_guard lock(mutex_);
    current_->lost_ = true;
  });
  std::lock_guard lock(mutex_);
  if (!cost && is_untouched()) current_->lost_ = false;
  return cost;
}

// One after the other: a chain can be longer than a small stack. Whether a version is the last of its chain to go is for
// the pointer itself to find out: a look at its count would not see what other threads did before they let go.
FileVersion::~FileVersion() {
  forget_kept();
  // Of the version that the loop below lets go.
  thread_local std::shared_ptr<FileVersion>* successor = nullptr;
  if (successor != nullptr) {
    *successor = std::move(next_);
    return;
  }
  std::shared_ptr<FileVersion> left;
  successor = &left;
  for (std::shared_ptr<FileVersion> next = std::move(next_); next != nullptr; next = std::move(left)) {
    left.reset();
    next.reset();
  }
  successor = nullptr;
}

void FileVersions::move_on() {
  auto version = std::make_shared<FileVersion>(kept_total_);
  version->record_ = file_->record();
  current_->next_ = version;
  current_ = std::move(version);
}

}  // namespace dqlite::vfs
