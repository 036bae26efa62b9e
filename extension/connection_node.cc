#include "extension/connection_node.h"

#include "extension/node_registry.h"
#include "vfs/connection_registry.h"
#include "vfs/error_codes.h"

namespace dqlite::extension {

Result<ConnectionNode> node_of_connection(sqlite3* handle) {
  if (node_registry().forked()) {
    return Status(
        Code::kRefused,
        "this process was forked from the one that has the node: ask there, or fork before the first open");
  }
  vfs::Connection* connection = vfs::connection_of(handle, "main");
  if (connection == nullptr) {
    std::vector<vfs::Connection*> attached = vfs::ConnectionRegistry::of(handle);
    if (!attached.empty()) connection = attached.front();
  }
  RunningNode* node = connection == nullptr ? nullptr : node_registry().node_of(connection->databases());
  if (node == nullptr) {
    return Status(Code::kRefused, "this connection has no replicated database: open file:...?vfs=dqlite");
  }
  return ConnectionNode{connection, node};
}

int result_code(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return SQLITE_OK;
    case Code::kNotLeader:
      return vfs::kNotLeader;
    case Code::kNoQuorum:
      return vfs::kNoQuorum;
    case Code::kUnknown:
      return vfs::kLeadershipLost;
    case Code::kNotCommitted:
      return vfs::kNotCommitted;
    case Code::kFull:
      return SQLITE_FULL;
    case Code::kCorrupt:
    case Code::kIo:
    case Code::kUnsupported:
    case Code::kPoisoned:
      return vfs::kNodeFailed;
    case Code::kInvalid:
    case Code::kRefused:
    case Code::kNotFound:
    case Code::kBusy:
    case Code::kTimeout:
      break;
  }
  // The caller's mistakes, and waits that ended: not SQLITE_BUSY, which shells and drivers show without its
  // sentence.
  return SQLITE_ERROR;
}

}  // namespace dqlite::extension
