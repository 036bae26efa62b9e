#include "raft/core/read_rounds.h"

namespace dqlite::raft {

void ReadRounds::begin_round(Index commit) {
  round_++;
  for (uint64_t id : waiting_) pending_.push_back({id, round_, commit});
  waiting_.clear();
}

void ReadRounds::confirm(uint64_t round, std::vector<ReadOutcome>& out) {
  while (!pending_.empty() && pending_.front().round <= round) {
    out.push_back({pending_.front().id, Status::ok(), pending_.front().index});
    pending_.pop_front();
  }
}

void ReadRounds::fail_all(const Status& reason, std::vector<ReadOutcome>& out) {
  for (const Pending& read : pending_) out.push_back({read.id, reason, 0});
  for (uint64_t id : waiting_) out.push_back({id, reason, 0});
  pending_.clear();
  waiting_.clear();
}

}  // namespace dqlite::raft
