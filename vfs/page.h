// One immutable page image in canonical form (codec/page.h), shared by everybody who looks at it: in memory, or in a
// spill file, from where it is read whenever somebody wants it. Any thread; no lock of the room may be held over
// `read` and `load`.
#pragma once

#include <memory>
#include <span>

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::vfs {

class SpillFile;

using SharedPage = SharedBytes;  // exactly the database's page size

struct PageImage {
  uint32_t number = 0;                    // from 1
  uint32_t slot = 0;                      // in `file`
  SharedPage bytes;                       // null and no `file`: zeros
  std::shared_ptr<const SpillFile> file;  // where it is if not in `bytes`

  PageImage() = default;
  PageImage(uint32_t page_number, SharedPage content) : number(page_number), bytes(std::move(content)) {}
  PageImage(uint32_t page_number, std::shared_ptr<const SpillFile> where, uint32_t slot_there)
      : number(page_number), slot(slot_there), file(std::move(where)) {}

  [[nodiscard]] bool is_zeros() const { return bytes == nullptr && file == nullptr; }
  [[nodiscard]] size_t size() const;  // 0 for zeros
  // codec::page_hash of what was put here.
  [[nodiscard]] uint64_t hash() const;
  // kCorrupt if the file does not give back what was put there. `out`: one page.
  [[nodiscard]] Status read(std::span<uint8_t> out) const;
  // Null for zeros.
  [[nodiscard]] Result<SharedPage> load() const;
};

}  // namespace dqlite::vfs
