// How a new node becomes a member of a cluster: it founds one, or joins one.
//
// A new node decides once. Founding with a database file that existed before (adoption [B8]) differs from
// founding an empty cluster, and both exclude a join: so the three go through one mutex here, which is held
// for as long as the decision takes, disk and waiting included; nothing else needs it. Application threads
// only.
#pragma once

#include <mutex>
#include <string>

#include "raft/node.h"
#include "vfs/database_set.h"

namespace dqlite::extension {

class Beginnings {
 public:
  // Both live as long as this object. `listen`: the node's address, or empty.
  Beginnings(raft::Node& node, vfs::DatabaseSet& databases, std::string listen)
      : node_(node), databases_(databases), listen_(std::move(listen)) {}

  // Founds a cluster of one, with what the databases hold as its first state. Ok if this node is a member
  // already; returns when it may write.
  Status found(raft::Deadline deadline);
  // The file of `database`, found with content, becomes the first state of a new cluster. Ok if that is done
  // already; kRefused where another cluster is there, or on its way.
  Status adopt(vfs::Database& database, raft::Deadline deadline);
  // Makes this node a member of the cluster of `address`: see raft::Node::join.
  Status join(const std::string& address, raft::Deadline deadline);

 private:
  [[nodiscard]] bool has_records();
  Status begin_join();

  raft::Node& node_;
  vfs::DatabaseSet& databases_;
  const std::string listen_;
  std::mutex mutex_;            // one decision at a time
  bool empty_founded_ = false;  // an empty cluster was begun: it may complete later than `found` waited
  int joining_ = 0;             // joins under way
};

}  // namespace dqlite::extension
