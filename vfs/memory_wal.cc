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
  // The frames that count, by page and age; as small numbers, since they may be many.
  const uint64_t begin = checkpointed() + 1 - first_;
  const uint64_t end = mark.sequence + 1 - first_;
  std::vector<uint32_t> order;
  order.reserve(end - begin);
  for (uint64_t i = begin; i < end; i++) {
    const auto& [image, above_end] = frames_[i];
    if (!above_end && image.number <= mark.page_count) order.push_back(static_cast<uint32_t>(i));
  }
  const auto number_of = [this](uint32_t i) { return frames_[i].image.number; };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return number_of(a) != number_of(b) ? number_of(a) < number_of(b) : a < b;
  });
  // Pages of the file that were cut off and came back, written or not.
  uint64_t cut = UINT32_MAX;
  for (const CommitMark& shrink : shrinks_) {
    if (shrink.sequence <= mark.sequence) cut = std::min<uint64_t>(cut, shrink.page_count);
  }
  const uint64_t cut_end = std::min(marks_.front().page_count, mark.page_count);
  std::vector<PageImage> changes;
  changes.reserve(order.size());
  const auto add_zeros_below = [&](uint64_t number) {
    for (; cut < cut_end && cut + 1 < number; cut++)
      changes.emplace_back(static_cast<uint32_t>(cut + 1), nullptr);
  };
  for (size_t k = 0; k < order.size(); k++) {
    const uint32_t number = number_of(order[k]);
    if (k + 1 < order.size() && number_of(order[k + 1]) == number) continue;
    add_zeros_below(number);
    if (cut + 1 == number) cut++;
    const bool is_zeros = cut_off(number, first_ + order[k], mark.sequence);
    changes.push_back(is_zeros ? PageImage(number, nullptr) : frames_[order[k]].image);
  }
  add_zeros_below(UINT64_MAX);
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
