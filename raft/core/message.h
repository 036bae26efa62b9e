// What members say to each other about the consensus. Plain data; the bytes are in raft/net/wire.h.
//
// Every message carries its sender's term. Messages may be lost, repeated and reordered.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "raft/core/types.h"

namespace dqlite::raft {

struct VoteRequest {
  bool pre_vote = false;  // `term` of the message is then the term the sender would campaign in
  bool transfer = false;  // asked by the leader itself (TimeoutNow): voters with a live leader answer too
  EntryId last;           // the candidate's newest entry
};

struct VoteResponse {
  bool pre_vote = false;
  bool granted = false;  // a granted pre-vote carries the asked term; a rejection the voter's own
};

struct AppendRequest {
  EntryId previous;            // the entry before the first of `entries`
  Index commit = 0;            // the leader's commit index
  uint64_t read_round = 0;     // the newest ReadIndex round begun; echoed
  std::vector<Entry> entries;  // contiguous, ascending; empty: heartbeat or probe
};

struct AppendResponse {
  bool rejected = false;
  // Accepted: durable and equal to the leader's up to here. Rejected: the `previous.index` that was refused,
  // so that the leader knows a late rejection from a fresh one.
  Index match = 0;
  EntryId hint{};  // rejected: largest entry at or below `previous` that may match
  Index last = 0;  // the follower's newest index
  uint64_t read_round = 0;
  // It would not campaign, not even if asked to: in doubt of its state, with a full disk, or with a
  // log that is not repaired yet.
  bool cannot_lead = false;
};

// The leader asks a member to campaign at once, without pre-vote.
struct TimeoutNow {};

// One piece of a snapshot's byte stream. The stream is the state machine's own; Raft adds where it stands.
// Like an AppendRequest it tells the receiver who leads the message's term: sent only while the sender leads
// that very term.
struct SnapshotChunk {
  uint64_t stream = 0;  // names one sending of one snapshot
  EntryId last;         // the log position it stands for
  Bytes configuration;  // encoded, with its index
  Index configuration_index = 0;
  uint64_t offset = 0;
  uint64_t total = 0;  // the stream's whole length
  // Null if `held`: the receiver said that it has a piece with this checksum here.
  SharedBytes data;
  bool held = false;
  uint64_t data_checksum = 0;   // codec::checksum of the piece
  uint64_t total_checksum = 0;  // of the whole stream; set in the last chunk only
  bool done = false;
};

struct SnapshotAck {
  uint64_t stream = 0;
  uint64_t next_offset = 0;  // bytes stored so far
  bool installed = false;    // durable, and the log starts behind it
  bool failed = false;       // the receiver gave this stream up: begin a new one
  // Said once, at the stream's beginning: codec::checksum of each piece of what the receiver holds already, of
  // a stream that was cut off or of its own older state.
  std::vector<uint64_t> held{};
};

// Asks the leader for a ReadIndex round begun now. `number` is never used twice by one member, in all its
// lives: a late answer must not serve a later question.
struct ReadRequest {
  uint64_t number = 0;
};

// The round that this question waited for is confirmed. A node that does not lead does not answer.
struct ReadResponse {
  uint64_t number = 0;
  Index index = 0;
};

using Body = std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse, TimeoutNow, SnapshotChunk,
                          SnapshotAck, ReadRequest, ReadResponse>;

struct Message {
  NodeId from = 0;
  NodeId to = 0;
  Term term = 0;
  Body body;
};

}  // namespace dqlite::raft
