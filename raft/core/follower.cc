// What a leader asks of this member: entries, a campaign, a snapshot (dissertation 3.5, 3.10; raft.md 1.8
// to 1.11, 1.14).
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

namespace {

// The index is in every entry and checked on receipt: one log was once corrupted by entries with a gap
// (LogCabin#160).
bool is_well_formed(const AppendRequest& request, Term message_term) {
  EntryId previous = request.previous;
  if ((previous.index == 0) != (previous.term == 0) || previous.term > message_term) return false;
  for (const Entry& entry : request.entries) {
    if (entry.index != previous.index + 1 || entry.term < previous.term || entry.term > message_term ||
        entry.term == 0) {
      return false;
    }
    previous = entry.id();
  }
  return true;
}

Status lost_committed(EntryId leaders, Term own, NodeId leader) {
  return {Code::kPoisoned, "member " + std::to_string(leader) + " leads with entry " + text(leaders) +
                               " where this node has a committed entry of term " + std::to_string(own)};
}

}  // namespace

bool Core::State::follow(NodeId from) {
  if (role == Role::kLeader || (leader != 0 && leader != from)) {
    poison({Code::kPoisoned, "members " + std::to_string(leader) + " and " + std::to_string(from) +
                                 " both lead term " + std::to_string(term)});
    return false;
  }
  if (role != Role::kFollower || leader == 0) become_follower(term, from);
  leader_heard_at = now;
  reset_election_timer();
  return true;
}

void Core::State::handle_append(const Message& message, const AppendRequest& request) {
  if (!follow(message.from)) return;
  if (installing) {
    // Alive, but the log is about to be replaced.
    return answer(message.from, term, 0,
                  AppendResponse{.last = log.last_index(), .read_round = request.read_round});
  }
  if (!is_well_formed(request, message.term)) return reject_append(message.from, request);
  accept_entries(message.from, request);
}

void Core::State::reject_append(NodeId to, const AppendRequest& request) {
  answer(to, term, 0,
         AppendResponse{.rejected = true,
                        .match = request.previous.index,
                        .hint = log.largest_not_above(request.previous.index, request.previous.term),
                        .last = log.last_index(),
                        .read_round = request.read_round});
}

void Core::State::accept_entries(NodeId from, const AppendRequest& request) {
  const Index end = request.previous.index + request.entries.size();
  // Up to the commit index both logs are the same, or the algorithm is broken.
  auto differs_below_commit = [this](EntryId id) {
    return id.index <= commit && log.term_at(id.index).value_or(id.term) != id.term;
  };
  if (differs_below_commit(request.previous)) {
    return poison(lost_committed(request.previous, *log.term_at(request.previous.index), from));
  }
  if (request.previous.index > commit && !log.holds(request.previous)) return reject_append(from, request);

  size_t fresh = 0;  // the first entry that this log does not hold
  for (; fresh < request.entries.size(); fresh++) {
    const EntryId id = request.entries[fresh].id();
    if (differs_below_commit(id)) return poison(lost_committed(id, *log.term_at(id.index), from));
    if (id.index > commit && !log.holds(id)) break;
  }
  if (fresh < request.entries.size() && !append_as_follower(request.entries, fresh)) return;

  // Only what the leader has just shown to be its own: beyond it this log may hold entries that will be
  // overwritten.
  commit_to(std::min(request.commit, end));
  const Index known = std::min(commit, storage.durable_index());
  const Index match = std::max(end, known);
  answer(from, term, match,
         AppendResponse{.match = match, .last = log.last_index(), .read_round = request.read_round});
}

bool Core::State::append_as_follower(const std::vector<Entry>& entries, size_t first) {
  std::vector<std::pair<Index, Configuration>> changes;
  for (size_t i = first; i < entries.size(); i++) {
    if (entries[i].kind != EntryKind::kConfiguration) continue;
    Result<Configuration> decoded =
        decode_configuration(entries[i].payload ? ByteView(*entries[i].payload) : ByteView());
    if (!decoded) {
      // Never skipped [B16]; nothing was appended yet.
      poison(decoded.status().in("entry " + text(entries[i].id())));
      return false;
    }
    changes.emplace_back(entries[i].index, std::move(decoded.value()));
  }
  if (entries[first].index <= log.last_index()) {
    log.truncate_from(entries[first].index);
    storage.truncate_from(entries[first].index);
    if (configurations.truncate_from(entries[first].index)) set_configuration_changed();
  }
  for (size_t i = first; i < entries.size(); i++) {
    storage.append(entries[i]);
    log.append(entries[i]);
  }
  for (auto& [index, configuration] : changes) {
    configurations.append(index, std::move(configuration));
    set_configuration_changed();
  }
  return true;
}

void Core::State::handle_timeout_now(const Message& message) {
  if (!follow(message.from)) return;
  // Only a voter of the newest configuration: the leader chose it as such.
  if (configuration().is_voter(options.self) && may_campaign_now()) campaign(true);
}

void Core::State::handle_chunk(const Message& message, const SnapshotChunk& chunk) {
  if (!follow(message.from) || installing) return;
  if (chunk.last.index <= commit || log.holds(chunk.last)) {
    // The log already reaches it: everything up to there is committed and the same, so replication can go on.
    commit_to(chunk.last.index);
    const Index match = std::max(chunk.last.index, std::min(commit, storage.durable_index()));
    return answer(message.from, term, match, AppendResponse{.match = match, .last = log.last_index()});
  }
  if (!chunk.done) {
    out.snapshot_chunks.push_back(message);
    return;
  }
  installing = true;
  held_chunk = message;
}

// The last chunk goes to the driver when no entry is on its way to the disk, so that the log can be replaced.
void Core::State::release_held_chunk() {
  if (!held_chunk || storage.changes_log()) return;
  out.snapshot_chunks.push_back(std::move(*held_chunk));
  held_chunk.reset();
}

void Core::State::snapshot_failed() {
  installing = false;
}

void Core::State::snapshot_installed(const LogStart& start) {
  if (fault) return;
  installing = false;
  held_chunk.reset();
  if (start.last.index == log.start().index && start.last.term == log.start().term) return;
  if (start.last.index <= commit || log.holds(start.last)) {
    return poison({Code::kPoisoned, "a snapshot at " + text(start.last) +
                                        " replaced a log that was committed up to " + std::to_string(commit) +
                                        " and ended at " + text(log.last())});
  }
  log.reset(start.last);
  configurations.reset(start);
  storage.reset(start.last.index);
  commit = applied = apply_told = start.last.index;
  set_configuration_changed();
  if (leader == 0 || leader == options.self) return;
  // Any leader has what the snapshot holds, since it was committed.
  answer(leader, term, commit, AppendResponse{.match = commit, .last = log.last_index()});
}

}  // namespace dqlite::raft
