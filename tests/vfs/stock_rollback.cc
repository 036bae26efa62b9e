#include "tests/vfs/stock_rollback.h"

#include <algorithm>
#include <cstring>

namespace dqlite::vfs {
namespace {

uint32_t big(const Bytes& bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 |
         bytes[at + 3];
}

}  // namespace

void open_like_stock(FaultDisk& disk, const std::string& path, int records) {
  const std::string journal_path = path + "-journal";
  const auto journal = disk.look(journal_path);
  auto content = disk.look(path);
  if (!journal || !content) return;
  if (content->empty()) {
    disk.erase(journal_path);
    return;
  }
  if (journal->empty() || (*journal)[0] == 0) return;  // not hot
  const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
  if (journal->size() >= 512 && std::memcmp(journal->data(), magic, sizeof magic) == 0) {
    const uint32_t count = big(*journal, 8);
    const uint32_t nonce = big(*journal, 12);
    const uint32_t page_count = big(*journal, 16);
    const uint32_t page_size = big(*journal, 24);
    content->resize(size_t{page_count} * page_size, 0);
    size_t at = big(*journal, 20);
    for (uint32_t i = 0; i < count && at + page_size + 8 <= journal->size(); i++, at += page_size + 8) {
      if (records >= 0 && i == static_cast<uint32_t>(records)) break;
      uint32_t number = big(*journal, at);
      uint32_t sum = nonce;
      for (int64_t k = int64_t{page_size} - 200; k > 0; k -= 200)
        sum += (*journal)[at + 4 + static_cast<size_t>(k)];
      if (number == 0 || number == 0x40000000 / page_size + 1 || sum != big(*journal, at + 4 + page_size))
        break;
      if (number > page_count) continue;
      std::copy_n(journal->begin() + static_cast<ptrdiff_t>(at + 4), page_size,
                  content->begin() + static_cast<ptrdiff_t>(size_t{number - 1} * page_size));
    }
  }
  disk.put(path, *content);
  if (records < 0) disk.erase(journal_path);
}

}  // namespace dqlite::vfs
