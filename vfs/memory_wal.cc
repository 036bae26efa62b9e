#include "vfs/memory_wal.h"

#include <algorithm>
#include <utility>

namespace dqlite::vfs {

void MemoryWal::reset(const CommitMark& base) {
  frames_.clear();
  frame_bytes_ = 0;
  first_ = base.sequence + 1;
  marks_.assign(1, base);
  newest_frame_.clear();
  shrinks_.clear();
}

void MemoryWal::append(const std::vector<PageImage>& frames, CommitMark mark) {
  for (const PageImage& image : frames) {
    uint64_t sequence = first_ + frames_.size();
    bool above_end = image.number > mark.page_count;
    if (!above_end) newest_frame_[image.number] = sequence;
    frames_.push_back({image, above_end});
    frame_bytes_ += image.size();
  }
  mark.sequence = first_ + frames_.size() - 1;
  if (mark.page_count < newest().page_count) shrinks_.push_back(mark);
  marks_.push_back(mark);
}

const CommitMark& MemoryWal::newest_at(uint64_t index) const {
  auto above = std::upper_bound(marks_.begin() + 1, marks_.end(), index,
                                [](uint64_t wanted, const CommitMark& mark) { return wanted < mark.index; });
  return *(above - 1);
}

bool MemoryWal::cut_off(uint32_t page_number, uint64_t sequence, uint64_t until) const {
  return std::any_of(shrinks_.begin(), shrinks_.end(), [&](const CommitMark& shrink) {
    // The frames of the shrinking commit itself end at shrink.sequence: pages above its size are cut, too.
    return sequence <= shrink.sequence && shrink.sequence <= until && page_number > shrink.page_count;
  });
}

MemoryWal::Found MemoryWal::find(uint32_t page_number) const {
  if (page_number == 0 || page_number > newest().page_count) return {Place::kNone, {}};
  auto entry = newest_frame_.find(page_number);
  uint64_t sequence = entry == newest_frame_.end() ? 0 : entry->second;
  if (sequence > checkpointed()) {
    if (cut_off(page_number, sequence, newest().sequence)) return {Place::kZeros, {}};
    return {Place::kFrame, frame(sequence)};
  }
  bool in_file = page_number <= marks_.front().page_count;
  if (!in_file || cut_off(page_number, checkpointed(), newest().sequence)) return {Place::kZeros, {}};
  return {Place::kFile, {}};
}

std::vector<PageImage> MemoryWal::changes_until(const CommitMark& mark) const {
  // The page, and its newest frame; 0: zeros.
  std::vector<std::pair<uint32_t, uint64_t>> newest;
  for (uint64_t sequence = checkpointed() + 1; sequence <= mark.sequence; sequence++) {
    const auto& [image, above_end] = frames_[sequence - first_];
    if (!above_end && image.number <= mark.page_count) newest.emplace_back(image.number, sequence);
  }
  // Pages of the file that were cut off and came back, written or not.
  uint32_t smallest = UINT32_MAX;
  for (const CommitMark& shrink : shrinks_) {
    if (shrink.sequence <= mark.sequence) smallest = std::min(smallest, shrink.page_count);
  }
  const uint32_t end = std::min(marks_.front().page_count, mark.page_count);
  for (uint64_t number = uint64_t{smallest} + 1; number <= end; number++) {
    newest.emplace_back(static_cast<uint32_t>(number), 0);
  }
  std::sort(newest.begin(), newest.end());
  std::vector<PageImage> changes;
  for (size_t i = 0; i < newest.size(); i++) {
    const auto [number, sequence] = newest[i];
    if (i + 1 < newest.size() && newest[i + 1].first == number) continue;
    const bool is_zeros = sequence == 0 || cut_off(number, sequence, mark.sequence);
    changes.push_back(is_zeros ? PageImage(number, nullptr) : frame(sequence));
  }
  return changes;
}

void MemoryWal::checkpointed_at(const CommitMark& mark) {
  const CommitMark reached = mark;
  while (marks_.size() > 1 && marks_.front().index < reached.index) marks_.pop_front();
  marks_.front() = reached;
  std::erase_if(shrinks_, [&](const CommitMark& shrink) { return shrink.sequence <= reached.sequence; });
}

void MemoryWal::release(uint64_t sequence) {
  sequence = std::min(sequence, checkpointed());
  while (!frames_.empty() && first_ <= sequence) {
    const PageImage& image = frames_.front().image;
    auto entry = newest_frame_.find(image.number);
    if (entry != newest_frame_.end() && entry->second == first_) newest_frame_.erase(entry);
    frame_bytes_ -= image.size();
    frames_.pop_front();
    first_++;
  }
}

}  // namespace dqlite::vfs
