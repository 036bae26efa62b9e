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

// Small, since a large transaction has many of them.
class PageImage {
 public:
  PageImage() = default;
  PageImage(uint32_t page_number, SharedPage bytes) : number(page_number), content_(std::move(bytes)) {}
  PageImage(uint32_t page_number, std::shared_ptr<const SpillFile> file, uint32_t slot)
      : number(page_number), slot_(slot), content_(std::move(file)) {}

  uint32_t number = 0;  // from 1; 0: of no page

  // In memory, or null: zeros, or in a spill file.
  [[nodiscard]] SharedPage bytes() const {
    return is_spilled() ? nullptr : std::static_pointer_cast<const Bytes>(content_);
  }
  [[nodiscard]] bool is_zeros() const { return content_ == nullptr; }
  [[nodiscard]] bool is_spilled() const { return slot_ != kNoSlot; }
  [[nodiscard]] uint32_t slot() const { return slot_; }  // in the spill file
  [[nodiscard]] size_t size() const;                     // 0 for zeros
  // codec::page_hash of what was put here.
  [[nodiscard]] uint64_t hash() const;
  // kCorrupt if the file does not give back what was put there. `out`: one page.
  [[nodiscard]] Status read(std::span<uint8_t> out) const;
  // Null for zeros.
  [[nodiscard]] Result<SharedPage> load() const;

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  [[nodiscard]] const Bytes& in_memory() const { return *static_cast<const Bytes*>(content_.get()); }
  [[nodiscard]] const SpillFile& file() const { return *static_cast<const SpillFile*>(content_.get()); }

  uint32_t slot_ = kNoSlot;
  std::shared_ptr<const void> content_;  // Bytes or, with a slot, a SpillFile
};

}  // namespace dqlite::vfs
