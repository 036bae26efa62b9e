#include "tests/vfs/bad_files.h"

namespace dqlite::vfs::test {

class BadFile : public DataFile {
 public:
  BadFile(BadFiles& files, std::shared_ptr<DataFile> below) : files_(files), below_(std::move(below)) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    if (Status status = files_.check_readable(offset, offset + out.size()); !status) return status;
    return below_->read(offset, out);
  }
  Status write(uint64_t offset, ByteView bytes) override {
    Status status = below_->write(offset, bytes);
    if (status) files_.written(offset, offset + bytes.size());
    return status;
  }
  Status truncate(uint64_t size) override { return below_->truncate(size); }
  Status sync() override {
    if (files_.fails_syncs_) return {Code::kIo, "fsync failed on request"};
    return below_->sync();
  }
  Result<FileStamp> stamp() override { return below_->stamp(); }
  void forget_cached() override { files_.readings_++; }
  Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
    return below_->lock(offset, length, kind);
  }

 private:
  BadFiles& files_;
  const std::shared_ptr<DataFile> below_;
};

Result<std::shared_ptr<DataFile>> BadFiles::open_database(const std::string& path, bool create) {
  Result<std::shared_ptr<DataFile>> opened = below_.open_database(path, create);
  if (!opened) return opened;
  return std::shared_ptr<DataFile>(std::make_shared<BadFile>(*this, std::move(*opened)));
}

Status BadFiles::check_readable(uint64_t begin, uint64_t end) {
  std::lock_guard lock(mutex_);
  const auto found = unreadable_.lower_bound(begin);
  if (found == unreadable_.end() || *found >= end) return Status::ok();
  return {Code::kIo, "pread at offset " + std::to_string(*found) + " failed on request"};
}

void BadFiles::written(uint64_t begin, uint64_t end) {
  std::lock_guard lock(mutex_);
  std::erase_if(unreadable_, [&](uint64_t each) { return begin <= each && each < end; });
}

}  // namespace dqlite::vfs::test
