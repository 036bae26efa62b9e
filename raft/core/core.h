// The Raft consensus of one member, as a pure state machine.
//
// No clock, thread, socket, file, random device or log line of its own. Time comes in as ticks, randomness as
// a seed, messages and disk completions as calls; what must be stored, sent, applied and answered comes out
// of `take()`. The node's loop thread and the simulator drive the same class; it is used by one thread at a
// time.
//
// The driver's duties, after any number of inputs:
//   1. `Output out = core.take()`
//   2. hand `out.persist` to the disk, in order; when a token is durable: `core.persisted(token)`
//   3. send `out.send` at once, and each persist's `after` messages only when that persist is durable
//   4. apply entries up to `out.apply_to`, in order; `core.applied(index)` when done. They are in `cached`
//      until the next input, or else in the log
//   5. answer proposals, reads, transfers and log reads
//
// What it implements: pre-vote whose rejection carries the voter's own term, vote withholding, check-quorum,
// leadership transfer, learners, one membership change at a time with the five conditions (raft.md 1.5),
// commit by count only in the leader's own term, ReadIndex with numbered rounds, also for the other members, windows by count and bytes,
// term-based back-up on mismatch, the leader's disk in parallel with its sends, tokens against the append ABA
// race, compare-and-append for proposals, a leader with a hung disk that stops its heartbeats.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/configuration.h"
#include "raft/core/message.h"
#include "raft/core/types.h"

