// The result codes that are this VFS's own, and how a Status becomes one.
//
// The primary code (lower byte) is what an application that knows nothing of dqlite acts on; the extended
// code tells the rest. The table in README.md is tested against this file.
#pragma once

#include <string>

#include "codec/status.h"
#include "vfs/sqlite_api.h"

namespace dqlite::vfs {

constexpr int kNotLeader =
    SQLITE_READONLY | (40 << 8);                    // write on a node that does not lead: go to the leader
constexpr int kNoQuorum = SQLITE_BUSY | (40 << 8);  // no leader, nothing proposed: retry
constexpr int kLeadershipLost = SQLITE_IOERR | (41 << 8);  // proposed, outcome unknown
constexpr int kNotCommitted = SQLITE_IOERR | (42 << 8);    // certainly not committed
constexpr int kNodeFailed =
    SQLITE_IOERR | (43 << 8);  // the node stopped acknowledging; see dqlite_last_error()
constexpr int kSnapshotLost =
    SQLITE_IOERR | (44 << 8);  // the copy under a long read was replaced: read again
constexpr int kReadUnconfirmed =
    SQLITE_IOERR | (45 << 8);  // read=linearizable without a leader that a majority confirms

// The sentence of the newest failure, for `dqlite_last_error()`: kept for the connection it happened on, or,
// where no connection exists yet (a failed open), for the process. Any thread.
void report_error(sqlite3* connection, int code, const std::string& sentence);
// The newest sentence of `connection` or of the process, whose newest may be an ATTACH of this connection;
// empty if there is none.
std::string last_error(sqlite3* connection);
void forget_errors(sqlite3* connection);

// A line for sqlite3_log from a thread that may not call SQLite: kept, and logged at the next `flush_log` of
// an application thread [V-D12]. Bounded: the oldest go first.
void queue_log(std::string line);
void flush_log();

}  // namespace dqlite::vfs
