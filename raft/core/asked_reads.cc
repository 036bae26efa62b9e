#include "raft/core/asked_reads.h"

#include <algorithm>
#include <utility>

namespace dqlite::raft {

std::optional<uint64_t> AskedReads::ask(NodeId leader, uint64_t now, uint64_t patience) {
  std::erase_if(open_, [&](const auto& each) {
    const Question& question = each.second;
    if (question.leader == leader && now < question.sent_at + patience) return false;
    waiting_.insert(waiting_.end(), question.reads.begin(), question.reads.end());
    return true;
  });
  if (waiting_.empty()) return std::nullopt;
  const uint64_t number = next_number_++;
  open_[number] = {leader, now, std::exchange(waiting_, {})};
  return number;
}

std::vector<uint64_t> AskedReads::answered(uint64_t number) {
  std::vector<uint64_t> ids;
  const auto found = open_.find(number);
  if (found == open_.end()) return ids;
  for (const Read& read : found->second.reads) ids.push_back(read.id);
  open_.erase(found);
  return ids;
}

std::vector<uint64_t> AskedReads::take_older_than(uint64_t since) {
  std::vector<uint64_t> ids;
  const auto take_from = [&](std::vector<Read>& reads) {
    std::erase_if(reads, [&](const Read& read) {
      if (read.began_at >= since) return false;
      ids.push_back(read.id);
      return true;
    });
  };
  take_from(waiting_);
  for (auto& [number, question] : open_) take_from(question.reads);
  std::erase_if(open_, [](const auto& each) { return each.second.reads.empty(); });
  return ids;
}

std::vector<uint64_t> AskedReads::take_all() {
  return take_older_than(UINT64_MAX);
}

}  // namespace dqlite::raft
