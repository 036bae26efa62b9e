#include "vfs/repairer.h"

#include <new>
#include <system_error>
#include <utility>

#include "vfs/database_set.h"
#include "vfs/error_codes.h"
#include "vfs/quiet_thread.h"

namespace dqlite::vfs {
namespace {

constexpr std::chrono::seconds kAnswerTime{10};

}  // namespace

void Repairer::begin(Database& database, uint32_t page_number, const Status& fault) noexcept {
  try {
    if (!add({&database, page_number})) return;
    queue_log(fault.sentence());
    databases_.verifier().suspect();
  } catch (const std::bad_alloc&) {
    // What is known is repaired all the same.
  }
}

bool Repairer::add(const Page& page) {
  std::lock_guard lock(mutex_);
  if (stopping_ || !pages_.insert(page).second) return false;
  has_news_ = true;
  wake_.notify_all();
  if (!thread_.joinable()) {
    try {
      thread_ = start_quiet_thread("dqlite-repair", [this] { run(); });
    } catch (const std::system_error&) {
      // The next page that is met tries again.
    }
  }
  if (pages_.size() > 1) return false;
  is_in_doubt_ = true;
  tell_doubt();
  return true;
}

void Repairer::tell_doubt() {
  if (pages_.empty()) {
    databases_.replicator().copy_in_doubt("");
    is_in_doubt_ = false;
    return;
  }
  const auto& [database, number] = *pages_.begin();
  const size_t others = pages_.size() - 1;
  databases_.replicator().copy_in_doubt(
      "page " + std::to_string(number) + " of " + database->versions().file().path() +
      " is not what the last checkpoint wrote, or cannot be read" +
      (others == 0 ? "" : ", and so are " + std::to_string(others) + " more pages") +
      "; it is being fetched from other members");
}

void Repairer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Repairer::run() {
  while (wait_for_work()) {
    try {
      repair_all();
    } catch (const std::bad_alloc&) {
      // In a while again.
    }
  }
}

bool Repairer::wait_for_work() {
  std::unique_lock lock(mutex_);
  const auto is_called = [this] { return stopping_ || has_news_; };
  if (pages_.empty() && !is_in_doubt_) {
    wake_.wait(lock, is_called);
  } else {
    wake_.wait_for(lock, kRetryInterval, is_called);
  }
  has_news_ = false;
  return !stopping_;
}

void Repairer::repair_all() {
  for (std::optional<Page> page = next_after({}); page; page = next_after(page)) {
    if (repair_page(*page->first, page->second)) forget(*page);
  }
  std::lock_guard lock(mutex_);
  if (!stopping_ && is_in_doubt_) tell_doubt();
}

std::optional<Repairer::Page> Repairer::next_after(const std::optional<Page>& page) {
  std::lock_guard lock(mutex_);
  const auto next = page ? pages_.upper_bound(*page) : pages_.begin();
  if (stopping_ || next == pages_.end()) return std::nullopt;
  return *next;
}

void Repairer::forget(const Page& page) {
  std::lock_guard lock(mutex_);
  pages_.erase(page);
}

bool Repairer::repair_page(Database& database, uint32_t page_number) {
  DatabaseFile& file = database.versions().file();
  // A checkpoint may have replaced it.
  const Status present = database.check_page(page_number);
  if (present) return true;
  if (present.code() == Code::kPoisoned) {
    databases_.replicator().copy_differs(present.in(file.path() + " cannot be repaired"));
    return false;
  }
  Bytes page(database.versions().current()->record().page_size);
  const uint64_t hash = file.expected_hash(page_number);
  if (hash == 0) {
    page.assign(page.size(), 0);
  } else {
    Result<Bytes> found =
        databases_.replicator().ask_others(encode_page_question({database.id(), page_number, hash}),
                                           std::chrono::steady_clock::now() + kAnswerTime);
    if (!found) return false;
    page = std::move(*found);
  }
  if (!database.repair(page_number, page)) return false;
  queue_log("page " + std::to_string(page_number) + " of " + file.path() +
            " was repaired with the content that another member has");
  return true;
}

}  // namespace dqlite::vfs
