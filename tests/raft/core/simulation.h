// A cluster under a seed: every choice (who ticks, what is delivered, lost, repeated or reordered, which
// write reaches its disk, who crashes with how much of its last write, what clients and operators ask for) is
// drawn from it, so a failing seed is a reproduction. First the safety phase, in which anything goes; then
// the liveness phase, in which the network is whole (or one member is frozen for good) and the cluster must
// make progress within a bounded time.
//
// The shape is drawn first (swarm testing: how many members, how bad the network, how slow the disks, which
// operations occur at all), so that seeds differ in kind and not only in order.
#pragma once

#include "raft/core/random.h"
#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

class Simulation : private Cluster {
 public:
  explicit Simulation(uint64_t seed);

  // Empty, or what was violated.
  std::string run(int steps);

  // How often something happened: a simulation in which nothing does proves nothing.
  struct Counts {
    int elections = 0, commits = 0, crashes = 0, proposals = 0, refused_bases = 0, membership_changes = 0,
        transfers = 0, transfers_done = 0, reads = 0, reads_done = 0, snapshots = 0, installs = 0,
        log_reads = 0, rots = 0, repairs = 0;
    void add(const Counts& other);
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Shape {
    int loss = 0, duplicate = 0, disk_speed = 0, crash = 0, partition = 0, membership = 0, transfer = 0,
        read = 0, compact = 0, propose = 0, pause = 0, wake = 0, storm = 0, network_speed = 0, rot = 0;
  };
  struct Read {
    NodeId member;
    uint64_t life;
    Index committed_before;
  };

  bool chance(int per_thousand) { return random_.below(1000) < static_cast<uint64_t>(per_thousand); }
  TestMember& any();
  TestMember* any_live();
  void step();
  void move_network();
  void move_disks(TestMember& m);
  void fault();
  void partition(TestMember& m);
  void storm();
  void crash_now(TestMember& m);
  void restart_now(TestMember& m);
  void rot(TestMember& m);
  [[nodiscard]] bool is_any_damaged() const;
  void client();
  void propose_stream(TestMember& m);
  void operate();
  void check_outcomes(TestMember& m);
  void create_joiners();
  void after_step();
  [[nodiscard]] bool can_spare(NodeId frozen) const;
  void calm();
  void calm_tick();
  [[nodiscard]] bool is_everywhere(const TestMember& leading, Index target) const;
  std::string live();
  [[nodiscard]] std::string describe() const;

  Random random_;
  Shape shape_;
  Counts counts_;
  std::map<uint64_t, Read> reads_;
  uint64_t next_id_ = 1;
  std::map<NodeId, uint64_t> lives_;
  std::map<NodeId, int> clock_speed_;  // ticks in a thousand steps
  std::set<NodeId> frozen_;
  std::set<NodeId> retired_;
  // What a client of a leader builds on: the newest entry per stream, appended or applied. In one term of one
  // life.
  struct Tip {
    Term term = 0;
    std::map<uint64_t, EntryId> newest;
  };
  std::map<NodeId, Tip> tips_;
};

}  // namespace dqlite::raft
