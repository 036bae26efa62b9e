#include "vfs/page_sums.h"

#include <algorithm>

namespace dqlite::vfs {
namespace {

constexpr size_t kSumSize = 8;
constexpr size_t kSumsInBlock = 512;  // 4096 bytes: a block of the disk is written whole

}  // namespace

uint64_t PageSums::total() const {
  uint64_t total = 0;
  for (uint64_t sum : sums_) total ^= sum;
  return total;
}

Bytes PageSums::encode(size_t first, size_t count) const {
  Bytes bytes;
  bytes.reserve(count * kSumSize);
  codec::Writer out(bytes);
  for (size_t i = first; i < first + count; i++) out.u64(sums_[i]);
  return bytes;
}

Result<PageSums> PageSums::load(Files& files, const std::string& path, uint32_t page_count) {
  auto file = files.open(path, false);
  if (!file) return file.status();
  Bytes bytes(size_t{page_count} * kSumSize);
  auto got = (*file)->read(0, bytes);
  if (!got) return got.status();
  if (*got != bytes.size()) {
    return Status(Code::kCorrupt,
                  path + " has " + std::to_string(*got) + " bytes, expected " + std::to_string(bytes.size()));
  }
  std::vector<uint64_t> sums(page_count);
  codec::Reader in(bytes);
  for (uint64_t& sum : sums) sum = in.u64();
  return PageSums(std::move(sums));
}

Status PageSums::save(Files& files, const std::string& path) const {
  auto file = files.open(path, true);
  if (!file) return file.status();
  return (*file)->write(0, encode(0, sums_.size()));
}

Status PageSums::save_changed(Files& files, const std::string& path,
                              const std::vector<uint32_t>& page_numbers) const {
  auto file = files.open(path, false);
  if (file.status().code() == Code::kNotFound) return save(files, path);
  if (!file) return file.status();
  size_t next = 0;  // the first sum that is not written yet
  for (uint32_t number : page_numbers) {
    if (number > sums_.size()) break;
    size_t first = (number - 1) / kSumsInBlock * kSumsInBlock;
    if (first < next) continue;
    size_t count = std::min(kSumsInBlock, sums_.size() - first);
    if (Status status = (*file)->write(first * kSumSize, encode(first, count)); !status) return status;
    next = first + count;
  }
  return (*file)->truncate(sums_.size() * kSumSize);
}

}  // namespace dqlite::vfs
