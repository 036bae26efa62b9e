// Leadership transfer (dissertation 3.10; raft.md 1.3).
//
// Proposals stop, the target gets the rest of the log, then it is asked to campaign at once. If it does not
// lead within an election time-out, this leader goes on. Voters grant a transfer's vote although they hear a
// leader; nobody votes twice.
#include "raft/core/core_state.h"

namespace dqlite::raft {

void Core::State::begin_transfer(NodeId target) {
  if (fault) return;
  if (role != Role::kLeader) {
    out.transfer = Status(Code::kNotLeader, "only the leader can hand leadership over");
    return;
  }
  if (target == 0) target = most_up_to_date_voter();
  if (target == 0) {
    out.transfer = Status(Code::kRefused,
                          "no other voter answers, or all that do would not lead: leadership stays here");
    return;
  }
  if (target == options.self) {
    out.transfer = Status::ok();
    return;
  }
  if (!configuration().is_voter(target)) {
    out.transfer =
        Status(Code::kRefused, "member " + std::to_string(target) + " is no voter and cannot lead");
    return;
  }
  if (const auto peer = peers.find(target); peer != peers.end() && peer->second.cannot_lead) {
    out.transfer =
        Status(Code::kBusy, "member " + std::to_string(target) +
                                " would not lead now: it doubts its data, has a full disk, or waits "
                                "for the repair of its log, as its own dqlite_status tells");
    return;
  }
  if (transfer && transfer->target == target) return;
  transfer = Transfer{target, now};
  maybe_send_timeout_now();
}

void Core::State::maybe_send_timeout_now() {
  if (!transfer || role != Role::kLeader || disk_hangs()) return;
  const auto peer = peers.find(transfer->target);
  if (peer != peers.end() && peer->second.match == log.last_index())
    send(transfer->target, term, TimeoutNow{});
}

void Core::State::tick_transfer() {
  if (!transfer || now - transfer->began_at < static_cast<uint64_t>(options.election_ticks)) return;
  if (const auto peer = peers.find(transfer->target); peer != peers.end()) peer->second.transfers_in_vain++;
  end_transfer({Code::kTimeout, "member " + std::to_string(transfer->target) +
                                    " did not take leadership over within an election time-out"});
}

void Core::State::end_transfer(const Status& status) {
  transfer.reset();
  out.transfer = status;
}

// That would lead. Whoever did not take leadership over when asked comes after those that were asked less often, or
// it would be asked for ever.
NodeId Core::State::most_up_to_date_voter() const {
  const auto is_better = [](const Progress& one, const Progress& other) {
    if (one.transfers_in_vain != other.transfers_in_vain)
      return one.transfers_in_vain < other.transfers_in_vain;
    return one.match > other.match;
  };
  NodeId best = 0;
  for (const auto& [id, peer] : peers) {
    if (!configuration().is_voter(id) || !is_in_contact(peer) || peer.cannot_lead) continue;
    if (best == 0 || is_better(peer, peers.at(best))) best = id;
  }
  return best;
}

}  // namespace dqlite::raft
