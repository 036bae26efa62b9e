// Terms, votes and campaigns (dissertation 3.4, 9.6; raft.md 1.1, 1.2, 1.4).
#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::reset_election_timer() {
  election_began_at = now;
  const auto shortest = static_cast<uint64_t>(options.election_ticks);
  election_timeout = shortest + random.below(shortest);
}

void Core::State::become_follower(Term new_term, NodeId new_leader) {
  const bool was_leader = role == Role::kLeader;
  const Term led = term;
  if (new_term != term) {
    term = new_term;
    vote = 0;
    storage.set_hard_state({term, vote});
  }
  role = Role::kFollower;
  leader = new_leader;
  votes.clear();
  if (leader != 0) leader_heard_at = now;
  if (leader != 0 || was_leader) reset_election_timer();
  if (was_leader) step_down(led);
  if (transfer && leader != 0) {
    end_transfer(leader == transfer->target ? Status::ok()
                                            : Status(Code::kBusy, "member " + std::to_string(leader) +
                                                                      " was elected instead of member " +
                                                                      std::to_string(transfer->target)));
  }
}

// A member whose disk lost entries that it may have acknowledged neither votes nor campaigns (raft.md 5.4).
// With its vote a candidate could win that lacks a committed entry: one that only this member and others
// outside that majority ever had.
//
// When may it vote again? `mute_below`, M, lies above every term in which it ever acknowledged or voted: its
// stored term of the moment when the damage was found, plus one. It took term M itself at that moment, so it
// never follows a leader of a lower term again; a leader of then that still lives steps down when it hears of
// M. The condition is one durable entry of a term T >= M in its log (or a snapshot that ends with one):
//   1. The leader of T was elected without this member's vote: before the damage it had no part in a term as
//      high as M, and since then it has been mute. So that majority meets every majority that ever stored an
//      entry with this member's help in ANOTHER member, which had the entry when it voted: the leader of T
//      holds everything that was committed in a term below T, and whatever an old acknowledgement of this
//      member may still help to commit (dissertation 3.6.3, where the member in both majorities is the one
//      that must not have forgotten).
//   2. By log matching this member's log equals that leader's up to the entry: so all of it is here again.
// The highest index it ever acknowledged need not be known, nor any leader's old opinion of what it holds:
// acknowledgements of before are of terms below M, and count for no leader of M or later.
//
// While mute it stores entries and says so. Such an acknowledgement is as good as any: it is about what is on
// its disk now, and a leader of T counts it for entries of its own term only, which means beyond the point
// where this member is repaired. Tests: `faulty_node_does_not_vote_until_repaired`, and the simulation, whose
// disks rot.
void Core::State::maybe_end_mute() {
  if (!is_mute() || log.term_at(storage.durable_index()).value_or(0) < mute_below) return;
  mute_below = 0;
  out.repaired = true;
}

bool Core::State::is_sole_voter() const {
  return configuration().voter_count() == 1 && configuration().is_voter(options.self);
}

// A removal that is not committed may still be undone, and until then this member's log may be the one that
// is needed (dissertation 4.2.2): it campaigns, without a vote of its own.
bool Core::State::may_campaign_now() const {
  const bool is_member =
      configuration().is_voter(options.self) || configurations.at(commit).second.is_voter(options.self);
  // What a candidate claims of its log must be on its disk [E13], and a disk that does not answer
  // would only let the term grow.
  return is_member && may_campaign && !is_mute() && !installing && storage.is_idle();
}

bool Core::State::hears_leader() const {
  if (role == Role::kLeader) return true;
  return leader != 0 && now - leader_heard_at < static_cast<uint64_t>(options.election_ticks);
}

// Ids are indexes of configuration entries and never come again, so whoever should be in the committed
// configuration by its id and is not has been removed for good.
bool Core::State::was_removed(NodeId id) const {
  const auto& [index, committed] = configurations.at(commit);
  return id <= index && committed.find(id) == nullptr;
}

bool Core::State::has_quorum(const std::function<bool(NodeId)>& agrees) const {
  size_t count = 0;
  for (const Member& member : configuration().members) {
    if (member.role == MemberRole::kVoter && agrees(member.id)) count++;
  }
  return count >= configuration().quorum();
}

void Core::State::tick_follower() {
  if (is_sole_voter()) {
    // Nobody to wait for.
    if (may_campaign_now()) campaign(false);
    return;
  }
  if (now - election_began_at < election_timeout) return;
  if (may_campaign_now()) return campaign_pre_vote();
  // Whoever asks it for the leader is not to be sent to one that is gone.
  if (leader != 0) become_follower(term, 0);
}

