// Files that pass every call on to others: what tests derive from to change some of the calls.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vfs/files.h"

namespace dqlite::vfs::test {

class ForwardingFile : public DataFile {
 public:
  explicit ForwardingFile(std::shared_ptr<DataFile> below) : below_(std::move(below)) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override { return below_->read(offset, out); }
  Status write(uint64_t offset, ByteView bytes) override { return below_->write(offset, bytes); }
  Status truncate(uint64_t size) override { return below_->truncate(size); }
  Status sync() override { return below_->sync(); }
  Result<FileStamp> stamp() override { return below_->stamp(); }
  void forget_cached() override { below_->forget_cached(); }
  Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
    return below_->lock(offset, length, kind);
  }

 private:
  const std::shared_ptr<DataFile> below_;
};

class ForwardingFiles : public Files {
 public:
  explicit ForwardingFiles(Files& below = posix_files()) : below_(below) {}

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override {
    return below_.open_database(path, create);
  }
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
  Files& below_;
};

}  // namespace dqlite::vfs::test
