// What must hold between any two inputs, as far as one member alone can know. What only the cluster as a
// whole can show (one leader per term, log matching, leader completeness) is checked by
// tests/raft/core/simulation.
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

namespace {

Status broken(const std::string& what) {
  return {Code::kPoisoned, "invariant broken: " + what};
}

std::string order(const char* lower, Index a, const char* upper, Index b) {
  return std::string(lower) + " " + std::to_string(a) + " is above " + upper + " " + std::to_string(b);
}

}  // namespace

Status Core::State::check_invariants() const {
  if (fault) return *fault;
  if (Status status = log.check_invariants(); !status) return status;
  const Index durable = storage.durable_index();
  const Index last = log.last_index();
  if (log.start().index > commit) return broken(order("start", log.start().index, "commit", commit));
  if (commit > last) return broken(order("commit", commit, "last", last));
  if (applied > commit) return broken(order("applied", applied, "commit", commit));
  if (applied > durable) return broken(order("applied", applied, "durable", durable));
  if (apply_told > std::min(commit, durable))
    return broken(order("told to apply", apply_told, "durable", durable));
  if (durable > last) return broken(order("durable", durable, "last", last));
  if (log.cache_begin() > durable + 1)
    return broken(order("cache begin", log.cache_begin(), "durable", durable));
  if (term < log.last().term) return broken(order("last term", log.last().term, "term", term));
  const HardState on_disk = storage.durable_hard_state();
  if (on_disk.term > term) return broken(order("stored term", on_disk.term, "term", term));
  if (on_disk.term == term && on_disk.vote != 0 && on_disk.vote != vote)
    return broken("the stored vote changed");
  if (!configurations.is_ascending()) return broken("configurations do not ascend");
  if (configurations.newest_index() > last) {
    return broken(order("configuration", configurations.newest_index(), "last", last));
  }
  if (configurations.newest_index() > 0 && configuration().voter_count() == 0)
    return broken("no voter is left");
  if (installing && role != Role::kFollower) return broken("no follower while a snapshot is installed");
  if (role == Role::kLeader) return check_leader_invariants();
  if (leader == options.self && leader != 0) return broken("a member that does not lead calls itself leader");
  if (!peers.empty()) return broken("a member that does not lead keeps track of followers");
  return Status::ok();
}

Status Core::State::check_leader_invariants() const {
  if (leader != options.self || vote != options.self) return broken("a leader without its own vote");
  if (log.term_at(noop) != term && noop > log.start().index) return broken("a leader without its no-op");
  if (noop > 1 && noop > log.start().index + 1 && log.term_at(noop - 1) == term) {
    return broken("a leader's term has entries before its no-op");
  }
  for (const auto& [id, peer] : peers) {
    const std::string who = "member " + std::to_string(id) + ": ";
    if (peer.match >= peer.next) return broken(who + order("match", peer.match, "next - 1", peer.next - 1));
    if (peer.match > log.last_index())
      return broken(who + order("match", peer.match, "last", log.last_index()));
    if (peer.next > log.last_index() + 1)
      return broken(who + order("next", peer.next, "end", log.last_index() + 1));
    if (peer.state != Progress::State::kReplicate && !peer.inflights.empty()) {
      return broken(who + "entries in flight while not replicating");
    }
    if (peer.inflights.count() > options.max_inflight_messages)
      return broken(who + "too many messages in flight");
  }
  return Status::ok();
}

}  // namespace dqlite::raft
