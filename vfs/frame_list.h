// The frames of one transaction that is not published yet, in order: in memory up to a budget, beyond it in a spill
// file. Of a connection that writes, and of a set of parts that arrives. One thread.
#pragma once

#include <string>
#include <vector>

#include "vfs/files.h"
#include "vfs/page.h"
#include "vfs/spill_file.h"

namespace dqlite::vfs {

class FrameList {
 public:
  // `directory`: of the node. `memory_bytes`: the budget.
  FrameList(Files& files, std::string directory, size_t memory_bytes)
      : files_(files), directory_(std::move(directory)), memory_bytes_(memory_bytes) {}

  [[nodiscard]] size_t size() const { return frames_.size(); }
  [[nodiscard]] bool empty() const { return frames_.empty(); }
  [[nodiscard]] const PageImage& operator[](size_t position) const { return frames_[position]; }
  [[nodiscard]] const std::vector<PageImage>& frames() const { return frames_; }

  // kFull: no space for what is beyond the budget; nothing has changed, and `page` is as it was.
  Status append(uint32_t page_number, Bytes&& page);
  // The same page with another content.
  Status replace(size_t position, Bytes page);
  // Only the first `size` frames stay.
  void cut(size_t size);
  void clear() { cut(0); }
  // Leaves an empty list.
  std::vector<PageImage> take();

 private:
  Status spill(uint32_t slot, uint32_t page_number, ByteView page);

  Files& files_;
  const std::string directory_;
  const size_t memory_bytes_;
  std::vector<PageImage> frames_;
  size_t in_memory_ = 0;             // bytes
  std::shared_ptr<SpillFile> file_;  // a frame's slot is its position
};

}  // namespace dqlite::vfs
