// The other side of a join: what a member says to a node that asks to be taken in, and the leader's care for
// members that moved.
//
// A request is answered when the configuration that holds the joiner is committed. A repeated request (the
// same instance) gets the same id again; one from a new address changes the member's address [C3]. Loop
// thread.
#pragma once

#include "raft/net/network.h"
#include "raft/node/greeter.h"

namespace dqlite::raft {

class JoinDesk {
 public:
  JoinDesk(Core& core, net::Network& network, const ClusterId& cluster)
      : core_(core), network_(network), cluster_(cluster) {}

  void set_cluster(const ClusterId& cluster) { cluster_ = cluster; }
  void handle(net::ConnectionId from, const net::JoinRequest& request);
  // Once per turn: answers who can be answered.
  void answer_committed();
  // Members that say of themselves that they are elsewhere, this one included: one at a time.
  void announce_moves(const Greeter& greeter, const std::string& own_address);

 private:
  struct Waiting {
    net::ConnectionId from = 0;
    NodeId node_id = 0;
    Index index = 0;  // the configuration entry that must be committed
  };

  void refer_to_leader(net::ConnectionId to);

  Core& core_;
  net::Network& network_;
  ClusterId cluster_;
  std::vector<Waiting> waiting_;
};

}  // namespace dqlite::raft
