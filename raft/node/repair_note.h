// The durable note that this member's log was damaged: `<node directory>/repairing`.
//
// Written before anything of the damaged log is touched, removed when the member may vote again (see
// `Core::State::maybe_end_mute`). While it is there the member is mute, in this life and in the next ones.
// Body of the checked file (raft/log/checked_file.h): u64 the term below which the member stays mute, text
// what was damaged. Blocking; the reader thread, or the thread that opens the node.
#pragma once

#include <optional>
#include <string>

#include "raft/core/types.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

struct RepairNote {
  Term mute_below = 0;
  std::string damage;
};

Status write_repair_note(Disk& disk, const std::string& directory, const RepairNote& note);
// Nothing if there is none; kCorrupt if it cannot be read.
Result<std::optional<RepairNote>> read_repair_note(Disk& disk, const std::string& directory);
Status remove_repair_note(Disk& disk, const std::string& directory);

}  // namespace dqlite::raft
