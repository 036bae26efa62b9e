// The VFS named "dqlite": which files are replicated, and everything else passed on to the host's own VFS,
// whole.
//
// A file is replicated if it is opened as the main database of a connection through this VFS, or with
// `vfs=dqlite` in its own URI; an ATTACH or VACUUM INTO inherits the VFS without having asked for it and goes
// to the host's VFS unless the file is on the node's list already [V-C1]. Temporary files, `:memory:`,
// super-journals and all other names are the host's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "codec/status.h"
#include "vfs/connection.h"
#include "vfs/database_set.h"
#include "vfs/sqlite_api.h"

namespace dqlite::vfs {

// What a URI says about the node; unset: as remembered in the node's directory, or the default.
struct OpenParameters {
  std::optional<std::string> listen;
  std::optional<std::string> join;
  std::optional<int> timeout_ms;
  std::optional<int> voters;
  std::optional<int> standbys;
  std::optional<int> grace_ms;
  std::optional<std::string> failure_domain;
  std::optional<int> weight;
};

// What an open found or started.
struct OpenedNode {
  DatabaseSet* databases = nullptr;
  int timeout_ms = 5000;
};

// Where nodes come from: the extension.
class NodeProvider {
 public:
  virtual ~NodeProvider() = default;
  // The node of `directory` (absolute): the running one of this process, else started. `create`: a directory
  // that is not a node yet becomes one.
  virtual Result<OpenedNode> open(const std::string& directory, const OpenParameters& parameters,
                                  bool create) = 0;
  // The databases of the node of `directory` if it runs in this process.
  virtual DatabaseSet* find(const std::string& directory) = 0;
  // After `open` and the database itself: join what the URI says, adopt what the file holds.
  virtual Status database_opened(DatabaseSet& databases, Database& database,
                                 const OpenParameters& parameters) = 0;
  // True in a forked child: nothing of the node may be used.
  virtual bool forked() = 0;
};

// Registers the VFS, not as the default; a second call changes nothing. `provider` lives as long as the
// process.
int register_vfs(NodeProvider& provider);

// The connection behind an open main file of this VFS; null for any other file.
Connection* connection_of(sqlite3_file* file);
// The same for a schema of a handle, "main" for most.
Connection* connection_of(sqlite3* handle, const char* schema);

}  // namespace dqlite::vfs
