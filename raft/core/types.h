// The nouns of the consensus: terms, indexes, entries, members. Plain data, no behaviour beyond comparison.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "codec/bytes.h"

namespace dqlite::raft {

using Term = uint64_t;   // 0: before any election
using Index = uint64_t;  // position in the log, from 1; 0: before the first entry
// The index of the configuration entry that added the member (1 for the node that bootstrapped), so that an
// id is never used twice in one cluster. 0: no member yet.
using NodeId = uint64_t;

// Names one entry for good: two logs that hold the same (index, term) hold the same entry there.
struct EntryId {
  Index index = 0;
  Term term = 0;
  auto operator<=>(const EntryId&) const = default;
};

// For sentences: "12 (term 3)".
inline std::string text(EntryId id) {
  return std::to_string(id.index) + " (term " + std::to_string(id.term) + ")";
}

enum class EntryKind : uint8_t {
  kNoop = 1,           // a leader's first entry, without payload
  kConfiguration = 2,  // payload: a Configuration (raft/core/configuration.h)
  kCommand = 3,        // payload: the state machine's, opaque here
};

struct Entry {
  Index index = 0;
  Term term = 0;
  EntryKind kind = EntryKind::kNoop;
  SharedBytes payload;  // null: empty

  [[nodiscard]] EntryId id() const { return {index, term}; }
  [[nodiscard]] size_t size_bytes() const { return payload ? payload->size() : 0; }
};

// Of one cluster, and drawn when it begins. Every greeting and every segment of the log carries it.
struct ClusterId {
  uint64_t high = 0;
  uint64_t low = 0;
  [[nodiscard]] bool is_set() const { return (high | low) != 0; }
  [[nodiscard]] std::string text() const;  // 32 hexadecimal digits
  bool operator==(const ClusterId&) const = default;
};

// Durable before any answer that depends on it.
struct HardState {
  Term term = 0;
  NodeId vote = 0;  // 0: none in this term
  auto operator<=>(const HardState&) const = default;
};

enum class MemberRole : uint8_t {
  kVoter = 1,
  kStandby = 2,  // gets the log, has no vote: a joiner that catches up is one
  kSpare = 3,    // gets nothing
};

struct Member {
  NodeId id = 0;
  // Drawn at random by the node before it first asks to join: finds a repeated request, and a copied
  // directory.
  uint64_t instance = 0;
  std::string address;  // host:port as other members reach it
  MemberRole role = MemberRole::kStandby;
  // A standby that wants to vote: the leader makes it a voter when it has caught up
  // (raft/core/membership.cc).
  bool promote = false;
  bool pinned = false;  // the role was given by hand: the leader does not change it by itself
  bool operator==(const Member&) const = default;
};

// What may be asked of the members of a cluster (Node::change_members), and of which: by id or, with id 0, by
// address.
enum class MemberAction : uint8_t {
  kTransfer = 1,  // to lead; without id and address: anybody but the present leader
  kRemove = 2,
  kSetRole = 3,
};

struct MemberChange {
  MemberAction action = MemberAction::kTransfer;
  NodeId id = 0;
  std::string address;
  MemberRole role = MemberRole::kVoter;  // kSetRole
};

// For sentences that end the life of a node directory: ids are never used twice, so the way back is a new id.
inline constexpr const char* kJoinAnew =
    "remove the member with dqlite_remove() on another node, empty this node's directory, and let it join "
    "again (the same address will do)";

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

}  // namespace dqlite::raft
