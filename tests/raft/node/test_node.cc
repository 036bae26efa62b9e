#include "tests/raft/node/test_node.h"

#include <filesystem>
#include <thread>
#include <utility>

namespace dqlite::raft {

std::atomic<ProposalId> TestNode::next_proposal_{1};

bool eventually(const std::function<bool()>& condition) {
  const Deadline deadline = patience();
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

TestNode::TestNode() {
  options.directory = directory.path() + "/dqlite-node";
  options.listen = "127.0.0.1:0";
  options.tick_ms = 10;
  options.segment_bytes = 1 << 20;
}

Status TestNode::try_start() {
  Result<std::unique_ptr<IdentityFile>> identity = IdentityFile::open(posix_disk(), options.directory);
  if (!identity) return identity.status();
  machine = std::make_unique<FakeMachine>(file);
  machine->hold_incoming_at(std::exchange(hold_incoming_at, UINT64_MAX));
  Result<std::unique_ptr<Node>> opened = Node::open(options, std::move(*identity), *machine);
  if (!opened) return opened.status();
  node = std::move(*opened);
  return Status::ok();
}

void TestNode::start() {
  WORKS(try_start());
  // The next start is at the same place, as a node with a fixed address would be.
  if (!options.listen.empty()) options.listen = node->status().listening_on;
}

void TestNode::stop() {
  if (node) node->stop(patience());
  node.reset();
}

void TestNode::kill() {
  if (machine) machine->open_gate();
  node.reset();
}

void TestNode::found(bool adopted) {
  WORKS(node->bootstrap(adopted, patience()));
  CHECK(leads());
}

void TestNode::join(TestNode& other) {
  WORKS(node->join(other.address(), patience()));
}

ProposalId TestNode::propose(const std::string& command, Term term) {
  Proposal proposal;
  proposal.id = next_proposal_++;
  proposal.term = term;
  proposal.payload = std::make_shared<const Bytes>(command.begin(), command.end());
  const ProposalId id = proposal.id;
  node->propose(std::move(proposal));
  return id;
}

void TestNode::write(const std::string& command) {
  CHECK(try_write(command));
}

bool TestNode::try_write(const std::string& command) {
  const std::string id = std::to_string(propose(command));
  CHECK(machine->wait_one_of({"own " + id, "dropped " + id}));
  return machine->has_event("own " + id);
}

void TestNode::checkpoint() {
  machine->checkpoint();
  node->durable_point_moved();
}

size_t TestNode::voters() const {
  size_t count = 0;
  for (const MemberStatus& member : node->status().members) {
    if (member.member.role == MemberRole::kVoter) count++;
  }
  return count;
}

void write_somewhere(const std::vector<TestNode*>& nodes, const std::string& command) {
  while (!leader_of(nodes).try_write(command)) {
  }
}

void give_vote(TestNode& asked, const TestNode& member) {
  MemberChange change;
  change.action = MemberAction::kSetRole;
  change.id = member.node->status().identity.node_id;
  change.role = MemberRole::kVoter;
  WORKS(asked.node->change_members(change, patience()).status());
}

void found_three(TestNode& a, TestNode& b, TestNode& c) {
  a.start();
  a.found();
  b.start();
  b.join(a);
  c.start();
  c.join(a);
  CHECK(eventually([&] { return a.voters() == 3 && b.voters() == 3 && c.voters() == 3; }));
}

TestNode& leader_of(const std::vector<TestNode*>& nodes) {
  TestNode* leader = nullptr;
  const bool found = eventually([&] {
    for (TestNode* each : nodes) {
      if (each->node && each->leads() &&
          each->machine->count_events("gained") > each->machine->count_events("lost")) {
        leader = each;
      }
    }
    return leader != nullptr;
  });
  CHECK_TEXT(found, "no leader was elected");
  return *leader;
}

}  // namespace dqlite::raft
