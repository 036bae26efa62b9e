// Finds out whether the voters that answer could still elect a leader: what a member must know before it leaves its
// cluster (raft/node/lone_cluster.h).
//
// A voter counts as answering if it is connected, in either direction, and something arrived lately, or if it refused
// this member's greeting: whatever its reason is, it runs. All are called at once and several times; the roll ends
// early with the first sign of a leader or of a majority. One that stands still or cannot be reached does not answer.
// Loop thread.
#pragma once

#include <functional>
#include <vector>

#include "raft/core/core.h"
#include "raft/net/network.h"
#include "raft/node/greeter.h"

namespace dqlite::raft {

class RollCall {
 public:
  // Ok: no majority answers. Else why this member must stay.
  using Done = std::function<void(const Status& refusal)>;

  RollCall(const Core& core, net::Network& network, const Greeter& greeter, int election_ticks)
      : core_(core), network_(network), greeter_(greeter), election_ticks_(election_ticks) {}

  // Calls under way end together.
  void begin(Done done);
  void tick();
  void fail_all(const Status& reason) { finish(reason); }

 private:
  void wake_all();
  [[nodiscard]] bool answers(const Member& member) const;
  // Ok while nobody who answers could go on without this member's consent.
  [[nodiscard]] Status judge() const;
  [[nodiscard]] Status judge_leader() const;
  [[nodiscard]] Status judge_voters(const Configuration& configuration) const;
  void finish(const Status& refusal);

  const Core& core_;
  net::Network& network_;
  const Greeter& greeter_;
  const int election_ticks_;
  int ticks_ = 0;
  std::vector<Done> waiting_;
};

}  // namespace dqlite::raft
