// Gives rotten pages of the files their content back, from other members.
//
// A page is asked for by its hash (vfs/verification.h), so any member will do that still has this version of it, at
// whatever index it is, and nothing but the right bytes is ever written. From the first read that meets a rotten page,
// whoever reads, until all are repaired, or a checkpoint has replaced them, the node is in doubt of its copy and should
// not lead [B9]; reads of such a page fail, all other pages are served, since each is checked when it is read. Has a
// thread of its own, since it waits for others.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "vfs/verification.h"

namespace dqlite::vfs {

class DatabaseSet;

class Repairer {
 public:
  // What could not be repaired is tried again after this time, and the doubt is told again: it may have been lost.
  static constexpr std::chrono::seconds kRetryInterval{1};

  explicit Repairer(DatabaseSet& databases) : databases_(databases) {}
  ~Repairer() { stop(); }
  Repairer(const Repairer&) = delete;
  Repairer& operator=(const Repairer&) = delete;

  // A read met a rotten page of the file. Any thread, also one that has locks; never waits. Without memory nothing is
  // done: the next read of the page tells it again.
  void begin(Database& database, uint32_t page_number, const Status& fault) noexcept;
  void stop();

 private:
  using Page = std::pair<Database*, uint32_t>;

  // True: nothing else was rotten.
  bool add(const Page& page);
  void run();
  bool wait_for_work();
  void repair_all();
  std::optional<Page> next_after(const std::optional<Page>& page);
  bool repair_page(Database& database, uint32_t page_number);
  void forget(const Page& page);
  void tell_doubt();  // call with mutex_ held

  DatabaseSet& databases_;
  std::mutex mutex_;  // guards what follows; innermost but for what the replicator has
  std::condition_variable wake_;
  std::set<Page> pages_;
  bool is_in_doubt_ = false;  // as far as the replicator knows, or is to know
  bool has_news_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace dqlite::vfs
