// ReadIndex (dissertation 6.4; raft.md 1.6): the leader's rounds are in read_rounds.h, the questions of the
// other members in asked_reads.h.
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::read(uint64_t id, Term in_term) {
  if (fault) return;
  if (in_term == 0 && role != Role::kLeader) {
    asked.add(id, now);
  } else if (role != Role::kLeader) {
    out.reads.push_back({id, Status(Code::kNotLeader, "this node does not lead"), 0});
  } else if (in_term != 0 && in_term != term) {
    out.reads.push_back({id,
                         Status(Code::kNotLeader, "this node leads term " + std::to_string(term) +
                                                      ", not term " + std::to_string(in_term)),
                         0});
  } else {
    reads.add({0, id});
  }
}

// --- the leader ---

// Also for a cluster of one: before an entry of its own term is committed, a leader does not know what is.
void Core::State::begin_read_round() {
  if (!reads.is_waiting() || commit < noop) return;
  reads.begin_round(commit);
  confirm_reads();
}

void Core::State::confirm_reads() {
  if (!reads.is_pending()) return;
  std::vector<uint64_t> rounds;
  for (const Member& member : configuration().members) {
    if (member.role != MemberRole::kVoter) continue;
    const auto peer = peers.find(member.id);
    rounds.push_back(member.id == options.self ? reads.round()
                     : peer == peers.end()     ? 0
                                               : peer->second.acknowledged_round);
  }
  std::sort(rounds.begin(), rounds.end(), std::greater<>());
  for (const ConfirmedRead& read : reads.confirm(rounds[configuration().quorum() - 1])) {
    if (read.origin.peer == 0) {
      out.reads.push_back({read.origin.id, Status::ok(), read.index});
    } else {
      send(read.origin.peer, term, ReadResponse{read.origin.id, read.index});
    }
  }
}

void Core::State::handle_read_request(const Message& message, const ReadRequest& request) {
  if (role != Role::kLeader || configuration().find(message.from) == nullptr) return;
  reads.add({message.from, request.number});
}

// Other members ask the next leader.
void Core::State::fail_own_reads(Term led) {
  for (const ReadOrigin& origin : reads.take_all()) {
    if (origin.peer != 0) continue;
    out.reads.push_back(
        {origin.id,
         Status(Code::kNotLeader, "this node led term " + std::to_string(led) + " and does not any more"),
         0});
  }
}

// --- the others ---

void Core::State::ask_leader() {
  if (leader == 0) return;
  const auto patience = static_cast<uint64_t>(options.heartbeat_ticks);
  if (const auto number = asked.ask(leader, now, patience)) send(leader, term, ReadRequest{*number});
}

void Core::State::handle_read_response(const ReadResponse& response) {
  for (const uint64_t id : asked.answered(response.number)) {
    out.reads.push_back({id, Status::ok(), response.index});
  }
}

void Core::State::give_up_asked_reads() {
  const auto patience = 2 * static_cast<uint64_t>(options.election_ticks);
  if (now < patience) return;
  for (const uint64_t id : asked.take_older_than(now - patience)) {
    out.reads.push_back(
        {id, Status(Code::kNoQuorum, "no leader has confirmed with a majority that it still leads"), 0});
  }
}

}  // namespace dqlite::raft
