// Commands from this node's state machine, and the first entry of a cluster.
#include <algorithm>

#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::propose(Proposal proposal) {
  if (fault) return;
  if (Status refusal = admit(proposal); !refusal) {
    out.proposals.push_back({proposal.id, std::move(refusal), {}});
    return;
  }
  const EntryId entry = append_as_leader(EntryKind::kCommand, std::move(proposal.payload));
  fence.appended(proposal.bases, entry);
  out.proposals.push_back({proposal.id, Status::ok(), entry});
}

Status Core::State::admit(const Proposal& proposal) const {
  if (role != Role::kLeader) {
    return {Code::kNotLeader, leader == 0
                                  ? std::string("this node does not lead, and no leader is known")
                                  : "this node does not lead: member " + std::to_string(leader) + " does"};
  }
  if (proposal.term != 0 && proposal.term != term) {
    return {Code::kNotCommitted, "the proposal was computed in term " + std::to_string(proposal.term) +
                                     ", but this node leads term " + std::to_string(term) +
                                     ": nothing was appended, compute it again"};
  }
  if (transfer) {
    return {Code::kBusy, "leadership is being handed over to member " + std::to_string(transfer->target) +
                             ": nothing was appended, try again"};
  }
  // A single proposal is never too large by itself.
  const size_t size = proposal.payload ? proposal.payload->size() : 0;
  if (uncommitted_bytes > 0 && uncommitted_bytes + size > options.max_uncommitted_bytes) {
    return {Code::kBusy, std::to_string(uncommitted_bytes) + " bytes wait to be committed, the limit is " +
                             std::to_string(options.max_uncommitted_bytes) +
                             ": nothing was appended, try again"};
  }
  return fence.check(proposal.bases, log);
}

Status Core::State::bootstrap(uint64_t instance, const std::string& address) {
  if (fault) return {Code::kPoisoned, fault->sentence()};
  if (instance == 0) return {Code::kInvalid, "bootstrap: the instance number must not be 0"};
  if (options.self > 1) {
    return {Code::kRefused, "bootstrap: this node is member " + std::to_string(options.self) +
                                " of a cluster, and the first member of one is 1"};
  }
  const bool is_empty = log.last_index() == log.start().index && configuration().members.empty();
  const bool is_new_or_adopted = log.start().index <= 1;
  if (!is_empty || !is_new_or_adopted) {
    return {Code::kRefused, "bootstrap: the log is not new: it begins behind " + text(log.start()) +
                                " and ends at " + text(log.last())};
  }
  options.self = 1;
  // No leader ever has this term's entry in dispute: the first election is for the next one.
  if (term == 0) become_follower(1, 0);
  Configuration alone;
  alone.members.push_back({1, instance, address, MemberRole::kVoter, false});
  Entry entry{log.last_index() + 1, term, EntryKind::kConfiguration,
              std::make_shared<const Bytes>(encode(alone))};
  configurations.append(entry.index, std::move(alone));
  set_configuration_changed();
  storage.append(entry);
  log.append(std::move(entry));
  return Status::ok();
}

}  // namespace dqlite::raft
