#include "extension/backup_function.h"

#include <climits>
#include <cstdlib>
#include <cstring>

#include "extension/interrupt_probe.h"
#include "extension/node_registry.h"
#include "vfs/backup.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::extension {
namespace {

const char kNodeDirectory[] = "dqlite-node";

// The absolute path of a file that is not there yet, in a directory that is no node's.
Result<std::string> check_target(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || path.starts_with("file:")) {
    return Status(Code::kInvalid,
                  "dqlite_backup takes the path of a file that is not there yet, as in "
                  "dqlite_backup('/backup/app.db')");
  }
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  char resolved[PATH_MAX];
  if (::realpath(directory.c_str(), resolved) == nullptr) {
    return Status(Code::kRefused, "the backup " + path + " cannot be written: the directory " + directory +
                                      ": " + std::strerror(errno));
  }
  const std::string parent = resolved;
  Result<bool> is_node = vfs::posix_files().exists(parent + "/" + kNodeDirectory);
  if (!is_node) return is_node.status();
  if (*is_node || (parent + "/").find(std::string("/") + kNodeDirectory + "/") != std::string::npos) {
    return Status(Code::kRefused,
                  parent +
                      " is the directory of a node, and every file in it the node's own: write "
                      "the backup to another directory");
  }
  return (parent == "/" ? "" : parent) + "/" + name;
}

// As a read of this connection does: a node that was just started shows what it acknowledged before, and who asked
// for linearizable reads gets all that is committed.
Status wait_to_read(const ConnectionNode& node) {
  raft::Node& consensus = node.node->node();
  if (consensus.standing() == raft::Standing::kNew) return Status::ok();
  (void)node.node->databases().waited_in_vain(
      std::chrono::milliseconds(node.connection->options().timeout_ms));
  if (!node.connection->options().linearizable) return Status::ok();
  return consensus.read_barrier(node.deadline()).in("read=linearizable");
}

}  // namespace

Result<BackupOutcome> back_up(sqlite3* handle, const std::string& path, const std::string& schema) {
  vfs::Connection* connection = vfs::connection_of(handle, schema.c_str());
  // An attached database may be another node's.
  RunningNode* node = connection == nullptr ? nullptr : node_registry().node_of(connection->databases());
  if (node == nullptr) {
    return Status(Code::kRefused, "'" + schema +
                                      "' is no replicated database of this connection: dqlite_backup takes " +
                                      "'main' or the name that ATTACH gave it");
  }
  Result<std::string> target = check_target(path);
  if (!target) return target.status();
  if (Status status = wait_to_read({connection, node}); !status) return status;
  InterruptProbe probe(handle);
  BackupOutcome outcome;
  Result<uint64_t> written =
      vfs::write_backup(vfs::posix_files(), connection->database(), *target, [&]() -> Status {
        if (!probe.is_interrupted()) return Status::ok();
        outcome.was_interrupted = true;
        return {Code::kBusy, "interrupted"};
      });
  if (outcome.was_interrupted) return outcome;
  if (!written) return written.status();
  outcome.index = *written;
  return outcome;
}

}  // namespace dqlite::extension