void Core::State::campaign_pre_vote() {
  role = Role::kPreCandidate;
  leader = 0;
  votes = {{options.self, true}};
  reset_election_timer();
  for (const Member& member : configuration().members) {
    if (member.role != MemberRole::kVoter || member.id == options.self) continue;
    send(member.id, term + 1, VoteRequest{.pre_vote = true, .transfer = false, .last = log.last()});
  }
  count_votes();
}

void Core::State::campaign(bool transfer_asked) {
  role = Role::kCandidate;
  leader = 0;
  term++;
  vote = options.self;
  votes.clear();
  reset_election_timer();
  storage.set_hard_state({term, vote});
  // Asked for only when the own vote is durable: after a crash no answer can meet a second campaign of the
  // same term.
  for (const Member& member : configuration().members) {
    if (member.role != MemberRole::kVoter || member.id == options.self) continue;
    answer(member.id, term, 0,
           VoteRequest{.pre_vote = false, .transfer = transfer_asked, .last = log.last()});
  }
}

void Core::State::count_votes() {
  if (role == Role::kCandidate) {
    // The own vote counts when it is durable, like every other.
    if (storage.durable_hard_state() != HardState{term, options.self}) return;
    votes[options.self] = true;
  }
  const bool won = has_quorum([this](NodeId id) {
    const auto found = votes.find(id);
    return found != votes.end() && found->second;
  });
  if (!won) return;
  if (role == Role::kPreCandidate) {
    campaign(false);
  } else if (role == Role::kCandidate) {
    become_leader();
  }
}

void Core::State::become_leader() {
  role = Role::kLeader;
  leader = options.self;
  votes.clear();
  peers.clear();
  quorum_checked_at = heartbeat_at = progress_at = now;
  uncommitted_bytes = 0;
  sync_peers();
  noop = log.last_index() + 1;
  fence.begin_term(noop);
  // Entries of earlier terms are committed by this one (dissertation 3.6.2).
  append_as_leader(EntryKind::kNoop, nullptr);
  out.leadership.push_back({true, term, noop});
  for (const uint64_t id : asked.take_all()) reads.add({0, id});
  if (transfer) end_transfer({Code::kBusy, "this member was elected again"});
}

void Core::State::handle_vote_request(const Message& message, const VoteRequest& request) {
  if (was_removed(message.from)) return;
  const bool withheld = !request.transfer && hears_leader();
  // A mute member has forgotten entries, and cannot tell whether the candidate has them.
  const bool up_to_date =
      !is_mute() && (request.last.term > log.last().term ||
                     (request.last.term == log.last().term && request.last.index >= log.last_index()));
  const bool vote_is_free = vote == message.from || (vote == 0 && leader == 0);

  if (request.pre_vote) {
    // Changes nothing here. A rejection carries this member's own term: a candidate with the longer log and
    // the older term would never learn it otherwise, and nobody could win.
    const bool granted =
        !withheld && up_to_date && (message.term > term || (message.term == term && vote_is_free));
    return answer(message.from, granted ? message.term : term, 0,
                  VoteResponse{.pre_vote = true, .granted = granted});
  }
  if (message.term > term) {
    if (withheld) return;  // a live leader is not deposed (dissertation 4.2.3)
    become_follower(message.term, 0);
  }
  // A role of its own is not asked for: a learner that does not know of its promotion must vote
  // (raft.md 1.4).
  const bool granted =
      message.term == term && up_to_date && (vote == message.from || (vote == 0 && leader == 0));
  if (granted && vote == 0) {
    vote = message.from;
    storage.set_hard_state({term, vote});
  }
  if (granted) reset_election_timer();
  answer(message.from, term, 0, VoteResponse{.pre_vote = false, .granted = granted});
}

void Core::State::handle_vote_response(const Message& message, const VoteResponse& response) {
  const bool granted_pre_vote = response.pre_vote && response.granted;
  if (message.term > term && !granted_pre_vote) return become_follower(message.term, 0);
  if (response.pre_vote) {
    // Of this campaign: the answer carries the term it asks for, so an older one never counts.
    const bool counts = role == Role::kPreCandidate && message.term == (response.granted ? term + 1 : term);
    if (!counts) return;
  } else if (role != Role::kCandidate || message.term != term) {
    return;
  }
  votes[message.from] = response.granted;
  count_votes();
}

}  // namespace dqlite::raft
