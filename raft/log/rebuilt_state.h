// A state file made anew from the segments, when both of its slots are lost or unreadable.
//
// Term and vote cannot be known any more: so this is only for a member that leaves its cluster with its log
// (raft/node/lone_cluster.h), and raises its term above everything in the log before it takes part again. The log then
// begins where its oldest segment does, of those that follow each other without a gap up to the newest one. Files that
// a compaction left over may so belong to it again, which does no harm. Blocking; the thread that opens the node.
#pragma once

#include <string>

#include "codec/status.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

// Durable on return. Without any segment: the state of an empty log.
Status rebuild_state(Disk& disk, const std::string& directory);

}  // namespace dqlite::raft
