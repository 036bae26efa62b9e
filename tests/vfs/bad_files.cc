#include "tests/vfs/bad_files.h"

namespace dqlite::vfs::test {

class BadFile : public ForwardingFile {
 public:
  BadFile(BadFiles& files, std::shared_ptr<DataFile> below)
      : ForwardingFile(std::move(below)), files_(files) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    if (Status status = files_.check_readable(offset, offset + out.size()); !status) return status;
    return ForwardingFile::read(offset, out);
  }
  Status write(uint64_t offset, ByteView bytes) override {
    Status status = ForwardingFile::write(offset, bytes);
    if (status) files_.written(offset, offset + bytes.size());
    return status;
  }
  Status sync() override {
    if (files_.fails_syncs_) return {Code::kIo, "fsync failed on request"};
    return ForwardingFile::sync();
  }
  void forget_cached() override { files_.readings_++; }

 private:
  BadFiles& files_;
};

Result<std::shared_ptr<DataFile>> BadFiles::open_database(const std::string& path, bool create) {
  Result<std::shared_ptr<DataFile>> opened = ForwardingFiles::open_database(path, create);
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
