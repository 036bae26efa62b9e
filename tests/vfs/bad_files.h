// The machine's own files on a disk that goes bad: sectors of the databases that cannot be read until they are written
// anew, and syncs that fail. Any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <set>

#include "tests/vfs/forwarding_files.h"

namespace dqlite::vfs::test {

class BadFiles : public ForwardingFiles {
 public:
  // The page that begins there, in every database file.
  void make_unreadable(uint64_t offset) {
    std::lock_guard lock(mutex_);
    unreadable_.insert(offset);
  }
  [[nodiscard]] bool is_readable(uint64_t offset) {
    std::lock_guard lock(mutex_);
    return !unreadable_.contains(offset);
  }
  // How often somebody wanted to read a file from the disk.
  [[nodiscard]] int readings() const { return readings_; }
  void fail_syncs() { fails_syncs_ = true; }

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override;

 private:
  friend class BadFile;
  Status check_readable(uint64_t begin, uint64_t end);
  void written(uint64_t begin, uint64_t end);

  std::mutex mutex_;  // guards what follows
  std::set<uint64_t> unreadable_;
  std::atomic<bool> fails_syncs_{false};
  std::atomic<int> readings_{0};
};

}  // namespace dqlite::vfs::test
