#include "raft/core/read_rounds.h"

#include <utility>

namespace dqlite::raft {

void ReadRounds::begin_round(Index commit) {
  round_++;
  for (const ReadOrigin& origin : waiting_) pending_.push_back({origin, round_, commit});
  waiting_.clear();
}

std::vector<ConfirmedRead> ReadRounds::confirm(uint64_t round) {
  std::vector<ConfirmedRead> done;
  while (!pending_.empty() && pending_.front().round <= round) {
    done.push_back({pending_.front().origin, pending_.front().index});
    pending_.pop_front();
  }
  return done;
}

std::vector<ReadOrigin> ReadRounds::take_all() {
  std::vector<ReadOrigin> all;
  for (const Pending& read : pending_) all.push_back(read.origin);
  all.insert(all.end(), waiting_.begin(), waiting_.end());
  pending_.clear();
  waiting_.clear();
  return all;
}

}  // namespace dqlite::raft
