#include "raft/core/progress.h"

#include <algorithm>

namespace dqlite::raft {

void Inflights::add(Index last, size_t bytes) {
  sent_.push_back({last, bytes});
  bytes_ += bytes;
}

void Inflights::free_to(Index match) {
  while (!sent_.empty() && sent_.front().last <= match) {
    bytes_ -= sent_.front().bytes;
    sent_.pop_front();
  }
}

void Inflights::clear() {
  sent_.clear();
  bytes_ = 0;
}

void Progress::become_probe(Index next_index) {
  state = State::kProbe;
  next = std::max(next_index, match + 1);
  probe_sent = false;
  inflights.clear();
}

void Progress::become_replicate() {
  state = State::kReplicate;
  next = match + 1;
  probe_sent = false;
  inflights.clear();
}

void Progress::become_snapshot() {
  state = State::kSnapshot;
  probe_sent = false;
  inflights.clear();
}

bool Progress::accept(Index acknowledged) {
  const bool news = acknowledged > match;
  match = std::max(match, acknowledged);
  if (state == State::kProbe) {
    // A heartbeat's answer proves life, not where the logs part: only the probe's own answer ends probing, or
    // entries that the follower has would be sent again.
    if (match + 1 >= next) {
      become_replicate();
      return true;
    }
    if (news) probe_sent = false;
    return news;
  }
  inflights.free_to(match);
  next = std::max(next, match + 1);
  return news;
}

bool Progress::reject(Index refused, Index hint_next) {
  if (state == State::kSnapshot || refused <= match) return false;
  if (state == State::kReplicate) {
    become_probe(std::min(refused, hint_next));
    return true;
  }
  if (refused != next - 1) return false;
  next = std::max(std::min(refused, hint_next), match + 1);
  probe_sent = false;
  return true;
}

}  // namespace dqlite::raft
