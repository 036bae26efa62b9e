// One committed state of a database, page by page, while commits and checkpoints go on.
//
// What the state has above the file is found in the memory WAL at the beginning; the rest is read from the
// file in order. A checkpoint that is about to overwrite a page which was not read yet hands it over first
// (PageKeeper): it puts a copy into a queue, which the scan visits before it reads on. So nobody waits for anybody,
// however long a visit takes: if the queue is full, the scan fails. Beside it and what the memory WAL holds anyway
// the scan takes one bit a page. For backups (vfs/backup.h) and for `verify_copy` (vfs/verification.h).
//
// All of it, and `Visit`, belongs to one thread; the checkpoint thread only queues.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "vfs/database.h"

namespace dqlite::vfs {

class StateScan final : private PageKeeper {
 public:
  // Every page of the state once, in no order, but for the page of SQLite's lock bytes, which holds nothing.
  // `page`: canonical. `fault`: why it is not what it should be, or ok. A failure ends the scan.
  using Visit = std::function<Status(uint32_t page_number, ByteView page, const Status& fault)>;
  // Pages that checkpoints handed over and that were not visited yet may take this much memory.
  static constexpr uint64_t kQueueLimit = 64 << 20;

  StateScan(Database& database, Visit visit) : database_(database), visit_(std::move(visit)) {}
  ~StateScan() override { end(); }
  StateScan(const StateScan&) = delete;
  StateScan& operator=(const StateScan&) = delete;

  // Takes the newest committed state. kBusy: the whole copy is being replaced just now.
  Status begin();
  // `pause` is called every so many pages; a failure ends the scan. kBusy: the copy was replaced meanwhile, or
  // checkpoints overwrote pages faster than they were visited.
  Status run(const std::function<Status()>& pause);

  [[nodiscard]] const CommitMark& mark() const { return mark_; }
  [[nodiscard]] uint64_t database() const { return id_; }  // 0: not created yet, and empty
  [[nodiscard]] uint32_t page_size() const { return page_size_; }
  // The rolling checksum of what was visited.
  [[nodiscard]] uint64_t checksum() const { return checksum_; }

 private:
  bool needs(uint32_t page_number) override;
  void keep(uint32_t page_number, ByteView page, const Status& fault) override;
  void lose() override;

  struct QueuedPage {
    uint32_t number = 0;
    Bytes page;
    Status fault;
  };

  // The first to come for a page has it.
  bool take(uint32_t page_number);
  Status visit(uint32_t page_number, ByteView page, const Status& fault);
  Status maybe_pause(const std::function<Status()>& pause);
  Status visit_changes(const std::function<Status()>& pause);
  Status visit_file(const std::function<Status()>& pause);
  Status visit_queued(const std::function<Status()>& pause);
  void end();

  Database& database_;
  const Visit visit_;
  CommitMark mark_;
  uint64_t id_ = 0;
  uint32_t page_size_ = 0;
  uint32_t lock_page_ = 0;  // of SQLite's lock bytes; 0: none
  std::vector<PageImage> changes_;
  bool is_keeper_ = false;
  uint64_t visited_ = 0;
  uint64_t checksum_ = 0;

  std::mutex mutex_;  // guards what follows; taken before the database's
  bool begun_ = false;
  std::vector<bool> taken_;  // by page number
  std::deque<QueuedPage> queue_;
  Status failure_;
};

}  // namespace dqlite::vfs
