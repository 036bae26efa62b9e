#include "raft/core/core.h"

#include <algorithm>
#include <limits>

#include "raft/core/core_state.h"

namespace dqlite::raft {

bool Output::empty() const {
  return persist.empty() && send.empty() && apply_to == 0 && leadership.empty() && proposals.empty() &&
         reads.empty() && log_reads.empty() && snapshots.empty() && snapshot_chunks.empty() &&
         snapshot_acks.empty() && !transfer && !configuration_changed && !repaired && !poisoned;
}

Core::State::State(const CoreOptions& core_options, const Recovered& recovered)
    : options(core_options),
      // Members that were given the same seed must not time out together.
      random(member_seed(core_options.seed, core_options.self)),
      term(recovered.hard_state.term),
      vote(recovered.hard_state.vote),
      log(recovered.start.last, recovered.term_runs, recovered.last_index),
      configurations(recovered.start, recovered.configurations),
      storage(recovered.hard_state, recovered.last_index),
      commit(std::max(recovered.commit, recovered.start.last.index)),
      applied(recovered.start.last.index),
      apply_told(recovered.start.last.index),
      mute_below(recovered.mute_below),
      asked(core_options.first_question) {
  if (recovered.last_index < commit) {
    poison({Code::kPoisoned, "the log ends at index " + std::to_string(recovered.last_index) +
                                 ", but index " + std::to_string(commit) +
                                 " is known to be committed: entries were lost; " + kJoinAnew});
    return;
  }
  // A log's start may come from elsewhere (a snapshot, an adopted state) and run ahead of the stored term;
  // its own entries may not.
  if (term < log.last().term && log.last_index() > log.start().index) {
    poison({Code::kPoisoned, "the log's last entry is " + text(log.last()) + ", but the stored term is " +
                                 std::to_string(term) + ": a vote may be forgotten; " + kJoinAnew});
    return;
  }
  if (term < mute_below) {
    poison({Code::kPoisoned, "this member's log was damaged, and it must take part in no term below " +
                                 std::to_string(mute_below) + ", but the stored term is " +
                                 std::to_string(term)});
    return;
  }
  if (term < log.start().term) become_follower(log.start().term, 0);
  if (!configuration().members.empty()) set_configuration_changed();
  reset_election_timer();
}

void Core::State::step(const Message& message) {
  if (fault || message.to != options.self || message.from == options.self || message.from == 0) return;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    return handle_vote_request(message, *request);
  }
  if (const auto* response = std::get_if<VoteResponse>(&message.body)) {
    return handle_vote_response(message, *response);
  }
  const bool from_leader = std::holds_alternative<AppendRequest>(message.body) ||
                           std::holds_alternative<SnapshotChunk>(message.body) ||
                           std::holds_alternative<TimeoutNow>(message.body);
  if (message.term < term) {
    // A leader of the past that nobody else tells: with pre-vote and check-quorum, this answer is what lets
    // it (and a member stuck at a higher term) join the others again.
    if (from_leader && !std::holds_alternative<TimeoutNow>(message.body)) {
      answer(message.from, term, 0, AppendResponse{.rejected = true, .last = log.last_index()});
    }
    return;
  }
  if (message.term > term) become_follower(message.term, from_leader ? message.from : 0);
  if (fault) return;

  if (const auto* append = std::get_if<AppendRequest>(&message.body)) handle_append(message, *append);
  if (const auto* response = std::get_if<AppendResponse>(&message.body))
    handle_append_response(message, *response);
  if (std::holds_alternative<TimeoutNow>(message.body)) handle_timeout_now(message);
  if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body)) handle_chunk(message, *chunk);
  if (const auto* request = std::get_if<ReadRequest>(&message.body)) handle_read_request(message, *request);
  if (const auto* response = std::get_if<ReadResponse>(&message.body)) handle_read_response(*response);
  if (std::holds_alternative<SnapshotAck>(message.body)) {
    if (auto peer = peers.find(message.from); peer != peers.end()) note_contact(peer->second);
    progress_at = now;
    out.snapshot_acks.push_back(message);
  }
}

void Core::State::tick() {
  if (fault) return;
  now++;
  if (role == Role::kLeader) {
    tick_leader();
  } else {
    tick_follower();
  }
  tick_transfer();
  give_up_asked_reads();
}

Output Core::State::take() {
  if (fault) {
    Output last;
    if (!std::exchange(fault_told, true)) last.poisoned = fault;
    return last;
  }
  started = true;
  if (role == Role::kLeader) {
    begin_read_round();
    replicate();
  } else {
    ask_leader();
  }
  commit_asked = false;
  maybe_end_mute();
  release_held_chunk();
  out.persist = storage.take(commit, now);
  // Nothing is applied here that this member's own disk could lose: after a crash the databases would be
  // ahead of the log (raft.md 1.11).
  const Index ready = std::min(commit, storage.durable_index());
  if (ready > apply_told) out.apply_to = apply_told = ready;
  return std::exchange(out, {});
}

