#include "vfs/spill_file.h"

#include <atomic>
#include <cstring>

#include "codec/checksum.h"
#include "vfs/page.h"

namespace dqlite::vfs {
namespace {

constexpr const char* kSpillPrefix = "spill-";

}  // namespace

Result<std::shared_ptr<SpillFile>> SpillFile::create(Files& files, const std::string& directory,
                                                     uint32_t page_size) {
  static std::atomic<uint64_t> next{1};
  for (;;) {
    const std::string path = directory + "/" + kSpillPrefix + std::to_string(next.fetch_add(1));
    Result<std::shared_ptr<DataFile>> file = files.create_new(path);
    if (!file) {
      if (file.status().code() == Code::kRefused) continue;  // of a child of a fork, or left over
      return file.status();
    }
    if (Status status = files.remove(path); !status) return status;
    return std::shared_ptr<SpillFile>(new SpillFile(std::move(*file), page_size));
  }
}

Status SpillFile::sweep(Files& files, const std::string& directory) {
  Result<std::vector<std::string>> names = files.list(directory);
  if (!names) return names.status();
  for (const std::string& name : *names) {
    if (!name.starts_with(kSpillPrefix)) continue;
    std::string path = directory;
    if (Status status = files.remove(path.append("/").append(name)); !status) return status;
  }
  return Status::ok();
}

Status SpillFile::write(uint32_t slot, uint32_t page_number, ByteView page) {
  if (slot >= hashes_.size()) hashes_.resize(size_t{slot} + 1, 0);
  Status status = file_->write(uint64_t{slot} * page_size_, page);
  if (status) hashes_[slot] = codec::page_hash(page_number, page);
  return status.in("a page of a large transaction could not be put aside");
}

Status SpillFile::read(uint32_t slot, uint32_t page_number, std::span<uint8_t> out) const {
  Result<size_t> got = file_->read(uint64_t{slot} * page_size_, out);
  if (!got) return got.status();
  if (*got == out.size() && codec::page_hash(page_number, out) == hashes_[slot]) return Status::ok();
  return {Code::kCorrupt, "page " + std::to_string(page_number) +
                              " of a large transaction is not what was put aside: the disk of this node "
                              "did not keep it; start the node again, which makes it anew from the log"};
}

size_t PageImage::size() const {
  return is_zeros() ? 0 : is_spilled() ? file().page_size() : in_memory().size();
}

uint64_t PageImage::hash() const {
  return is_zeros() ? 0 : is_spilled() ? file().hash(slot_) : codec::page_hash(number, in_memory());
}

Status PageImage::read(std::span<uint8_t> out) const {
  if (is_spilled()) return file().read(slot_, number, out);
  if (is_zeros()) {
    std::memset(out.data(), 0, out.size());
  } else {
    std::memcpy(out.data(), in_memory().data(), out.size());
  }
  return Status::ok();
}

Result<SharedPage> PageImage::load() const {
  if (!is_spilled()) return bytes();
  auto page = std::make_shared<Bytes>(file().page_size());
  if (Status status = file().read(slot_, number, *page); !status) return status;
  return SharedPage(std::move(page));
}

}  // namespace dqlite::vfs