namespace dqlite::raft {

struct CoreOptions {
  NodeId self = 0;
  uint64_t seed = 1;  // of the election time-outs
  int heartbeat_ticks = 2;
  int election_ticks = 20;  // the shortest time-out; the longest is just under twice that
  // A leader whose disk has not finished a write for longer falls silent, so that another one can lead.
  int disk_patience_ticks = 20;
  // A leader that has entries to commit and has made no step towards it for so many of the shortest election
  // time-outs steps down: others may be better placed.
  int stall_timeouts = 20;
  size_t max_message_bytes = 1 << 20;        // entries of one AppendRequest; a single larger entry goes alone
  size_t max_inflight_messages = 64;         // per follower
  size_t max_inflight_bytes = 16 << 20;      // per follower
  size_t max_uncommitted_bytes = 512 << 20;  // proposals beyond are refused at admission
  // Joiners get a vote by themselves while there are fewer voters.
  size_t max_voters = std::numeric_limits<size_t>::max();
  // The second voter comes only together with a third: of two voters either one stops the cluster [C1].
  bool avoids_two_voters = false;
  // A follower learns what is committed with the next entries, a heartbeat or `tell_commit`; else by a
  // message of its own at once, which costs each commit a second round of messages.
  bool waits_to_tell_commit = false;
  // Where this life of the member begins to number its questions to leaders. Never in a range that an earlier
  // life used: a random number will do.
  uint64_t first_question = 1;
  size_t cache_bytes = 16 << 20;  // of what was handed out to be applied: for followers that lag a little
};

// What the disk gave back at the start (raft/log).
struct Recovered {
  HardState hard_state;
  LogStart start;
  // The terms of the entries in the log, as runs: (first index of the run, term).
  std::vector<EntryId> term_runs;
  Index last_index = 0;  // start.last.index for an empty log
  // The configuration entries in the log, ascending.
  std::vector<std::pair<Index, Configuration>> configurations;
  // Known to be committed: the highest durable commit index, at least start.last.index.
  Index commit = 0;
  // Not 0: the disk lost entries that this member may have acknowledged. It is mute until its log holds an
  // entry of this term or a later one; see `Core::State::is_mute`. Above every term this member took part in,
  // and stored as its term already.
  Term mute_below = 0;
};

using ProposalId = uint64_t;

// Names the entry that a proposal's content stands on [A1]. A stream is one database.
struct Base {
  uint64_t stream = 0;
  EntryId newest;
};

struct Proposal {
  ProposalId id = 0;
  // The term in which its content was computed; 0 for a content that depends on nothing. The core appends
  // only if it leads in this very term, and every base is the newest entry of its stream: the one this leader
  // appended last for it in this term or, if none, one from before this term's no-op, or the entry that
  // created the stream (a stream's name is that entry's index). One refusal refuses everything of the term
  // that names a refused or later base, since their bases do not exist.
  Term term = 0;
  std::vector<Base> bases{};
  SharedBytes payload;
};

// Something to make durable. Persists are carried out in order; several may share one sync.
struct Persist {
  uint64_t token = 0;                   // ascending, never reused
  std::optional<HardState> hard_state;  // before the entries
  Index truncate_from = 0;              // remove this and all later entries first; 0: nothing
  std::vector<Entry> entries;           // contiguous
  Index commit = 0;                     // the commit index known now, recorded with the batch [A2]
  std::vector<Message> after;           // to be sent when durable
};

struct ProposalOutcome {
  ProposalId id = 0;
  Status status;  // ok: appended as `entry`; else why it was refused, having had no effect
  EntryId entry;
};

struct ReadOutcome {
  uint64_t id = 0;
  Status status;  // ok: leadership was confirmed after the read came in; wait until `index` is applied
  Index index = 0;
};

// A follower lags behind the cache: read entries from the log, then `core.entries_read`.
struct LogReadRequest {
  NodeId peer = 0;
  Index from = 0;
  Index to = 0;  // inclusive
  size_t max_bytes = 0;
};

// A follower lags behind the log: send it a snapshot, then `core.snapshot_sent`. Chunks go out only while
// this node leads the term of the request; when it does not lead any more, the stream is dropped.
struct SnapshotRequest {
  NodeId peer = 0;
};

struct LeadershipEvent {
  bool gained = false;
  Term term = 0;
  // Gained: the no-op of this term; the node may write when it is applied. Lost: 0.
  Index noop = 0;
};

struct Output {
  std::vector<Persist> persist;
  std::vector<Message> send;
  Index apply_to = 0;                       // 0: nothing new
  std::vector<LeadershipEvent> leadership;  // in order
  std::vector<ProposalOutcome> proposals;
  std::vector<ReadOutcome> reads;
  std::vector<LogReadRequest> log_reads;
  std::vector<SnapshotRequest> snapshots;
  std::vector<Message> snapshot_chunks;  // accepted for this term: store, then answer with `SnapshotAck`
  std::vector<Message> snapshot_acks;    // to the sender of the stream
  std::optional<Status> transfer;        // a transfer this node began ended so
  bool configuration_changed = false;    // see `configuration()`
  bool repaired = false;                 // what `Recovered::mute_below` asked for is on the disk: once
  std::optional<Status> poisoned;        // an invariant is broken: stop acknowledging for good, and say why