void Core::State::persisted(uint64_t token) {
  if (fault) return;
  storage.persisted(token);
  if (role == Role::kCandidate) count_votes();
  if (role == Role::kLeader) {
    progress_at = now;
    advance_commit();
  }
  evict_handed_out();
}

void Core::State::applied_to(Index index) {
  if (fault) return;
  // Before the first output this is what the state machine brought along, and may be known to be committed
  // there only.
  if (index > commit && !started && index <= storage.durable_index()) commit_to(index);
  if (index > std::min(commit, storage.durable_index())) {
    return poison({Code::kPoisoned, "index " + std::to_string(index) + " was applied, but only " +
                                        std::to_string(commit) + " is committed and " +
                                        std::to_string(storage.durable_index()) + " durable"});
  }
  applied = std::max(applied, index);
  apply_told = std::max(apply_told, applied);
  evict_handed_out();
}

// What the driver was told to apply it has taken, or reads from the log, where it is durable: a state machine
// that lags must not keep it in memory a second time. Not from `take`, after which the driver asks for it.
void Core::State::evict_handed_out() {
  log.evict(std::min(apply_told, storage.durable_index()), options.cache_bytes);
}

void Core::State::poison(const Status& reason) {
  if (fault) return;
  fault = reason;
  role = Role::kFollower;
  leader = 0;
  peers.clear();
}

void Core::State::send(NodeId to, Term message_term, Body body) {
  out.send.push_back({options.self, to, message_term, std::move(body)});
}

void Core::State::answer(NodeId to, Term message_term, Index index, Body body) {
  if (auto* response = std::get_if<AppendResponse>(&body)) response->cannot_lead = !may_campaign || is_mute();
  if (storage.is_durable(index)) return send(to, message_term, std::move(body));
  storage.after({options.self, to, message_term, std::move(body)});
}

void Core::State::commit_to(Index index) {
  if (index <= commit) return;
  if (role == Role::kLeader) {
    for (Index i = std::max(commit + 1, noop); i <= index; i++) {
      // Not committed yet, so never handed out to be applied, and still in memory.
      if (const Entry* entry = log.cached(i)) {
        uncommitted_bytes -= std::min(uncommitted_bytes, entry->size_bytes());
      }
    }
  }
  commit = index;
}

// --- the public face ---

Core::Core(const CoreOptions& options, const Recovered& recovered)
    : state_(std::make_unique<State>(options, recovered)) {}
Core::~Core() = default;

void Core::tick() {
  state_->tick();
}
void Core::step(const Message& message) {
  state_->step(message);
}

void Core::heard_from(NodeId peer) {
  State& s = *state_;
  if (s.fault || peer == 0) return;
  if (s.role == Role::kLeader) {
    if (auto found = s.peers.find(peer); found != s.peers.end()) s.note_contact(found->second);
    s.progress_at = s.now;
  } else if (peer == s.leader) {
    s.leader_heard_at = s.now;
    s.reset_election_timer();
  }
}

void Core::persisted(uint64_t token) {
  state_->persisted(token);
}
void Core::applied(Index index) {
  state_->applied_to(index);
}
void Core::propose(Proposal proposal) {
  state_->propose(std::move(proposal));
}
void Core::read(uint64_t id, Term term) {
  state_->read(id, term);
}
void Core::transfer(NodeId target) {
  state_->begin_transfer(target);
}

Status Core::bootstrap(uint64_t instance, const std::string& address) {
  return state_->bootstrap(instance, address);
}
Result<Index> Core::add_member(uint64_t instance, const std::string& address) {
  return state_->add_member(instance, address);
}
Result<Index> Core::change_role(NodeId id, MemberRole role, bool pinned) {
  return state_->change_role(id, role, pinned);
}
Result<Index> Core::change_address(NodeId id, const std::string& address) {
  return state_->change_address(id, address);
}
Result<Index> Core::remove_member(NodeId id) {
  return state_->remove_member(id);
}

Result<Index> Core::become_alone(uint64_t instance, const std::string& address) {
  return state_->become_alone(instance, address);
}

void Core::entries_read(NodeId peer, std::vector<Entry> entries) {
  state_->entries_read(peer, std::move(entries));
}
void Core::snapshot_sent(NodeId peer, EntryId last, bool ok) {
  state_->snapshot_sent(peer, last, ok);
}
void Core::snapshot_installed(const LogStart& start) {
  state_->snapshot_installed(start);
}
void Core::snapshot_failed() {
  state_->snapshot_failed();
}

