// What a scenario says in one line: many steps at once.
#include <CppUTest/TestHarness.h>

#include <algorithm>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

void Cluster::pump(NodeId id) {
  TestMember& m = member(id);
  bool moved = true;
  while (moved && m.core) {
    moved = !m.disk_held && write_one(m);
    moved = (!m.apply_held && apply_some(m, 1000)) || moved;
    moved = answer_log_read(m) || moved;
    moved = (!m.apply_held && finish_install(m, true)) || moved;
    while (!m.snapshots.empty()) {
      const NodeId peer = m.snapshots.front().peer;
      m.snapshots.erase(m.snapshots.begin());
      send_snapshot(m, peer);
      moved = true;
    }
  }
}

void Cluster::settle() {
  for (int rounds = 0; rounds < 100000; rounds++) {
    for (auto& [id, m] : members) pump(id);
    if (network.empty()) break;
    const Message message = std::move(network.front());
    network.pop_front();
    deliver(message);
  }
  CHECK_TEXT(network.empty(), "the cluster never comes to rest");
  STRCMP_EQUAL("", observer.violation.c_str());
}

void Cluster::tick_all(int count) {
  for (int i = 0; i < count; i++) {
    for (auto& [id, m] : members) {
      tick(id);
      settle();
    }
  }
}

void Cluster::tick_silently(NodeId id, int count) {
  for (int i = 0; i < count; i++) {
    tick(id);
    pump(id);
  }
}

void Cluster::drop(const std::function<bool(const Message&)>& which) {
  std::erase_if(network, which);
}

void Cluster::isolate(NodeId id) {
  for (const auto& [other, m] : members) {
    if (other != id) cut(id, other);
  }
}

void Cluster::cut(NodeId a, NodeId b) {
  cut_one_way(a, b);
  cut_one_way(b, a);
}

void Cluster::cut_one_way(NodeId from, NodeId to) {
  cuts.insert({from, to});
}

void Cluster::time_out(NodeId id) {
  for (int i = 0; i < 100; i++) {
    const Term before = core(id).term();
    tick(id);
    if (core(id).role() == Role::kPreCandidate || core(id).term() != before) return;
  }
  FAIL("the member never campaigns");
}

void Cluster::elect(NodeId id) {
  // The others stop hearing of a leader first.
  for (auto& [other, m] : members) {
    if (other != id && m->core && m->core->role() != Role::kLeader) m->core->set_may_campaign(false);
  }
  for (int i = 0; i < 200 && core(id).role() != Role::kLeader; i++) tick_all();
  for (auto& [other, m] : members) {
    if (m->core) m->core->set_may_campaign(true);
  }
  settle();
  CHECK_TEXT(core(id).role() == Role::kLeader, "the member was not elected");
}

Status Cluster::try_propose(NodeId id, Proposal proposal) {
  TestMember& m = member(id);
  m.proposals.clear();
  m.core->propose(std::move(proposal));
  collect(m);
  CHECK_EQUAL(1, m.proposals.size());
  return m.proposals.front().status;
}

EntryId Cluster::propose(NodeId id, const std::string& text) {
  const Status status = try_propose(id, {.id = 1, .payload = command(text)});
  STRCMP_EQUAL("", status.sentence().c_str());
  return member(id).proposals.front().entry;
}

std::vector<Message> Cluster::in_flight(const std::function<bool(const Message&)>& which) const {
  std::vector<Message> found;
  std::copy_if(network.begin(), network.end(), std::back_inserter(found), which);
  return found;
}

NodeId Cluster::leader() const {
  NodeId best = 0;
  Term best_term = 0;
  for (const auto& [id, m] : members) {
    if (m->core && m->core->role() == Role::kLeader && m->core->term() > best_term) {
      best = id;
      best_term = m->core->term();
    }
  }
  return best;
}

std::string Cluster::log_of(NodeId id) const {
  std::string text;
  for (const Entry& entry : members.at(id)->log) {
    if (!text.empty()) text += " ";
    text += std::to_string(entry.term);
  }
  return text;
}

}  // namespace dqlite::raft
