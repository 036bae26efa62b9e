// The real files, of which those for the pages of large transactions can be full or rot, and journals can find no space.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "tests/vfs/forwarding_files.h"

namespace dqlite::vfs::test {

// What a test does to them; any thread.
struct SpillFaults {
  std::atomic<bool> full{false};  // no page more finds space
  std::atomic<bool> journals_full{false};
  std::atomic<bool> rot{false};  // each page that is read has a bit that is wrong
  std::atomic<size_t> writes{0};
};

class FaultySpillFile : public ForwardingFile {
 public:
  FaultySpillFile(std::shared_ptr<DataFile> below, SpillFaults& faults)
      : ForwardingFile(std::move(below)), faults_(faults) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    Result<size_t> got = ForwardingFile::read(offset, out);
    if (got && faults_.rot && !out.empty()) out[out.size() / 2] ^= 1;
    return got;
  }
  Status write(uint64_t offset, ByteView bytes) override {
    faults_.writes++;
    if (faults_.full) return {Code::kFull, "No space left on device"};
    return ForwardingFile::write(offset, bytes);
  }

 private:
  SpillFaults& faults_;
};

class FaultySpills : public ForwardingFiles {
 public:
  explicit FaultySpills(SpillFaults& faults) : faults_(faults) {}

  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    if (create && faults_.journals_full && path.ends_with("-journal")) {
      return Status(Code::kFull, "No space left on device");
    }
    return ForwardingFiles::open(path, create);
  }
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    Result<std::shared_ptr<DataFile>> file = ForwardingFiles::create_new(path);
    if (!file || path.find("/spill-") == std::string::npos) return file;
    return std::shared_ptr<DataFile>(std::make_shared<FaultySpillFile>(std::move(*file), faults_));
  }

 private:
  SpillFaults& faults_;
};

}  // namespace dqlite::vfs::test