void Core::compacted(const LogStart& start) {
  State& s = *state_;
  if (s.fault || start.last.index <= s.log.start().index) return;
  if (start.last.index > std::min(s.commit, s.storage.durable_index()) || !s.log.holds(start.last)) {
    return s.poison({Code::kPoisoned, "the log was cut behind entry " + text(start.last) +
                                          ", but it is committed up to " + std::to_string(s.commit) +
                                          ", durable up to " + std::to_string(s.storage.durable_index()) +
                                          " and ends at " + text(s.log.last())});
  }
  // What is durable outside the log was applied.
  s.applied_to(start.last.index);
  s.log.compact_to(start.last);
  s.configurations.compact_to(start.last.index);
}

void Core::set_may_campaign(bool may_campaign) {
  State& s = *state_;
  if (s.fault) return;
  s.may_campaign = may_campaign;
  if (!may_campaign && (s.role == Role::kPreCandidate || s.role == Role::kCandidate)) {
    s.become_follower(s.term, 0);
  }
}

void Core::peer_unreachable(NodeId peer) {
  State& s = *state_;
  auto found = s.peers.find(peer);
  if (found == s.peers.end() || found->second.state != Progress::State::kReplicate) return;
  // What is in flight is probably lost.
  found->second.become_probe(found->second.match + 1);
}

Output Core::take() {
  return state_->take();
}

Role Core::role() const {
  return state_->role;
}
Term Core::term() const {
  return state_->term;
}
NodeId Core::self() const {
  return state_->options.self;
}
NodeId Core::leader() const {
  return state_->leader;
}
Index Core::commit_index() const {
  return state_->commit;
}
void Core::tell_commit() {
  state_->commit_asked = true;
}

bool Core::has_commit_to_tell() const {
  const State& s = *state_;
  return s.role == Role::kLeader && std::any_of(s.peers.begin(), s.peers.end(), [&](const auto& peer) {
           return s.can_learn_commit(peer.second);
         });
}

Index Core::applied_index() const {
  return state_->applied;
}
Index Core::durable_index() const {
  return state_->storage.durable_index();
}
EntryId Core::last() const {
  return state_->log.last();
}
bool Core::is_mute() const {
  return state_->is_mute();
}
bool Core::is_installing() const {
  return state_->installing;
}
const Configuration& Core::configuration() const {
  return state_->configuration();
}
const Configuration& Core::committed_configuration() const {
  return state_->configurations.at(state_->commit).second;
}

Result<LogStart> Core::log_start_at(Index index) const {
  const State& s = *state_;
  const std::optional<Term> term = s.log.term_at(index);
  if (!term || index > s.commit) {
    return Status(Code::kNotFound, "no log start at index " + std::to_string(index) +
                                       ": the log begins behind " + std::to_string(s.log.start().index) +
                                       " and is committed up to " + std::to_string(s.commit));
  }
  const auto& [configuration_index, configuration] = s.configurations.at(index);
  return LogStart{{index, *term}, configuration, configuration_index};
}

std::vector<PeerStatus> Core::peers() const {
  const State& s = *state_;
  std::vector<PeerStatus> result;
  for (const Member& member : s.configuration().members) {
    PeerStatus status{.member = member, .is_leader = member.id == s.leader};
    const auto peer = s.peers.find(member.id);
    if (peer != s.peers.end()) {
      status.match = peer->second.match;
      status.is_caught_up = s.is_caught_up(member.id);
      if (peer->second.heard_at)
        status.ticks_since_contact = static_cast<int>(s.now - *peer->second.heard_at);
    } else if (member.id == s.options.self) {
      status.match = s.role == Role::kLeader ? s.storage.durable_index() : 0;
      status.ticks_since_contact = 0;
    } else if (member.id == s.leader) {
      status.ticks_since_contact = static_cast<int>(s.now - s.leader_heard_at);
    }
    result.push_back(std::move(status));
  }
  return result;
}

std::vector<Entry> Core::cached(Index from, Index to) const {
  return state_->log.slice(from, to, std::numeric_limits<size_t>::max());
}

bool Core::has_follower(NodeId id) const {
  return state_->peers.contains(id);
}
bool Core::was_removed(NodeId id) const {
  return state_->was_removed(id);
}
bool Core::is_in_contact(NodeId id) const {
  if (id == state_->options.self) return true;
  const auto peer = state_->peers.find(id);
  return peer != state_->peers.end() && state_->is_in_contact(peer->second);
}

Status Core::check_invariants() const {
  return state_->check_invariants();
}

}  // namespace dqlite::raft
