#include "raft/node/forwarder.h"

namespace dqlite::raft {

namespace {

// It certainly had no effect, and another moment or node may do better.
bool may_be_tried_again(Code code) {
  return code == Code::kNotLeader || code == Code::kNotCommitted || code == Code::kBusy ||
         code == Code::kNoQuorum;
}

}  // namespace

void Forwarder::begin(SharedBytes payload, Deadline deadline, IndexCompletion completion) {
  const uint64_t id = next_id_++;
  Command& command = commands_[id];
  command.payload = std::move(payload);
  command.deadline = deadline;
  command.completion = std::move(completion);
  try_now(id, command);
}

void Forwarder::try_now(uint64_t id, Command& command) {
  if (command.proposed || command.sent_to != 0) return;
  if (core_.role() == Role::kLeader) {
    command.proposed = true;
    propose_(id, command.payload);
    return;
  }
  const NodeId leader = core_.leader();
  if (leader == 0) return;
  net::ForwardRequest request;
  request.request_id = id;
  request.payload = *command.payload;
  if (network_.send_forward(leader, request)) command.sent_to = leader;
}

void Forwarder::try_waiting() {
  const Deadline now = loop_.now();
  std::vector<uint64_t> late;
  for (auto& [id, command] : commands_) {
    if (now >= command.deadline) {
      late.push_back(id);
    } else {
      try_now(id, command);
    }
  }
  for (uint64_t id : late) {
    const Command& command = commands_.at(id);
    const bool is_open = command.proposed || command.sent_to != 0;
    const std::string reason = command.last_refusal ? "no leader is known" : command.last_refusal.sentence();
    finish(id, is_open ? Status(Code::kUnknown,
                                "the leader did not answer in time: the command may or may not take "
                                "effect")
                       : Status(Code::kNoQuorum, "the command could not be proposed in time: " + reason));
  }
}

void Forwarder::handle_request(net::ConnectionId from, net::ForwardRequest request) {
  const uint64_t ticket = next_id_++;
  guests_[ticket] = {from, request.request_id};
  propose_(ticket, std::make_shared<const Bytes>(std::move(request.payload)));
}

void Forwarder::decided(uint64_t ticket, const Result<Index>& outcome) {
  const auto guest = guests_.find(ticket);
  if (guest == guests_.end()) return refused(ticket, outcome);
  net::ForwardReply reply;
  reply.request_id = guest->second.request_id;
  reply.status = outcome.status();
  if (outcome) reply.index = *outcome;
  network_.reply(guest->second.from, reply);
  guests_.erase(guest);
}

void Forwarder::handle_reply(NodeId from, const net::ForwardReply& reply) {
  const auto found = commands_.find(reply.request_id);
  if (found == commands_.end() || found->second.sent_to != from) return;
  refused(reply.request_id, reply.status ? Result<Index>(reply.index) : Result<Index>(reply.status));
}

// The end of one attempt: done, or to be tried again at the next tick.
void Forwarder::refused(uint64_t id, const Result<Index>& outcome) {
  const auto found = commands_.find(id);
  if (found == commands_.end()) return;
  if (outcome || !may_be_tried_again(outcome.status().code())) return finish(id, outcome);
  found->second.proposed = false;
  found->second.sent_to = 0;
  found->second.last_refusal = outcome.status();
}

void Forwarder::handle_link_lost(NodeId peer) {
  std::vector<uint64_t> lost;
  for (const auto& [id, command] : commands_) {
    if (command.sent_to == peer) lost.push_back(id);
  }
  for (uint64_t id : lost) {
    finish(id, Status(Code::kUnknown,
                      "the connection to the leader broke while it had the command: it may or may not "
                      "take effect"));
  }
}

void Forwarder::finish(uint64_t id, const Result<Index>& outcome) {
  const auto found = commands_.find(id);
  if (found == commands_.end()) return;
  found->second.completion->complete(outcome);
  commands_.erase(found);
}

void Forwarder::fail_all(const Status& reason) {
  for (auto& [id, command] : commands_) command.completion->complete(reason);
  commands_.clear();
  guests_.clear();
}

}  // namespace dqlite::raft
