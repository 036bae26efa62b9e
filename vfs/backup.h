// A plain SQLite file of what is committed, written while the node goes on.
//
//   <path>.part     while it is written; it never replaces a file
//   <path>          renamed when it is whole and synced: there is no half file of this name, also after a crash
//
// The file is byte for byte what a checkpoint of the same state leaves: format versions for a rollback
// journal, the stamp of its log index. Its pages are hashed on the way, and it gets its name only if they give
// the database's rolling checksum, so that no rot of this node gets into a backup.
//
// Called on the application's thread; commits and checkpoints go on (vfs/state_scan.h).
#pragma once

#include <functional>
#include <string>

#include "vfs/database.h"
#include "vfs/files.h"

namespace dqlite::vfs {

// The log index of the state that was written; 0: the database is not created yet, and the file empty. `pause` is
// called every so many pages, and a failure of it ends the backup. After any failure nothing is left over, but for
// a .part that is not this call's. kFull: no space; kBusy: see StateScan::run; kCorrupt: this node's copy is not what
// it should be; kRefused: `path` cannot be written, the sentence says why.
Result<uint64_t> write_backup(Files& files, Database& database, const std::string& path,
                              const std::function<Status()>& pause);

}  // namespace dqlite::vfs
