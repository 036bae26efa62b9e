// Puts into words what a member of a cluster in memory says, stores and becomes. Used by the interpreter of
// transcripts; pure.
//
// Notation: 4/2 is the entry at index 4 of term 2; 1-3/1 are the entries 1 to 3, all of term 1.
#pragma once

#include <string>
#include <vector>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

using Lines = std::vector<std::string>;

std::string words(const Entry& entry);            // 4/2 noop
std::string words(const Message& message);        // 1->2 asks for a vote in term 2, log to 0/0
std::string words(const Configuration& members);  // voters 1 2 3, standby 4
std::string words(const Persist& persist);        // term 2, vote for 1, removal of 3 and above, 3/2 noop
std::string words(const HardState& state);        // term 2, vote for 1
// The entries in brief: 1-3/1 4/2; "nothing" if there are none.
std::string log_words(const std::vector<Entry>& entries);
// Up to a few entries in full, many in brief.
std::string entries_words(const std::vector<Entry>& entries);

// What can be seen of a member from outside, at one moment.
struct Moment {
  explicit Moment(const TestMember& m);

  bool alive = false;
  Role role = Role::kFollower;
  Term term = 0;
  NodeId leader = 0;
  Index commit = 0;
  Index applied = 0;
  Configuration configuration;
  bool poisoned = false;
  std::string log;
  size_t writes = 0;
};

// The whole of it in one line: 1 leads term 2, commit 3, applied 3, log 1-3/1
std::string state_words(const TestMember& m);
// What became of `m` since `before`: its role and term, its commit index, the configuration, poison, and the
// answers that came out. With `whole`, its log and what it applied too, which a finer account tells step by
// step.
Lines changes(const Moment& before, const TestMember& m, bool whole);

}  // namespace dqlite::raft
