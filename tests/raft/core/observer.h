// Sees every step of every member and remembers it across crashes, so that a promise broken in one life is
// found in the next: election safety, log matching, leader completeness, state machine safety, one vote a
// term, and nothing told before it is durable.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "tests/raft/core/test_member.h"

namespace dqlite::raft {

// For comparing and naming entries.
uint64_t mix(uint64_t hash, uint64_t value);
uint64_t hash_of(const Entry& entry);
std::string name(EntryId id);
std::string name(const TestMember& m);

// Remembers what was promised and decided, over all members and lives.
class Observer {
 public:
  struct Committed {
    Term term;
    uint64_t payload_hash;
    Term committed_in;  // the term of the member that was first seen to know it
  };
  void entry_appended(const Entry& entry, Term previous_term, NodeId member);
  void became_leader(const TestMember& member);
  void committed(const TestMember& member, Index index, const Entry& entry);
  void applied(const TestMember& member, const Entry& entry);
  void sent(const TestMember& member, const Message& message);
  void fail(const std::string& what);

  std::string violation;  // the first
  std::map<Index, Committed> canonical;
  Index highest_commit = 0;

 private:
  struct Appended {
    uint64_t payload_hash;
    Term previous_term;
  };
  std::map<Term, NodeId> leaders_;
  std::map<EntryId, Appended> entries_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;
  std::map<Index, uint64_t> state_hashes_;
};

}  // namespace dqlite::raft
