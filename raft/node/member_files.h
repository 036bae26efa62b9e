// What becoming, and being, a member means on disk: identity, log and state machine, brought together so that
// a crash at any point leaves either a node as before or a member. Blocking; the thread that opens the node,
// or its reader.
//
// Becoming a member, in this order:
//   1. the identity gets the cluster's id, still with node id 0: "a log of this cluster may lie here"
//   2. the log is made, and for a founder gets its first entry, the configuration
//   3. the identity gets the node id: from here on this node is a member
// A crash before 3 leaves a new (or joining) node, which begins again: a log that bears the id of step 1 was
// never used and is removed, and any other log is never touched. After 3 the log must be there: a member
// without one has forgotten its votes.
#pragma once

#include <memory>
#include <string>

#include "raft/log/identity.h"
#include "raft/log/log.h"
#include "raft/node.h"

namespace dqlite::raft {

struct MemberFiles {
  Identity identity;
  std::shared_ptr<Log> log;
  Recovered recovered;
  Index applied = 0;  // the state machine's durable point: replay begins behind it
  Index held = 0;     // the newest entry of which the state machine holds anything durably
  // The log is damaged (raft/node/damaged_log.h). `failed`: ok, or why this member takes no part; its log is
  // null then, or ends in front of the damage and cannot be written.
  Status failed{};
  std::string damage{};
  std::string lost{};             // the damage alone, without what is done about it
  bool may_become_alone = false;  // failed, and no other member is known that could help
};

// A member's log, brought into agreement with the state machine.
// Completes what made it a cluster of one, if that was cut off (raft/node/lone_cluster.h). Alone in a directory that
// was copied or moved, it has failed: nobody can judge whether the original lives [B7].
Result<MemberFiles> open_member_files(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                      StateMachine& machine);
// The same for an identity that is in no file: a simulation's. `knows_peers`: see IdentityFile.
Result<MemberFiles> open_member_files(Disk& disk, const NodeOptions& options, const Identity& identity,
                                      bool knows_peers, StateMachine& machine);

// `address`: as other members will reach this node; may be empty. `adopted`: see Node::bootstrap.
Result<MemberFiles> found_cluster(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                  const std::string& address, bool adopted, StateMachine& machine);
Result<MemberFiles> enter_cluster(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                  const ClusterId& cluster, NodeId node_id, StateMachine& machine);

}  // namespace dqlite::raft
