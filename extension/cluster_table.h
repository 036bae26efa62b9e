// dqlite_cluster: one row for each member of the cluster, as this node knows it; none for a node that is new.
// Described in the main README.
#pragma once

#include "extension/row_table.h"
#include "raft/node.h"

namespace dqlite::extension {

extern const RowTable kClusterTable;

// "voter", "standby" or "spare"; "removed" for this node itself, after its removal.
const char* role_of(const raft::MemberStatus& status);

}  // namespace dqlite::extension
