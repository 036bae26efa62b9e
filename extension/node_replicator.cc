#include "extension/node_replicator.h"

#include <algorithm>

#include "codec/command.h"

namespace dqlite::extension {
namespace {

// A member that is not heard of for so long is passed over, and not asked again for a while.
constexpr std::chrono::seconds kMemberSilence{2};
constexpr std::chrono::seconds kSilenceRemembered{20};

Status not_open_yet() {
  return {Code::kNoQuorum, "the node is still reading its log"};
}

// Those in contact first, as far as this node knows.
std::vector<raft::NodeId> others_by_contact(const raft::NodeStatus& status) {
  std::vector<std::pair<uint64_t, raft::NodeId>> others;
  for (const raft::MemberStatus& member : status.members) {
    if (member.is_self) continue;
    others.emplace_back(static_cast<uint64_t>(member.last_contact_ms), member.member.id);  // -1: last
  }
  std::sort(others.begin(), others.end());
  std::vector<raft::NodeId> ids;
  ids.reserve(others.size());
  for (const auto& [contact, id] : others) ids.push_back(id);
  return ids;
}

}  // namespace

vfs::Standing NodeReplicator::standing() {
  raft::Node* opened = node();
  if (opened == nullptr) return vfs::Standing::kLeaderless;
  switch (opened->standing()) {
    case raft::Standing::kNew:
      return vfs::Standing::kNew;
    case raft::Standing::kJoining:
      return vfs::Standing::kJoining;
    case raft::Standing::kLeader:
      return vfs::Standing::kLeader;
    case raft::Standing::kFollower:
      return vfs::Standing::kFollower;
    case raft::Standing::kLeaderless:
      return vfs::Standing::kLeaderless;
    case raft::Standing::kRemoved:
      return vfs::Standing::kRemoved;
    case raft::Standing::kPoisoned:
    case raft::Standing::kStopped:
      break;
  }
  return vfs::Standing::kFailed;
}

// What was adopted is seen from the databases themselves.
Status NodeReplicator::bootstrap(bool, vfs::Deadline deadline) {
  return node() == nullptr ? not_open_yet() : beginnings_->found(deadline);
}

// A proposal comes from a connection or from the leader's checkpoint thread, and both need an open node: this
// one leads.
void NodeReplicator::propose(vfs::ReplicatedProposal proposal) {
  raft::Node* opened = node();
  if (opened == nullptr) return;
  raft::Proposal translated;
  translated.id = proposal.id;
  translated.term = proposal.term;
  for (const vfs::ProposalBase& base : proposal.bases) {
    translated.bases.push_back({base.database, {base.index, base.term}});
  }
  translated.payload = std::move(proposal.payload);
  opened->propose(std::move(translated));
}

Status NodeReplicator::confirm_leadership(uint64_t term, vfs::Deadline deadline) {
  raft::Node* opened = node();
  return opened == nullptr ? not_open_yet() : opened->confirm_leadership(term, deadline);
}

Status NodeReplicator::read_barrier(vfs::Deadline deadline) {
  raft::Node* opened = node();
  return opened == nullptr ? not_open_yet() : opened->read_barrier(deadline);
}

uint64_t NodeReplicator::durable_index() {
  raft::Node* opened = node();
  return opened == nullptr ? 0 : opened->durable_index();
}

bool NodeReplicator::is_caught_up() {
  raft::Node* opened = node();
  return opened != nullptr && opened->is_caught_up();
}

Status NodeReplicator::wait_caught_up(vfs::Deadline deadline) {
  raft::Node* opened = node();
  return opened == nullptr ? not_open_yet() : opened->wait_caught_up(deadline);
}

Result<uint64_t> NodeReplicator::request_checkpoint(vfs::Deadline deadline) {
  raft::Node* opened = node();
  if (opened == nullptr) return not_open_yet();
  auto payload = std::make_shared<const Bytes>(codec::encode(codec::Command(codec::Checkpoint{})));
  return opened->propose_anywhere(std::move(payload), deadline);
}

void NodeReplicator::checkpoint_done() {
  if (raft::Node* opened = node()) opened->durable_point_moved();
}

void NodeReplicator::copy_in_doubt(const std::string& reason) {
  if (raft::Node* opened = node()) opened->set_doubt(reason);
}

void NodeReplicator::copy_differs(const Status& reason) {
  if (raft::Node* opened = node()) opened->fail(reason);
}

Result<Bytes> NodeReplicator::ask_others(const Bytes& question, vfs::Deadline deadline) {
  Status failure(Code::kNotFound, "there is no other member to ask");
  raft::Node* opened = node();
  if (opened == nullptr) return not_open_yet();
  const auto shared = std::make_shared<const Bytes>(question);
  for (const raft::NodeId id : others_by_contact(opened->status())) {
    if (was_silent(id)) {
      failure = {Code::kTimeout, "member " + std::to_string(id) + " did not answer a moment ago"};
      continue;
    }
    const std::optional<Result<Bytes>> answer = opened->inquire(id, shared, kMemberSilence)->wait(deadline);
    if (!answer) return Status(Code::kTimeout, "the other members did not answer in time");
    if (*answer) return *answer;
    failure = answer->status();
    if (failure.code() == Code::kTimeout) note_silence(id);
  }
  return failure;
}

bool NodeReplicator::was_silent(raft::NodeId id) {
  std::lock_guard lock(mutex_);
  const auto found = silent_until_.find(id);
  return found != silent_until_.end() && raft::Clock::now() < found->second;
}

void NodeReplicator::note_silence(raft::NodeId id) {
  std::lock_guard lock(mutex_);
  silent_until_[id] = raft::Clock::now() + kSilenceRemembered;
}

std::string NodeReplicator::fault() {
  raft::Node* opened = node();
  if (opened == nullptr) return not_open_yet().sentence();
  raft::NodeStatus status = opened->status();
  if (!status.fault.empty()) return status.fault;
  if (status.standing == raft::Standing::kRemoved) return status.warning;
  return "it was told to end, by dqlite_stop() or by the end of the process";
}

std::string NodeReplicator::leader_address() {
  raft::Node* opened = node();
  return opened == nullptr ? "" : opened->status().leader_address;
}

}  // namespace dqlite::extension
