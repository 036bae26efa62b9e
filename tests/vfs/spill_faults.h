// The real files, of which those for the pages of large transactions can be full or rot, and journals can find no space.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vfs/files.h"

namespace dqlite::vfs::test {

// What a test does to them; any thread.
struct SpillFaults {
  std::atomic<bool> full{false};  // no page more finds space
  std::atomic<bool> journals_full{false};
  std::atomic<bool> rot{false};  // each page that is read has a bit that is wrong
  std::atomic<size_t> writes{0};
};

class FaultySpillFile : public DataFile {
 public:
  FaultySpillFile(std::shared_ptr<DataFile> file, SpillFaults& faults)
      : file_(std::move(file)), faults_(faults) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    Result<size_t> got = file_->read(offset, out);
    if (got && faults_.rot && !out.empty()) out[out.size() / 2] ^= 1;
    return got;
  }
  Status write(uint64_t offset, ByteView bytes) override {
    faults_.writes++;
    if (faults_.full) return {Code::kFull, "No space left on device"};
    return file_->write(offset, bytes);
  }
  Status truncate(uint64_t size) override { return file_->truncate(size); }
  Status sync() override { return file_->sync(); }
  Result<FileStamp> stamp() override { return file_->stamp(); }
  Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
    return file_->lock(offset, length, kind);
  }

 private:
  std::shared_ptr<DataFile> file_;
  SpillFaults& faults_;
};

class FaultySpills : public Files {
 public:
  explicit FaultySpills(SpillFaults& faults) : faults_(faults) {}

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override {
    return posix_files().open_database(path, create);
  }
  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    if (create && faults_.journals_full && path.ends_with("-journal")) {
      return Status(Code::kFull, "No space left on device");
    }
    return posix_files().open(path, create);
  }
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    Result<std::shared_ptr<DataFile>> file = posix_files().create_new(path);
    if (!file || path.find("/spill-") == std::string::npos) return file;
    return std::shared_ptr<DataFile>(std::make_shared<FaultySpillFile>(std::move(*file), faults_));
  }
  Result<bool> exists(const std::string& path) override { return posix_files().exists(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return posix_files().list(directory);
  }
  Status make_directory(const std::string& path) override { return posix_files().make_directory(path); }
  Status rename(const std::string& from, const std::string& to) override {
    return posix_files().rename(from, to);
  }
  Status rename_new(const std::string& from, const std::string& to) override {
    return posix_files().rename_new(from, to);
  }
  Status remove(const std::string& path) override { return posix_files().remove(path); }
  Status sync_directory(const std::string& path) override { return posix_files().sync_directory(path); }
  Result<uint64_t> free_bytes(const std::string& path) override { return posix_files().free_bytes(path); }
  void close_after_fork() override {}

 private:
  SpillFaults& faults_;
};

}  // namespace dqlite::vfs::test