  [[nodiscard]] bool empty() const;
};

struct PeerStatus {
  Member member;
  bool is_leader = false;
  Index match = 0;               // leader only, else 0
  int ticks_since_contact = -1;  // -1: never, or not known here
  bool is_caught_up = false;     // leader only
};

class Core {
 public:
  Core(const CoreOptions& options, const Recovered& recovered);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- inputs ---
  void tick();
  void step(const Message& message);
  // Any bytes of `peer` arrived, of a message that is not whole yet: counts as contact [B13].
  void heard_from(NodeId peer);
  void persisted(uint64_t token);
  // Entries up to `index` are applied. Before the first `take`: what the state machine's durable state holds
  // already, which is committed even if the log does not say so.
  void applied(Index index);
  void propose(Proposal proposal);
  // Leader: the next `take` tells every follower what is committed; see CoreOptions::waits_to_tell_commit.
  void tell_commit();
  // A ReadIndex round begun now confirms that whoever leads still led when this was called. `term` not 0: that
  // is this very node, leading this term, or the read fails at once. `term` 0: any leader; a node that does not
  // lead asks the one that does, again and again, for two election time-outs.
  void read(uint64_t id, Term term);
  // Leader only. `target` 0: the most up-to-date voter that would lead. Ends in `Output::transfer`.
  void transfer(NodeId target);
  // The first entry of a cluster: a configuration of this node alone, committed like any entry. Only on an
  // empty log whose start is 0, or an adopted start whose configuration is empty.
  Status bootstrap(uint64_t instance, const std::string& address);
  // Leader only, one at a time: returns a refusal, or ok with the index of the configuration entry.
  Result<Index> add_member(uint64_t instance,
                           const std::string& address);  // as a standby; promoted when caught up
  // To kVoter: at once if it has caught up, else the member becomes a standby that is promoted when it has.
  // To any other role: stays there until the next call.
  // `pinned`: by hand, so that the role keeper leaves it alone.
  Result<Index> change_role(NodeId id, MemberRole role, bool pinned = false);
  Result<Index> change_address(NodeId id, const std::string& address);
  Result<Index> remove_member(NodeId id);
  void entries_read(NodeId peer,
                    std::vector<Entry> entries);  // the answer to a LogReadRequest; empty: unreadable
  void snapshot_sent(NodeId peer, EntryId last, bool ok);
  // A snapshot became durable here and the log starts behind it, empty. From the chunk with `done` on (which
  // comes out only when no entry is on its way to the disk) until one of these two calls, no entry is
  // accepted, so the log may be reset without a race.
  void snapshot_installed(const LogStart& start);
  // The stream whose last chunk came out was given up: its checksum was wrong, or the state machine refused
  // it.
  void snapshot_failed();
  // The log's prefix up to `start.last` was dropped.
  void compacted(const LogStart& start);
  // This member is to go on alone, in a cluster of its own: no message of another member may be handed in any more.
  // Keeps all of its log, also what is not known to be committed, and appends the configuration of this member alone in
  // a new term; it leads soon after. Returns the index of that entry. Not while this member leads, installs a snapshot
  // or is mute.
  Result<Index> become_alone(uint64_t instance, const std::string& address);
  // A node with a database in doubt, or still without a cluster id of its own, votes and stores but does not
  // campaign.
  void set_may_campaign(bool may_campaign);
  void peer_unreachable(NodeId peer);

  // --- outputs ---
  Output take();

  // --- views ---
  [[nodiscard]] Role role() const;
  [[nodiscard]] Term term() const;
  [[nodiscard]] NodeId self() const;
  [[nodiscard]] NodeId leader() const;  // 0: unknown
  [[nodiscard]] Index commit_index() const;
  [[nodiscard]] bool has_commit_to_tell() const;  // a follower could know more to be committed
  [[nodiscard]] Index applied_index() const;
  [[nodiscard]] Index durable_index() const;  // entries at or below are on this node's disk
  [[nodiscard]] EntryId last() const;
  [[nodiscard]] bool is_mute() const;                        // its log was damaged and is not repaired yet
  [[nodiscard]] bool is_installing() const;                  // a snapshot takes the place of its log
  [[nodiscard]] const Configuration& configuration() const;  // the newest in the log
  [[nodiscard]] const Configuration& committed_configuration() const;
  // The last configuration committed at or below `index`, and its term: what a LogStart at `index` needs.
  [[nodiscard]] Result<LogStart> log_start_at(Index index) const;
  [[nodiscard]] std::vector<PeerStatus> peers() const;
  // Entries from the cache; stops where the cache has a gap (the rest is in the log).
  [[nodiscard]] std::vector<Entry> cached(Index from, Index to) const;

  // Leader: it sends to this one, or still tells it that it was removed.
  [[nodiscard]] bool has_follower(NodeId id) const;
  // The cluster agreed to remove it: by its id it should be in the committed configuration, and is not.
  [[nodiscard]] bool was_removed(NodeId id) const;
  // Has answered this leader within an election time-out, or is this member itself.
  [[nodiscard]] bool is_in_contact(NodeId id) const;

  // Checks every invariant that one member alone can know; a sentence for the first that is broken.
  [[nodiscard]] Status check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dqlite::raft
