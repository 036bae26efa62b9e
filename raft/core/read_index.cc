// ReadIndex on the leader (dissertation 6.4; raft.md 1.6). The rounds are in read_rounds.h.
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::read(uint64_t id, Term in_term) {
  if (fault) return;
  if (role != Role::kLeader) {
    out.reads.push_back({id, Status(Code::kNotLeader, "this node does not lead"), 0});
  } else if (in_term != 0 && in_term != term) {
    out.reads.push_back({id,
                         Status(Code::kNotLeader, "this node leads term " + std::to_string(term) +
                                                      ", not term " + std::to_string(in_term)),
                         0});
  } else {
    reads.add(id);
  }
}

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
  reads.confirm(rounds[configuration().quorum() - 1], out.reads);
}

}  // namespace dqlite::raft
