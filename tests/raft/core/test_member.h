// One member of a cluster in memory: what its disk holds, what its state machine has applied, and its present
// life.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "raft/core/core.h"

namespace dqlite::raft {

// What one member's disk holds. `entries` begin right behind `start.last`.
struct TestDisk {
  HardState hard_state;
  LogStart start;
  std::vector<Entry> entries;
  Index commit = 0;
  Term mute_below = 0;

  [[nodiscard]] Index last_index() const { return start.last.index + entries.size(); }
  [[nodiscard]] Term term_at(Index index) const;
  void write(const Persist& persist);
  // The entries from `from` on are gone, and the member has seen it.
  void rot(Index from);
  [[nodiscard]] Recovered recovered() const;
};

// A state machine that can tell whether two members applied the same: a running hash, and the newest entry
// per stream.
struct TestMachine {
  EntryId last;
  uint64_t hash = 0;
  std::map<uint64_t, EntryId> streams;
};

struct TestMember {
  NodeId id = 0;
  CoreOptions options;
  TestDisk disk;
  TestMachine durable_machine;  // survives a crash

  // One life; gone with a crash.
  std::unique_ptr<Core> core;
  std::vector<Entry> log;  // everything behind disk.start as the core sees it: on disk or on its way
  std::deque<Persist> writes;
  TestMachine machine;
  Index apply_to = 0;
  std::vector<LogReadRequest> log_reads;
  size_t log_reads_asked = 0;
  std::optional<Message> install;
  // What was last seen.
  Term seen_term = 0;
  Index seen_commit = 0;
  bool seen_leading = false;

  // Outcomes, for the test to look at.
  std::vector<LeadershipEvent> leadership;
  std::vector<ProposalOutcome> proposals;
  std::vector<ReadOutcome> reads;
  std::optional<Status> transfer;
  std::optional<Status> poisoned;
  std::vector<SnapshotRequest> snapshots;

  // Scenarios: writes reach the disk at once unless this is set.
  bool disk_held = false;
  bool apply_held = false;
};

}  // namespace dqlite::raft
