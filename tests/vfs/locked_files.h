// Files of one thread, made fit for several: every call takes one lock.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "vfs/files.h"

namespace dqlite::vfs::test {

class LockedFiles : public Files {
 public:
  explicit LockedFiles(Files& files) : files_(files) {}

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override {
    std::lock_guard lock(*mutex_);
    return wrap(files_.open_database(path, create));
  }
  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    std::lock_guard lock(*mutex_);
    return wrap(files_.open(path, create));
  }
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return wrap(files_.create_new(path));
  }
  Result<bool> exists(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return files_.exists(path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    std::lock_guard lock(*mutex_);
    return files_.list(directory);
  }
  Status make_directory(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return files_.make_directory(path);
  }
  Status rename(const std::string& from, const std::string& to) override {
    std::lock_guard lock(*mutex_);
    return files_.rename(from, to);
  }
  Status rename_new(const std::string& from, const std::string& to) override {
    std::lock_guard lock(*mutex_);
    return files_.rename_new(from, to);
  }
  Status remove(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return files_.remove(path);
  }
  Status sync_directory(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return files_.sync_directory(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override {
    std::lock_guard lock(*mutex_);
    return files_.free_bytes(path);
  }
  void close_after_fork() override {}

 private:
  using Mutex = std::shared_ptr<std::mutex>;

  class File : public DataFile {
   public:
    File(std::shared_ptr<DataFile> file, Mutex mutex) : file_(std::move(file)), mutex_(std::move(mutex)) {}
    ~File() override {
      std::lock_guard lock(*mutex_);
      file_.reset();
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
      std::lock_guard lock(*mutex_);
      return file_->read(offset, out);
    }
    Status write(uint64_t offset, ByteView bytes) override {
      std::lock_guard lock(*mutex_);
      return file_->write(offset, bytes);
    }
    Status truncate(uint64_t size) override {
      std::lock_guard lock(*mutex_);
      return file_->truncate(size);
    }
    Status sync() override {
      std::lock_guard lock(*mutex_);
      return file_->sync();
    }
    Result<FileStamp> stamp() override {
      std::lock_guard lock(*mutex_);
      return file_->stamp();
    }
    Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
      std::lock_guard lock(*mutex_);
      return file_->lock(offset, length, kind);
    }

   private:
    std::shared_ptr<DataFile> file_;
    const Mutex mutex_;
  };

  Result<std::shared_ptr<DataFile>> wrap(Result<std::shared_ptr<DataFile>> file) {
    if (!file) return file;
    return std::shared_ptr<DataFile>(std::make_shared<File>(std::move(*file), mutex_));
  }

  Files& files_;
  const Mutex mutex_ = std::make_shared<std::mutex>();
};

}  // namespace dqlite::vfs::test
