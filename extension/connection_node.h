// Which node an SQL function or table speaks of: that of the connection it is called on.
//
// The node of the main database if that is replicated, else of the first replicated database that was
// attached. Application threads, inside a call of SQLite.
#pragma once

#include "codec/status.h"
#include "extension/running_node.h"
#include "vfs/connection.h"

namespace dqlite::extension {

struct ConnectionNode {
  vfs::Connection* connection = nullptr;
  RunningNode* node = nullptr;

  // The time that this connection gives the cluster.
  [[nodiscard]] raft::Deadline deadline() const {
    return raft::Clock::now() + std::chrono::milliseconds(connection->options().timeout_ms);
  }
};

// kRefused with what to do on a connection that has no replicated database, and in a forked child.
Result<ConnectionNode> node_of_connection(sqlite3* handle);

// The SQLite result code for a failure of a function or table.
int result_code(const Status& status);

}  // namespace dqlite::extension
