// Entries from a leader to its followers (dissertation 3.5, 10.2; raft.md 1.8 to 1.10).
//
// Nothing is sent while inputs are taken in: `replicate` runs once per `take`, so that many proposals share a
// message.
#include <algorithm>
#include <set>

#include "raft/core/core_state.h"

namespace dqlite::raft {

// Every voter and standby of the newest configuration is replicated to, and of the committed one as long as
// the newest may be undone. One that has left is kept until it knows that its removal is committed, but not
// for long.
void Core::State::sync_peers() {
  std::set<NodeId> wanted;
  for (const Configuration* source : {&configuration(), &configurations.at(commit).second}) {
    for (const Member& member : source->members) {
      if (member.role != MemberRole::kSpare && member.id != options.self) wanted.insert(member.id);
    }
  }
  for (NodeId id : wanted) {
    auto [peer, is_new] = peers.try_emplace(id);
    peer->second.leaving_since.reset();
    if (!is_new) continue;
    peer->second.next = log.last_index() + 1;
    peer->second.catch_up_target = log.last_index();
    peer->second.catch_up_began = now;
  }
  for (auto peer = peers.begin(); peer != peers.end();) {
    Progress& progress = peer->second;
    if (wanted.contains(peer->first)) {
      ++peer;
      continue;
    }
    if (!progress.leaving_since) progress.leaving_since = now;
    const bool knows = progress.commit_told >= configurations.newest_index();
    const bool waited = now - *progress.leaving_since >= static_cast<uint64_t>(options.election_ticks);
    peer = knows || waited ? peers.erase(peer) : std::next(peer);
  }
}

void Core::State::replicate() {
  if (disk_hangs()) return;
  for (auto& [id, peer] : peers) replicate_to(id, peer);
}

void Core::State::replicate_to(NodeId id, Progress& peer) {
  while (peer.state != Progress::State::kSnapshot && !window_is_full(peer)) {
    if (peer.next > log.last_index() && peer.state == Progress::State::kReplicate) break;
    if (peer.next <= log.start().index) {
      // Not to one that may be down: its snapshot would be old before it comes back (raft.md 1.14).
      if (is_in_contact(peer) && !peer.leaving_since) {
        peer.become_snapshot();
        out.snapshots.push_back({id});
      }
      break;
    }
    if (peer.next < log.cache_begin()) {
      request_log_read(id, peer);
      break;
    }
    send_entries(id, peer, log.slice(peer.next, log.last_index(), options.max_message_bytes));
  }
  const bool tells = commit_asked || !options.waits_to_tell_commit;
  if ((tells && can_learn_commit(peer)) || peer.round_told < reads.round()) send_heartbeat(id, peer);
}

bool Core::State::can_learn_commit(const Progress& peer) const {
  return peer.state == Progress::State::kReplicate && std::min(commit, peer.match) > peer.commit_told;
}

bool Core::State::window_is_full(const Progress& peer) const {
  if (peer.state == Progress::State::kProbe) return peer.probe_sent;
  return peer.inflights.count() >= options.max_inflight_messages ||
         peer.inflights.bytes() >= options.max_inflight_bytes;
}

bool Core::State::is_in_contact(const Progress& peer) const {
  return peer.heard_at && now - *peer.heard_at < static_cast<uint64_t>(options.election_ticks);
}

void Core::State::note_contact(Progress& peer) {
  peer.active = true;
  peer.heard_at = now;
}

void Core::State::send_entries(NodeId id, Progress& peer, std::vector<Entry> entries) {
  // The callers saw to it that `next` is behind the log's start, so the term is known.
  const EntryId previous{peer.next - 1, log.term_at(peer.next - 1).value_or(0)};
  size_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.size_bytes();
  const Index end = previous.index + entries.size();
  if (peer.state == Progress::State::kProbe) {
    peer.probe_sent = true;
    peer.probe_sent_at = now;
  } else if (!entries.empty()) {
    peer.next = end + 1;
    peer.inflights.add(end, bytes);
  }
  peer.commit_told = std::max(peer.commit_told, std::min(commit, end));
  peer.round_told = reads.round();
  send(id, term, AppendRequest{previous, commit, reads.round(), std::move(entries)});
}

void Core::State::send_heartbeat(NodeId id, Progress& peer) {
  // Never beyond what is known to agree: the follower could take the commit index for entries that are not
  // the leader's.
  const std::optional<Term> known = log.term_at(peer.match);
  const EntryId previous = known ? EntryId{peer.match, *known} : EntryId{};
  const Index told = std::min(commit, previous.index);
  peer.commit_told = std::max(peer.commit_told, told);
  peer.round_told = reads.round();
  send(id, term, AppendRequest{previous, told, reads.round(), {}});
}

void Core::State::request_log_read(NodeId id, Progress& peer) {
  if (peer.reading || now < peer.read_again_at) return;
  peer.reading = true;
  out.log_reads.push_back({id, peer.next, log.cache_begin() - 1, options.max_message_bytes});
}

void Core::State::entries_read(NodeId id, std::vector<Entry> entries) {
  const auto found = peers.find(id);
  if (fault || role != Role::kLeader || found == peers.end()) return;
  Progress& peer = found->second;
  if (!std::exchange(peer.reading, false)) return;
  // The log may have been cut or the follower moved on meanwhile.
  bool usable = !entries.empty() && peer.next > log.start().index;
  for (size_t i = 0; usable && i < entries.size(); i++) {
    usable = entries[i].index == peer.next + i && log.holds(entries[i].id());
  }
  if (!usable) {
    // Not at once again: the log may be in trouble, or was cut and a snapshot is due.
    if (entries.empty()) peer.read_again_at = now + static_cast<uint64_t>(options.heartbeat_ticks);
    return;
  }
  if (disk_hangs() || peer.state == Progress::State::kSnapshot || window_is_full(peer)) return;
  send_entries(id, peer, std::move(entries));
}

void Core::State::snapshot_sent(NodeId id, EntryId last, bool ok) {
  const auto found = peers.find(id);
  if (fault || role != Role::kLeader || found == peers.end()) return;
  Progress& peer = found->second;
  if (peer.state != Progress::State::kSnapshot) return;
  peer.become_probe(ok ? last.index + 1 : peer.match + 1);
  // After a failure wait for a sign of life before the next try.
  peer.probe_sent = !ok;
  peer.probe_sent_at = now;
}

void Core::State::handle_append_response(const Message& message, const AppendResponse& response) {
  const auto found = peers.find(message.from);
  if (role != Role::kLeader || found == peers.end()) return;
  Progress& peer = found->second;
  note_contact(peer);
  if (response.read_round > reads.round() || (!response.rejected && response.match > log.last_index())) {
    return poison({Code::kPoisoned, "member " + std::to_string(message.from) + " acknowledges index " +
                                        std::to_string(response.match) + " and read round " +
                                        std::to_string(response.read_round) + " in term " +
                                        std::to_string(term) + ", but this leader's log ends at " +
                                        std::to_string(log.last_index()) + " and its newest round is " +
                                        std::to_string(reads.round())});
  }
  peer.cannot_lead = response.cannot_lead;
  peer.acknowledged_round = std::max(peer.acknowledged_round, response.read_round);
  confirm_reads();
  if (response.rejected) {
    const Index next = log.largest_not_above(response.hint.index, response.hint.term).index + 1;
    peer.reject(response.match, next);
    return;
  }
  const bool news = peer.accept(response.match);
  if (peer.probe_sent && now - peer.probe_sent_at >= static_cast<uint64_t>(options.heartbeat_ticks)) {
    // It is alive and has not answered the probe: lost, or the follower is busy with a snapshot. Not more
    // often, or answers and probes would chase each other.
    peer.probe_sent = false;
  }
  if (peer.state == Progress::State::kSnapshot && peer.match >= log.start().index) {
    // It can go on from the log, whatever became of the snapshot.
    peer.become_replicate();
  }
  note_catch_up(peer);
  if (!news) return;
  progress_at = now;
  if (transfer && transfer->target == message.from) maybe_send_timeout_now();
  advance_commit();  // may end this leadership: `peer` is gone then
}

}  // namespace dqlite::raft
