// Keeps the wanted number of voters and standbys while this node leads: asks the policy (raft/core/role_keeper.h)
// about once a second, and carries its answer out. One change at a time; the core refuses what must wait. Loop
// thread.
#pragma once

#include <map>

#include "raft/core/core.h"
#include "raft/core/role_keeper.h"
#include "raft/node/greeter.h"

namespace dqlite::raft {

class RoleTender {
 public:
  RoleTender(Core& core, const Greeter& greeter, const NodeOptions& options)
      : core_(core), greeter_(greeter), options_(options) {}

  void tick();

 private:
  [[nodiscard]] KeptMember describe(const PeerStatus& peer);

  Core& core_;
  const Greeter& greeter_;
  const NodeOptions& options_;
  uint64_t now_ms_ = 0;
  uint64_t next_ms_ = 0;
  Term term_ = 0;
  uint64_t elected_ms_ = 0;
  std::map<NodeId, uint64_t> answers_since_;  // of those that answer
};

}  // namespace dqlite::raft
