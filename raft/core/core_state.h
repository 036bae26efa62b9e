// The state of one member, and the steps that change it. Private to raft/core; see core.h for what it
// promises.
//
// The functions are grouped by the file that defines them. Rules that hold between any two inputs are checked
// by `check_invariants` (invariants.cc). After `poison` every input is ignored and nothing more comes out.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/asked_reads.h"
#include "raft/core/configuration_history.h"
#include "raft/core/core.h"
#include "raft/core/log_window.h"
#include "raft/core/progress.h"
#include "raft/core/random.h"
#include "raft/core/read_rounds.h"
#include "raft/core/storage_queue.h"
#include "raft/core/stream_fence.h"

namespace dqlite::raft {

// A leadership transfer this node began. It goes on after the node stepped down, until the next leader is
// known.
struct Transfer {
  NodeId target = 0;
  uint64_t began_at = 0;
};

struct Core::State {
  State(const CoreOptions& core_options, const Recovered& recovered);

  // --- core.cc: dispatch and output ---
  void step(const Message& message);
  void tick();
  Output take();
  void persisted(uint64_t token);
  void applied_to(Index index);
  void evict_handed_out();
  void poison(const Status& reason);
  void send(NodeId to, Term message_term, Body body);
  // A promise: sent when the term, the vote and entries up to `index` are durable; at once if they are.
  void answer(NodeId to, Term message_term, Index index, Body body);
  void commit_to(Index index);
  [[nodiscard]] bool can_learn_commit(const Progress& peer) const;
  void set_configuration_changed() { out.configuration_changed = true; }

  // --- election.cc: terms, votes, campaigns ---
  void become_follower(Term new_term, NodeId new_leader);
  void become_leader();
  void campaign_pre_vote();
  void campaign(bool transfer_asked);
  [[nodiscard]] bool may_campaign_now() const;
  [[nodiscard]] bool is_mute() const { return mute_below != 0; }
  void maybe_end_mute();
  [[nodiscard]] bool is_sole_voter() const;
  [[nodiscard]] bool hears_leader() const;
  [[nodiscard]] bool was_removed(NodeId id) const;
  [[nodiscard]] bool has_quorum(const std::function<bool(NodeId)>& agrees) const;
  void count_votes();
  void handle_vote_request(const Message& message, const VoteRequest& request);
  void handle_vote_response(const Message& message, const VoteResponse& response);
  void tick_follower();
  void reset_election_timer();

  // --- follower.cc: what a leader asks of this member ---
  bool follow(NodeId from);
  void handle_append(const Message& message, const AppendRequest& request);
  void reject_append(NodeId to, const AppendRequest& request);
  void accept_entries(NodeId from, const AppendRequest& request);
  bool append_as_follower(const std::vector<Entry>& entries, size_t first);
  void handle_timeout_now(const Message& message);
  void handle_chunk(const Message& message, const SnapshotChunk& chunk);
  void release_held_chunk();
  void snapshot_installed(const LogStart& start);
  void snapshot_failed();

  // --- leader.cc: duties of a leader by the clock, and the commit rule ---
  void tick_leader();
  void check_quorum();
  void broadcast_heartbeats();
  [[nodiscard]] bool disk_hangs() const;
  [[nodiscard]] bool is_stalled();
  EntryId append_as_leader(EntryKind kind, SharedBytes payload);
  void advance_commit();
  void leave_if_removed();
  void step_down(Term led);

  // --- replication.cc: entries to followers ---
  void sync_peers();
  void replicate();
  void replicate_to(NodeId id, Progress& peer);
  void send_entries(NodeId id, Progress& peer, std::vector<Entry> entries);
  void send_heartbeat(NodeId id, Progress& peer);
  void request_log_read(NodeId id, Progress& peer);
  [[nodiscard]] bool window_is_full(const Progress& peer) const;
  [[nodiscard]] bool is_in_contact(const Progress& peer) const;
  void note_contact(Progress& peer);
  void handle_append_response(const Message& message, const AppendResponse& response);
  void entries_read(NodeId id, std::vector<Entry> entries);
  void snapshot_sent(NodeId id, EntryId last, bool ok);

  // --- proposals.cc ---
  void propose(Proposal proposal);
  [[nodiscard]] Status admit(const Proposal& proposal) const;
  Status bootstrap(uint64_t instance, const std::string& address);

  // --- membership.cc ---
  Result<Index> add_member(uint64_t instance, const std::string& address);
  Result<Index> change_role(NodeId id, MemberRole wanted, bool pinned);
  Result<Index> change_address(NodeId id, const std::string& address);
  Result<Index> remove_member(NodeId id);
  Result<Index> become_alone(uint64_t instance, const std::string& address);
  [[nodiscard]] Status may_change_membership() const;
  Result<Index> change_configuration(Configuration next);
  void note_catch_up(Progress& peer);
  [[nodiscard]] bool is_caught_up(NodeId id) const;
  void maybe_promote();
  [[nodiscard]] bool wants_voter() const;
  [[nodiscard]] bool would_be_second() const;
  [[nodiscard]] bool is_ready_to_vote(const Member& member) const;

  // --- read_index.cc ---
  void read(uint64_t id, Term in_term);
  void begin_read_round();
  void confirm_reads();
  void handle_read_request(const Message& message, const ReadRequest& request);
  void fail_own_reads(Term led);
  void ask_leader();
  void handle_read_response(const ReadResponse& response);
  void give_up_asked_reads();

  // --- transfer.cc ---
  void begin_transfer(NodeId target);
  void maybe_send_timeout_now();
  void tick_transfer();
  void end_transfer(const Status& status);
  [[nodiscard]] NodeId most_up_to_date_voter() const;

  // --- invariants.cc ---
  [[nodiscard]] Status check_invariants() const;
  [[nodiscard]] Status check_leader_invariants() const;

  [[nodiscard]] const Configuration& configuration() const { return configurations.newest(); }

  CoreOptions options;
  Random random;
  uint64_t now = 0;      // ticks
  bool started = false;  // something was taken

  Term term = 0;
  NodeId vote = 0;
  Role role = Role::kFollower;
  NodeId leader = 0;

  LogWindow log;
  ConfigurationHistory configurations;
  StorageQueue storage;
  Index commit = 0;
  bool commit_asked = false;  // by `tell_commit`, for the next `take`
  Index applied = 0;
  Index apply_told = 0;  // the highest `Output::apply_to` so far

  // Elections.
  bool may_campaign = true;
  Term mute_below = 0;  // see `maybe_end_mute`; 0: not mute
  uint64_t leader_heard_at = 0;
  uint64_t election_began_at = 0;  // of the present time-out
  uint64_t election_timeout = 0;
  std::map<NodeId, bool> votes;

  // A snapshot that is being installed: no entries meanwhile. The last chunk is held until no entry is being
  // written.
  bool installing = false;
  std::optional<Message> held_chunk;

  // Leader only.
  std::map<NodeId, Progress> peers;
  Index noop = 0;
  uint64_t quorum_checked_at = 0;
  uint64_t heartbeat_at = 0;
  uint64_t progress_at = 0;  // when an entry was last stored anywhere, or nothing waited to be
  size_t uncommitted_bytes = 0;
  StreamFence fence;
  ReadRounds reads;

  // Everybody else: reads that the leader is asked about.
  AskedReads asked;

  std::optional<Transfer> transfer;

  Output out;
  std::optional<Status> fault;
  bool fault_told = false;
};

}  // namespace dqlite::raft
