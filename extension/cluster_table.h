// dqlite_cluster: one row for each member of the cluster, as this node knows it; none for a node that is new.
// Described in the main README.
#pragma once

#include "extension/row_table.h"
#include "raft/core/types.h"

namespace dqlite::extension {

extern const RowTable kClusterTable;

// "voter", "standby" or "spare".
const char* role_name(raft::MemberRole role);

}  // namespace dqlite::extension
