// The members of a cluster, as one immutable value that a log entry carries.
//
// A configuration takes effect when its entry is appended and is rolled back when the entry is truncated.
// Changes are made one voter at a time (Ongaro's dissertation, 4.1), so that any two consecutive
// configurations share a majority; the five conditions of a change are checked in raft/core/membership.cc.
// Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "codec/bytes.h"
#include "codec/status.h"
#include "raft/core/types.h"

namespace dqlite::raft {

struct Configuration {
  std::vector<Member> members;  // ascending by id

  [[nodiscard]] const Member* find(NodeId id) const;
  [[nodiscard]] const Member* find_instance(uint64_t instance) const;
  [[nodiscard]] bool is_voter(NodeId id) const;
  [[nodiscard]] size_t voter_count() const;
  [[nodiscard]] size_t quorum() const { return voter_count() / 2 + 1; }
  bool operator==(const Configuration&) const = default;
};

// "voter", "standby" or "spare".
const char* role_name(MemberRole role);
// For sentences: "member 3 (127.0.0.1:9001)", and "1 (127.0.0.1:9001), 3 (127.0.0.1:9003)".
std::string text(const Member& member);
std::string text(const Configuration& configuration);

// Format: u8 version (1), u32 count, then per member u64 id, u64 instance, u8 role, u8 flags
// (1: promote, 2: pinned), text address.
Bytes encode(const Configuration& configuration);
Result<Configuration> decode_configuration(ByteView bytes);

// The state that precedes the first entry of a log: what a snapshot or a compaction leaves in its place.
struct LogStart {
  EntryId last;                 // the newest entry that is no longer in the log; 0/0 for a whole log
  Configuration configuration;  // the last one COMMITTED at or below `last` (raft.md 1.5 e)
  Index configuration_index = 0;
};

}  // namespace dqlite::raft
