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
    out.transfer = Status(Code::kRefused, "no other voter answers: leadership stays here");
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
  end_transfer({Code::kTimeout, "member " + std::to_string(transfer->target) +
                                    " did not take leadership over within an election time-out"});
}

void Core::State::end_transfer(const Status& status) {
  transfer.reset();
  out.transfer = status;
}

NodeId Core::State::most_up_to_date_voter() const {
  NodeId best = 0;
  for (const auto& [id, peer] : peers) {
    if (!configuration().is_voter(id) || !is_in_contact(peer)) continue;
    if (best == 0 || peer.match > peers.at(best).match) best = id;
  }
  return best;
}

}  // namespace dqlite::raft
