// Remembers what was promised and decided, over all nodes and lives, so that a promise broken in one life is
// found in the next: the invariants at the end of section 4 of the Raft reference.
//
//   election safety            one leader for each term
//   log matching               an entry is the same wherever it stands, and so is the one before it
//   leader completeness        a leader's log has every entry committed in an earlier term
//   state-machine equality     the state after an entry is the same on every node
//   one vote                   for each node and term, whatever crashes come between
//   no ack before durable      what a message promises is on the disk of its sender
//   applied <= durable         no state machine is ahead of its node's log
//   fates                      an acknowledged write is there for ever, a dropped one never, none twice
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "raft/core/message.h"
#include "raft/log/log.h"
#include "tests/sim/counters.h"
#include "tests/sim/trace.h"

namespace dqlite::raft::sim {

uint64_t mix(uint64_t hash, uint64_t value);
uint64_t hash_of(const Entry& entry);

// A client's write, as the payload of an entry.
struct Write {
  uint64_t id = 0;      // 0: the payload of a node's own command
  uint64_t stream = 0;  // 0: depends on nothing
  EntryId base;         // the newest entry of the stream when the write was computed
};
Bytes encode(const Write& write, size_t padding);
Write decode_write(const SharedBytes& payload);

class Book {
 public:
  explicit Book(Trace& trace) : trace_(trace) {}

  // The first violation wins.
  void fail(const std::string& what);
  [[nodiscard]] const std::string& violation() const { return violation_; }

  // --- entries ---
  void logged(int host, const Entry& entry, Term previous_term);
  void committed(int host, EntryId entry, Term known_in);
  void applied(int host, const Entry& entry, uint64_t state_hash);
  void became_leader(int host, Term term, const Log& log);
  [[nodiscard]] uint64_t state_hash(Index index) const;  // 0: nobody was there yet
  [[nodiscard]] Index highest_commit() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  [[nodiscard]] size_t commit_count() const { return committed_.size(); }
  [[nodiscard]] Index highest_acked() const { return highest_acked_; }

  // --- promises; `log` is the sender's, whose memory says what is synced ---
  void sent(int host, const Message& message, const Log& log);

  // --- writes ---
  uint64_t new_write() { return next_write_++; }
  void acked(uint64_t write, Index index);
  void dropped(uint64_t write);  // certainly without effect
  // At the end, when a majority has applied everything up to `applied`.
  void check_acked_are_there(Index applied);
  [[nodiscard]] size_t acked_count() const { return acked_.size(); }

  // Of the newest term in which `node` was seen to vote or campaign, or to answer.
  [[nodiscard]] Term promised_term(NodeId node) const;

 private:
  struct Known {
    uint64_t hash;
    Term previous_term;
    uint64_t write;
  };
  struct Committed {
    Term term;
    Term known_in;  // the term of the node that was first seen to know it
  };
  void check_vote(NodeId node, Term term, NodeId candidate, const Log& log);

  Trace& trace_;
  std::string violation_;
  std::map<Term, int> leaders_;
  std::map<EntryId, Known> entries_;
  std::map<Index, Committed> committed_;
  std::map<uint64_t, Index> committed_writes_;
  std::map<Index, uint64_t> states_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;
  std::map<NodeId, Term> promised_terms_;
  std::map<uint64_t, Index> acked_;
  std::unordered_map<uint64_t, bool> dropped_;
  uint64_t next_write_ = 1;
  Index highest_acked_ = 0;
};

}  // namespace dqlite::raft::sim
