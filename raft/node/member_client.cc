#include "raft/node/member_client.h"

namespace dqlite::raft {

namespace {

// Another moment, or another node, may do better.
bool may_be_asked_again(Code code) {
  return code == Code::kNotLeader || code == Code::kBusy || code == Code::kNoQuorum ||
         code == Code::kNotCommitted || code == Code::kUnknown;
}

}  // namespace

void MemberClient::begin(MemberChange change, Deadline deadline, MemberCompletion completion) {
  // By its id it is still known when the answer to a first request was lost.
  for (const Member& member : core_.configuration().members) {
    if (change.id == 0 && !change.address.empty() && member.address == change.address) change.id = member.id;
  }
  const uint64_t id = next_id_++;
  Ask& begun = asks_[id];
  begun.change = std::move(change);
  begun.deadline = deadline;
  begun.completion = std::move(completion);
  ask(id, begun);
}

void MemberClient::ask(uint64_t id, Ask& ask) {
  if (ask.asked != 0) return;
  const NodeId to = next_to_ask(ask);
  if (to == 0) return;
  if (ask.leader_before == 0) ask.leader_before = core_.leader();
  net::MemberRequest request;
  request.request_id = id;
  request.change = ask.change;
  if (to != core_.self()) {
    if (network_.send_member_request(to, request)) ask.asked = to;
    return;
  }
  ask.asked = to;
  ask_here_(request);  // `ask` may be gone
}

NodeId MemberClient::next_to_ask(const Ask& ask) {
  if (core_.leader() != 0) return core_.leader();
  if (ask.hint != 0) return ask.hint;
  const std::vector<Member>& members = core_.configuration().members;
  for (size_t i = 0; i < members.size(); i++) {
    const NodeId id = members[next_member_++ % members.size()].id;
    if (id != core_.self()) return id;
  }
  return 0;
}

void MemberClient::handle_reply(NodeId from, const net::MemberReply& reply) {
  const auto found = asks_.find(reply.request_id);
  if (found == asks_.end() || found->second.asked != from) return;
  Ask& ask = found->second;
  ask.asked = 0;
  ask.hint = 0;
  if (is_reached(ask, reply)) {
    const auto count = static_cast<uint32_t>(core_.configuration().members.size());
    return finish(reply.request_id, MemberAnswer{reply.index, reply.leader, reply.leader_address,
                                                 reply.status ? reply.member_count : count});
  }
  if (!may_be_asked_again(reply.status.code())) return finish(reply.request_id, reply.status);
  if (reply.status.code() == Code::kUnknown) ask.may_have_effect = true;
  if (reply.status.code() != Code::kNotLeader) {
    ask.last_refusal = reply.status;
    return;
  }
  ask.hint = reply.leader;
  // This node's configuration may be too old to know it.
  const Result<net::Address> address = net::parse_address(reply.leader_address);
  if (reply.leader != core_.self() && !network_.has_peer(reply.leader) && address)
    network_.set_peer(reply.leader, *address);
}

// An earlier request, whose answer was lost, may have done it.
bool MemberClient::is_reached(const Ask& ask, const net::MemberReply& reply) const {
  if (reply.status) return true;
  return ask.may_have_effect && ask.change.action == MemberAction::kRemove && ask.change.id != 0 &&
         reply.status.code() == Code::kNotFound;
}

void MemberClient::handle_link_lost(NodeId peer) {
  for (auto& [id, ask] : asks_) {
    if (ask.hint == peer) ask.hint = 0;
    if (ask.asked != peer) continue;
    ask.asked = 0;
    ask.may_have_effect = true;
    ask.last_refusal = {Code::kUnknown, "the connection to member " + std::to_string(peer) + " broke"};
  }
}

void MemberClient::tick() {
  const Deadline now = loop_.now();
  std::vector<uint64_t> waiting;
  for (const auto& [id, ask] : asks_) waiting.push_back(id);
  for (uint64_t id : waiting) {
    const auto found = asks_.find(id);
    if (found == asks_.end()) continue;
    Ask& each = found->second;
    const NodeId leader = core_.leader();
    const bool was_handed_over = each.change.action == MemberAction::kTransfer && each.change.id == 0 &&
                                 each.may_have_effect && leader != 0 && leader != each.leader_before;
    if (was_handed_over) {
      const Member* member = core_.configuration().find(leader);
      finish(id, MemberAnswer{0, leader, member == nullptr ? "" : member->address, 0});
    } else if (now >= each.deadline) {
      finish(id, late(each));
    } else {
      ask(id, each);
    }
  }
}

Status MemberClient::late(const Ask& ask) const {
  if (ask.asked != 0 || ask.may_have_effect) {
    return {
        Code::kUnknown,
        "the time given was over before the cluster agreed to the change, which may still take effect: look at "
        "dqlite_cluster, and ask again"};
  }
  if (ask.last_refusal) {
    return {Code::kNoQuorum,
            "no leader is known now: a majority of the cluster's voters must be running and reachable"};
  }
  if (ask.last_refusal.code() == Code::kNoQuorum) return ask.last_refusal;
  return {Code::kTimeout, "the time given was over: " + ask.last_refusal.sentence()};
}

void MemberClient::finish(uint64_t id, const Result<MemberAnswer>& outcome) {
  const auto found = asks_.find(id);
  if (found == asks_.end()) return;
  found->second.completion->complete(outcome);
  asks_.erase(found);
}

void MemberClient::fail_all(const Status& reason) {
  for (auto& [id, ask] : asks_) ask.completion->complete(reason);
  asks_.clear();
}

}  // namespace dqlite::raft
