// A cluster of cores in memory: the members, their disks and the network between them, all under a test's
// hand.
//
// Nothing happens by itself. A test (or the simulation) says what is delivered, which write reaches which
// disk, who crashes. A crash keeps only what the disk has. The observer sees every step and remembers
// everything across crashes, so that a promise broken in one life is found in the next.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/raft/core/observer.h"
#include "tests/raft/core/test_member.h"

namespace dqlite::raft {

// Commands of the tests: a text, or a change of a stream that names its base.
SharedBytes command(const std::string& text);
SharedBytes stream_command(uint64_t stream, EntryId base, uint64_t salt);

// What members say, made by hand.
inline Entry command_entry(Index index, Term term, const std::string& text = "x") {
  return {index, term, EntryKind::kCommand, command(text)};
}
inline Message append(NodeId from, NodeId to, Term term, EntryId previous, std::vector<Entry> entries,
                      Index commit = 0) {
  return {from, to, term, AppendRequest{previous, commit, 0, std::move(entries)}};
}

class Cluster {
 public:
  // Members 1 … voters, configured from the start; their logs are empty behind `base`.
  explicit Cluster(int voters, Index base = 0);
  virtual ~Cluster() = default;

  TestMember& add_blank(NodeId id);  // a member that is not in any configuration it knows
  TestMember& member(NodeId id) { return *members.at(id); }
  Core& core(NodeId id) { return *members.at(id)->core; }
  // Before the first tick. `set_log`: entries of these terms stand in its log, durable; its term is `term`.
  void set_options(const std::function<void(CoreOptions&)>& change);
  void set_first_role(NodeId id, MemberRole role);
  void set_log(NodeId id, const std::vector<Term>& terms, Term term, Index commit = 0);

  // --- one step each; false: nothing to do ---
  void collect(TestMember& m);
  bool write_one(TestMember& m);
  bool apply_some(TestMember& m, Index count);
  bool answer_log_read(TestMember& m);
  bool finish_install(TestMember& m, bool ok);
  void send_snapshot(TestMember& m, NodeId to);
  void deliver(const Message& message);
  void tick(NodeId id, int count = 1);
  void crash(NodeId id);
  void restart(NodeId id);
  void compact(TestMember& m, Index keep);  // the machine becomes durable; all but `keep` applied entries go
  void flush_writes_at_crash(TestMember& m, const Persist& torn, size_t entries_kept);

  // --- scenarios: many steps at once ---
  void settle();                             // delivers and completes everything until nothing moves
  void pump(NodeId id);                      // completes this member's disk and machine
  void tick_all(int count = 1);              // every live member, settling after each tick
  void tick_silently(NodeId id, int count);  // one member's clock alone; what it sends stays in the network
  void drop_all() { network.clear(); }
  void drop(const std::function<bool(const Message&)>& which);
  void isolate(NodeId id);
  void cut(NodeId a, NodeId b);
  void cut_one_way(NodeId from, NodeId to);
  void heal() { cuts.clear(); }
  void time_out(NodeId id);  // ticks this member alone until it campaigns; nothing is delivered
  void elect(NodeId id);     // and everything is delivered; fails the test if it does not lead then
  EntryId propose(NodeId id, const std::string& text);  // fails the test if it is refused
  Status try_propose(NodeId id, Proposal proposal);
  std::vector<Message> in_flight(const std::function<bool(const Message&)>& which) const;
  NodeId leader() const;  // the live leader of the highest term, or 0
  // The terms behind the start, as text: "1 1 2".
  std::string log_of(NodeId id) const;

  std::map<NodeId, std::unique_ptr<TestMember>> members;
  std::deque<Message> network;
  std::set<std::pair<NodeId, NodeId>> cuts;
  std::function<bool(const Message&)> lose;  // true: this message does not arrive
  Observer observer;
  Configuration first_configuration;

 protected:
  void start(TestMember& m);
  void route(TestMember& m, Message message);
  void observe(TestMember& m);
};

}  // namespace dqlite::raft
