// One node in this process: a directory with its databases and the consensus, opened, joined and ended
// together.
//
// Made by the registry at the first open of a database of the directory, and never destroyed after that:
// threads of the host may use it until the process is gone. Any thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "extension/beginnings.h"
#include "extension/node_replicator.h"
#include "extension/replicated_databases.h"
#include "raft/node.h"
#include "vfs/database_set.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::extension {

class RunningNode {
 public:
  // Starts the node of `directory` (canonical). `create`: a directory that is no node yet becomes one. On
  // failure nothing stays open, locked or remembered, and the sentence says what to do.
  static Result<std::unique_ptr<RunningNode>> open(const std::string& directory,
                                                   const vfs::OpenParameters& parameters, bool create);
  ~RunningNode();

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] vfs::DatabaseSet& databases() { return *databases_; }
  [[nodiscard]] raft::Node& node() { return *node_; }
  [[nodiscard]] const std::string& listen() const { return listen_; }
  [[nodiscard]] int timeout_ms() const { return timeout_ms_; }

  // A further open in the same process: what it says must be true of the node that runs.
  Status check_parameters(const vfs::OpenParameters& parameters);
  // The first and every further database of the node is open: adopts what its file holds [B8], and joins what
  // the URI names. Waits for the join up to the node's time-out; one that takes longer goes on by itself.
  Status database_opened(vfs::Database& database, const vfs::OpenParameters& parameters);
  [[nodiscard]] Beginnings& beginnings() { return *beginnings_; }

  // See raft::Node::recover.
  Result<std::string> recover(bool force, raft::Deadline deadline);
  // Hands leadership over, ends the consensus, wakes whoever waits for it, and moves what is committed into
  // the database files: all by `deadline`. A second call waits for nothing.
  void stop(raft::Deadline deadline);
  [[nodiscard]] bool is_stopped() const { return stopped_.load(std::memory_order_acquire); }

  // In a forked child: closes the node's descriptors. Takes no lock.
  void close_after_fork() { node_->close_after_fork(); }

  RunningNode* next = nullptr;  // the registry's: set before the node can be found

 private:
  explicit RunningNode(std::string directory) : directory_(std::move(directory)) {}

  Status start(const vfs::OpenParameters& parameters);
  Status remember_parameters(raft::IdentityFile& file, const vfs::OpenParameters& parameters);
  Status start_consensus(std::unique_ptr<raft::IdentityFile> file);
  [[nodiscard]] raft::Deadline deadline() const;
  [[nodiscard]] std::string node_directory() const;

  const std::string directory_;
  std::string listen_;
  int timeout_ms_ = 0;
  std::optional<raft::Identity> before_;  // with the parameters of before this open, if it changed them

  // In the order in which they are made; each uses those above it.
  NodeReplicator replicator_;
  std::unique_ptr<vfs::DatabaseSet> databases_;
  std::unique_ptr<ReplicatedDatabases> machine_;
  std::unique_ptr<raft::Node> node_;
  std::unique_ptr<Beginnings> beginnings_;
  std::atomic<bool> stopped_{false};
};

}  // namespace dqlite::extension
