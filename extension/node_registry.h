// The nodes of this process: one for each directory, started by the first open, there until the process ends.
//
// The vfs asks it for the node of a database (vfs::NodeProvider), SQL functions for the node of a connection,
// and the ends of the process (process_life.h) for all of them. Any thread. Nodes and the registry itself are
// leaked on purpose: threads of the host may still use them while static objects are destroyed [B6].
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>

#include "extension/running_node.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::extension {

class NodeRegistry : public vfs::NodeProvider {
 public:
  // --- vfs::NodeProvider ---
  // Two threads that open one directory at once start its node once; opens of different directories do not
  // wait for each other.
  Result<vfs::OpenedNode> open(const std::string& directory, const vfs::OpenParameters& parameters,
                               bool create) override;
  vfs::DatabaseSet* find(const std::string& directory) override;
  Status database_opened(vfs::DatabaseSet& databases, vfs::Database& database,
                         const vfs::OpenParameters& parameters) override;
  bool forked() override { return forked_.load(std::memory_order_relaxed); }

  // Null if no node of this process has these databases.
  RunningNode* node_of(const vfs::DatabaseSet& databases);
  // All nodes, linked by `next`, newest first. Takes no lock.
  [[nodiscard]] RunningNode* first() const { return first_.load(std::memory_order_acquire); }

  // --- around fork() ---
  // A fork waits for nodes that are being started, so that the child knows every descriptor it must close.
  void before_fork() { starting_.lock(); }
  void after_fork_in_parent() { starting_.unlock(); }
  // Where the parent has nodes, closes their descriptors: from then on nothing of the registry may be used.
  void after_fork_in_child();

 private:
  Result<RunningNode*> running_or_started(const std::string& directory, const vfs::OpenParameters& parameters,
                                          bool create);
  RunningNode* find_running(const std::string& canonical_directory);

  std::atomic<RunningNode*> first_{nullptr};
  std::atomic<bool> forked_{false};
  std::atomic<int> opens_{0};      // calls of `open` that have not returned
  std::shared_mutex starting_;     // shared while a node starts, exclusive around fork()
  std::mutex mutex_;               // guards opening_
  std::set<std::string> opening_;  // directories whose node is being started
  std::condition_variable opened_;
};

// The registry of this process.
NodeRegistry& node_registry();

}  // namespace dqlite::extension
