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

void Repairer::begin(Database& database, const CopyFinding& finding) {
  queue_log(finding.status.sentence());
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  databases_.replicator().copy_in_doubt(finding.status.sentence() +
                                        "; it is being fetched from other members");
  work_[&database].insert(finding.first_wrong.begin(), finding.first_wrong.end());
  knows_all_ = knows_all_ && finding.first_wrong.size() == finding.wrong_pages;
  has_news_ = true;
  wake_.notify_all();
  if (thread_.joinable()) return;
  try {
    thread_ = start_quiet_thread("dqlite-repair", [this] { run(); });
  } catch (const std::system_error&) {
    // The next finding tries again.
  }
}

void Repairer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool Repairer::is_stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void Repairer::run() {
  while (true) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      if (work_.empty()) {
        wake_.wait(lock, [this] { return stopping_ || has_news_; });
      } else {
        wake_.wait_for(lock, kRetryInterval, [this] { return stopping_ || has_news_; });
      }
      if (stopping_) return;
      has_news_ = false;
      work.swap(work_);
    }
    try {
      if (take_back(repair(work))) databases_.verifier().suspect();
    } catch (const std::bad_alloc&) {
      (void)take_back(std::move(work));
    }
  }
}

// True: all that was known is repaired, and there is more.
bool Repairer::take_back(Work left) {
  std::lock_guard lock(mutex_);
  for (auto& [database, pages] : left) work_[database].merge(pages);
  if (!work_.empty() || stopping_) return false;
  databases_.replicator().copy_in_doubt("");
  return !std::exchange(knows_all_, true);
}

Repairer::Work Repairer::repair(const Work& work) {
  Work left;
  for (const auto& [database, pages] : work) {
    for (const uint32_t number : pages) {
      if (is_stopping() || !repair_page(*database, number)) left[database].insert(number);
    }
  }
  return left;
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
