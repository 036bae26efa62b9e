// What dqlite_backup() does: finds the database, waits for what its connection would wait for before a read, checks
// where the file is to go, and has it written (vfs/backup.h). Application threads, inside a call of SQLite.
#pragma once

#include <string>

#include "extension/connection_node.h"

namespace dqlite::extension {

struct BackupOutcome {
  uint64_t index = 0;
  bool was_interrupted = false;  // by sqlite3_interrupt(): nothing was left
};

Result<BackupOutcome> back_up(sqlite3* handle, const std::string& path, const std::string& schema);

}  // namespace dqlite::extension
