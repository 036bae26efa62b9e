#include "vfs/frame_list.h"

#include <utility>

namespace dqlite::vfs {

Status FrameList::append(uint32_t page_number, Bytes&& page) {
  const auto slot = static_cast<uint32_t>(frames_.size());
  if (in_memory_ + page.size() > memory_bytes_) {
    if (Status status = spill(slot, page_number, page); !status) return status;
    frames_.emplace_back(page_number, file_, slot);
    return Status::ok();
  }
  const size_t size = page.size();
  frames_.emplace_back(page_number, std::make_shared<const Bytes>(std::move(page)));
  in_memory_ += size;
  return Status::ok();
}

Status FrameList::replace(size_t position, Bytes page) {
  PageImage& image = frames_[position];
  if (image.is_spilled()) return spill(image.slot(), image.number, page);
  image = {image.number, std::make_shared<const Bytes>(std::move(page))};
  return Status::ok();
}

Status FrameList::spill(uint32_t slot, uint32_t page_number, ByteView page) {
  if (file_ == nullptr) {
    auto created = SpillFile::create(files_, directory_, static_cast<uint32_t>(page.size()));
    if (!created) return created.status();
    file_ = std::move(*created);
  }
  return file_->write(slot, page_number, page);
}

void FrameList::cut(size_t size) {
  while (frames_.size() > size) {
    if (!frames_.back().is_spilled()) in_memory_ -= frames_.back().size();
    frames_.pop_back();
  }
  if (frames_.empty()) file_ = nullptr;
}

std::vector<PageImage> FrameList::take() {
  in_memory_ = 0;
  file_ = nullptr;
  return std::exchange(frames_, {});
}

}  // namespace dqlite::vfs
