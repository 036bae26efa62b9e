// Gives rotten pages of the files their content back, from other members.
//
// A page is asked for by its hash (vfs/verification.h), so any member will do that still has this version of it, at
// whatever index it is, and nothing but the right bytes is ever written. Until all are repaired, or a checkpoint has
// replaced them, the node is in doubt of its copy and should not lead [B9]; reads of such a page fail, all other
// pages are served, since each is checked when it is read. Has a thread of its own, since it waits for others.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "vfs/verification.h"

namespace dqlite::vfs {

class DatabaseSet;

class Repairer {
 public:
  // What could not be repaired is tried again after this time.
  static constexpr std::chrono::seconds kRetryInterval{1};

  explicit Repairer(DatabaseSet& databases) : databases_(databases) {}
  ~Repairer() { stop(); }
  Repairer(const Repairer&) = delete;
  Repairer& operator=(const Repairer&) = delete;

  // Pages of the file that were found to be wrong. Any thread; never waits.
  void begin(Database& database, const CopyFinding& finding);
  void stop();

 private:
  using Work = std::map<Database*, std::set<uint32_t>>;

  void run();
  // What is left of it.
  Work repair(const Work& work);
  bool take_back(Work left);
  bool repair_page(Database& database, uint32_t page_number);
  [[nodiscard]] bool is_stopping();

  DatabaseSet& databases_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Work work_;
  bool has_news_ = false;
  bool knows_all_ = true;  // no finding had more pages than it named
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace dqlite::vfs
