// Reads of a member that does not lead: it asks the leader to confirm its leadership for them.
//
// Reads that come together share one question. Questions may be lost, and so may the leader: a question that
// is not answered in time, or went to another leader, is given up, and its reads go into a new one with a new
// number. Only the answer to a question that is still open counts. Part of the core; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "raft/core/types.h"

namespace dqlite::raft {

class AskedReads {
 public:
  // Questions are numbered from here on.
  explicit AskedReads(uint64_t first_number) : next_number_(first_number) {}

  void add(uint64_t id, uint64_t now) { waiting_.push_back({id, now}); }
  // The number of a question to send to `leader` now, if there is one. An open question is given up `patience`
  // ticks after it was sent.
  std::optional<uint64_t> ask(NodeId leader, uint64_t now, uint64_t patience);
  // The reads that the answer is for.
  std::vector<uint64_t> answered(uint64_t number);
  // Those that came before `since`: nobody has answered them.
  std::vector<uint64_t> take_older_than(uint64_t since);
  // Everything.
  std::vector<uint64_t> take_all();

 private:
  struct Read {
    uint64_t id;
    uint64_t began_at;
  };
  struct Question {
    NodeId leader;
    uint64_t sent_at;
    std::vector<Read> reads;
  };

  uint64_t next_number_;
  std::vector<Read> waiting_;
  std::map<uint64_t, Question> open_;  // by number
};

}  // namespace dqlite::raft
