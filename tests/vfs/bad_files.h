// The machine's own files on a disk that goes bad: sectors of the databases that cannot be read until they are written
// anew, and syncs that fail. Any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <set>

#include "vfs/files.h"

namespace dqlite::vfs::test {

class BadFiles : public Files {
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
  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    return below_.open(path, create);
  }
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    return below_.create_new(path);
  }
  Result<bool> exists(const std::string& path) override { return below_.exists(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_.list(directory);
  }
  Status make_directory(const std::string& path) override { return below_.make_directory(path); }
  Status rename(const std::string& from, const std::string& to) override { return below_.rename(from, to); }
  Status rename_new(const std::string& from, const std::string& to) override {
    return below_.rename_new(from, to);
  }
  Status remove(const std::string& path) override { return below_.remove(path); }
  Status sync_directory(const std::string& path) override { return below_.sync_directory(path); }
  Result<uint64_t> free_bytes(const std::string& path) override { return below_.free_bytes(path); }
  void close_after_fork() override { below_.close_after_fork(); }

 private:
  friend class BadFile;
  Status check_readable(uint64_t begin, uint64_t end);
  void written(uint64_t begin, uint64_t end);

  Files& below_ = posix_files();
  std::mutex mutex_;  // guards what follows
  std::set<uint64_t> unreadable_;
  std::atomic<bool> fails_syncs_{false};
  std::atomic<int> readings_{0};
};

}  // namespace dqlite::vfs::test
