// The durable note that a snapshot is being installed: `<node directory>/installing`.
//
// It holds the log start that belongs to the snapshot, and is written before the state machine replaces its
// state. So a crash between that and the log's reset leaves a state ahead of its log, and the note to mend it
// with; see `mend_interrupted_install`. Body of the checked file (raft/log/checked_file.h): u64 index, u64
// term, u64 configuration index, blob configuration. Blocking; the reader thread, or the thread that opens
// the node.
#pragma once

#include <optional>
#include <string>

#include "raft/core/configuration.h"
#include "raft/log/disk.h"
#include "raft/log/log.h"

namespace dqlite::raft {

Status write_install_note(Disk& disk, const std::string& directory, const LogStart& start);
// Nothing if there is none; kCorrupt if it cannot be read.
Result<std::optional<LogStart>> read_install_note(Disk& disk, const std::string& directory);
Status remove_install_note(Disk& disk, const std::string& directory);
// When the state machine has the snapshot: the log begins behind it, and the note goes.
Status finish_install(Disk& disk, const std::string& directory, Log& log, const LogStart& start);

}  // namespace dqlite::raft
