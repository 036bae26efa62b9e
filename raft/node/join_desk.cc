#include "raft/node/join_desk.h"

namespace dqlite::raft {

namespace {

using net::JoinCode;
using net::JoinReply;

JoinReply without_success(JoinCode code, const std::string& sentence) {
  JoinReply reply;
  reply.code = code;
  reply.sentence = sentence;
  return reply;
}

}  // namespace

void JoinDesk::handle(net::ConnectionId from, const net::JoinRequest& request) {
  if (core_.role() != Role::kLeader) return refer_to_leader(from);
  if (request.instance == 0 || !net::parse_address(request.address)) {
    return network_.reply(from, without_success(JoinCode::kRefused,
                                                "a node that joins must have listen=host:port, "
                                                "so that the others can reach it"));
  }
  const Member* existing = core_.configuration().find_instance(request.instance);
  Result<Index> changed = existing == nullptr ? core_.add_member(request.instance, request.address)
                                              : core_.change_address(existing->id, request.address);
  if (!changed) {
    const bool is_final = failure_class(changed.status().code()) == FailureClass::kCaller &&
                          changed.status().code() != Code::kNotLeader;
    const JoinCode code = is_final ? JoinCode::kRefused : JoinCode::kLater;
    return network_.reply(from, without_success(code, changed.status().sentence()));
  }
  const Member* member = core_.configuration().find_instance(request.instance);
  if (member == nullptr) return network_.reply(from, without_success(JoinCode::kLater, "ask again"));
  waiting_.push_back({from, member->id, *changed});
}

void JoinDesk::refer_to_leader(net::ConnectionId to) {
  const Member* leader = core_.configuration().find(core_.leader());
  if (leader == nullptr || leader->id == core_.self()) {
    return network_.reply(to, without_success(JoinCode::kLater, "the cluster has no leader now"));
  }
  JoinReply reply;
  reply.code = JoinCode::kRedirect;
  reply.redirect = leader->address;
  network_.reply(to, reply);
}

void JoinDesk::answer_committed() {
  if (waiting_.empty()) return;
  if (core_.role() != Role::kLeader) {
    // No redirect, as from one that did nothing: the entry is in this log and may still be committed, so the
    // joiner must not believe that it can go back.
    for (const Waiting& each : waiting_) {
      network_.reply(each.from, without_success(JoinCode::kLater,
                                                "the leader lost its office before the cluster agreed to "
                                                "take the node in"));
    }
    waiting_.clear();
    return;
  }
  std::erase_if(waiting_, [this](const Waiting& each) {
    if (each.index > core_.commit_index()) return false;
    JoinReply reply;
    reply.code = JoinCode::kMember;
    reply.node_id = each.node_id;
    reply.cluster_id = cluster_;
    reply.leader = core_.self();
    reply.commit = core_.commit_index();
    network_.reply(each.from, reply);
    return true;
  });
}

void JoinDesk::announce_moves(const Greeter& greeter, const std::string& own_address) {
  if (core_.role() != Role::kLeader) return;
  for (const Member& member : core_.configuration().members) {
    const std::string now =
        member.id == core_.self() ? own_address : greeter.heard_address(member).value_or(member.address);
    if (now.empty() || now == member.address) continue;
    // Refused while another change is under way: the next tick asks again.
    if (core_.change_address(member.id, now)) return;
  }
}

}  // namespace dqlite::raft
