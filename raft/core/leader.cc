// A leader's duties by the clock, and the commit rule (dissertation 3.6, 6.2; raft.md 1.2, 1.13, 1.20).
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::tick_leader() {
  if (now - quorum_checked_at >= static_cast<uint64_t>(options.election_ticks)) check_quorum();
  if (role != Role::kLeader) return;
  if (now - heartbeat_at >= static_cast<uint64_t>(options.heartbeat_ticks)) {
    heartbeat_at = now;
    broadcast_heartbeats();
    maybe_send_timeout_now();
  }
  for (auto& [id, peer] : peers) note_catch_up(peer);
  sync_peers();
  maybe_promote();
}

// A leader that does not hear of a majority may have been replaced without knowing, and stops.
void Core::State::check_quorum() {
  quorum_checked_at = now;
  const bool alive = has_quorum([this](NodeId id) {
    const auto peer = peers.find(id);
    return id == options.self || (peer != peers.end() && peer->second.active);
  });
  for (auto& [id, peer] : peers) peer.active = false;
  if (!alive || is_stalled()) become_follower(term, 0);
}

// Followers with a hung disk answer heartbeats, so a quorum is no proof that anything can be committed [C13].
bool Core::State::is_stalled() {
  if (commit == log.last_index()) progress_at = now;
  return now - progress_at >
         static_cast<uint64_t>(options.stall_timeouts) * static_cast<uint64_t>(options.election_ticks);
}

void Core::State::broadcast_heartbeats() {
  if (disk_hangs()) return;
  for (auto& [id, peer] : peers) {
    send_heartbeat(id, peer);
    // A heartbeat stands on what is known to agree, so it cannot show that entries sent since were lost. If
    // nothing was acknowledged for a heartbeat's time, an empty message at the end of the window does: it is
    // refused, and probing begins; also when the window is full (raft.md 1.8).
    if (peer.state == Progress::State::kReplicate && !peer.inflights.empty() &&
        peer.match == peer.match_at_heartbeat) {
      if (peer.next <= log.start().index) {
        // The log was cut under the window: only a snapshot helps.
        peer.become_probe(peer.match + 1);
      } else {
        send_entries(id, peer, {});
      }
    }
    peer.match_at_heartbeat = peer.match;
  }
}

// A leader whose disk does not answer would freeze the cluster by its heartbeats: it falls silent, and the
// others elect one whose disk works.
bool Core::State::disk_hangs() const {
  const std::optional<uint64_t> oldest = storage.oldest_tick();
  return oldest && now - *oldest > static_cast<uint64_t>(options.disk_patience_ticks);
}

EntryId Core::State::append_as_leader(EntryKind kind, SharedBytes payload) {
  Entry entry{log.last_index() + 1, term, kind, std::move(payload)};
  const EntryId id = entry.id();
  uncommitted_bytes += entry.size_bytes();
  storage.append(entry);
  log.append(std::move(entry));
  return id;
}

void Core::State::advance_commit() {
  std::vector<Index> matches;
  for (const Member& member : configuration().members) {
    if (member.role != MemberRole::kVoter) continue;
    const auto peer = peers.find(member.id);
    // This member's own copy counts like every other: when it is durable.
    matches.push_back(member.id == options.self ? storage.durable_index()
                      : peer == peers.end()     ? 0
                                                : peer->second.match);
  }
  if (matches.empty()) return;
  std::sort(matches.begin(), matches.end(), std::greater<>());
  const Index agreed = matches[configuration().quorum() - 1];
  // Entries of earlier terms are never committed by counting (dissertation 3.6.2, figure 3.7); the first of
  // this term commits them too.
  if (agreed <= commit || log.term_at(agreed) != term) return;
  commit_to(agreed);
  leave_if_removed();
}

// A leader that is no voter any more leads until the change is committed, and stops then
// (dissertation 4.2.2).
void Core::State::leave_if_removed() {
  if (configurations.newest_index() > commit || configuration().is_voter(options.self)) return;
  commit_asked = true;
  replicate();  // tells the others what is committed
  const NodeId successor = most_up_to_date_voter();
  if (successor != 0 && peers.at(successor).match == log.last_index()) send(successor, term, TimeoutNow{});
  become_follower(term, 0);
}

void Core::State::step_down(Term led) {
  out.leadership.push_back({false, led, 0});
  fail_own_reads(led);
  peers.clear();
  noop = 0;
  uncommitted_bytes = 0;
}

}  // namespace dqlite::raft
