#include "extension/node_registry.h"

#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

#include "extension/process_life.h"
#include "vfs/files.h"

namespace dqlite::extension {
namespace {

Status forked_away() {
  return {Code::kRefused,
          "this process was forked from one with a running node: dqlite cannot be used in it. "
          "Fork before the first open"};
}

// One name for one directory, however it was reached.
Result<std::string> canonical(const std::string& directory) {
  char resolved[PATH_MAX];
  if (::realpath(directory.c_str(), resolved) != nullptr) return std::string(resolved);
  if (errno == ENOENT) {
    return Status(Code::kNotFound, "the directory " + directory +
                                       " does not exist: make it first (mkdir -p " + directory + ")");
  }
  return Status(Code::kIo, "the directory " + directory + " cannot be used: " + std::strerror(errno));
}

class Counted {
 public:
  explicit Counted(std::atomic<int>& count) : count_(count) { count_++; }
  ~Counted() { count_--; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
};

}  // namespace

Result<vfs::OpenedNode> NodeRegistry::open(const std::string& directory,
                                           const vfs::OpenParameters& parameters, bool create) {
  if (forked()) return forked_away();
  Counted under_way(opens_);
  Result<std::string> path = canonical(directory);
  if (!path) return path.status();
  Result<RunningNode*> node = running_or_started(*path, parameters, create);
  if (!node) return node.status();
  return vfs::OpenedNode{&(*node)->databases(), parameters.timeout_ms.value_or((*node)->timeout_ms())};
}

Result<RunningNode*> NodeRegistry::running_or_started(const std::string& directory,
                                                      const vfs::OpenParameters& parameters, bool create) {
  {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return !opening_.contains(directory); });
    if (RunningNode* running = find_running(directory)) {
      lock.unlock();
      if (Status status = running->check_parameters(parameters); !status) return status;
      return running;
    }
    opening_.insert(directory);
  }
  struct Turn {
    ~Turn() {
      std::lock_guard lock(registry.mutex_);
      registry.opening_.erase(directory);
      registry.opened_.notify_all();
    }
    NodeRegistry& registry;
    const std::string& directory;
  } turn{*this, directory};

  std::shared_lock no_fork(starting_);
  prepare_for_process_end();
  Result<std::unique_ptr<RunningNode>> started = RunningNode::open(directory, parameters, create);
  if (!started) return started.status();
  RunningNode* node = started->release();
  node->next = first_.load();
  while (!first_.compare_exchange_weak(node->next, node)) {
  }
  return node;
}

RunningNode* NodeRegistry::find_running(const std::string& canonical_directory) {
  for (RunningNode* node = first(); node != nullptr; node = node->next) {
    if (node->directory() == canonical_directory) return node;
  }
  return nullptr;
}

// Called for every file that SQLite asks about through this VFS: most are named as the node itself is.
vfs::DatabaseSet* NodeRegistry::find(const std::string& directory) {
  if (forked() || first() == nullptr) return nullptr;
  RunningNode* node = find_running(directory);
  if (node == nullptr) {
    Result<std::string> path = canonical(directory);
    if (path) node = find_running(*path);
  }
  return node == nullptr ? nullptr : &node->databases();
}

Status NodeRegistry::database_opened(vfs::DatabaseSet& databases, vfs::Database& database,
                                     const vfs::OpenParameters& parameters) {
  return node_of(databases)->database_opened(database, parameters);
}

RunningNode* NodeRegistry::node_of(const vfs::DatabaseSet& databases) {
  for (RunningNode* node = first(); node != nullptr; node = node->next) {
    if (&node->databases() == &databases) return node;
  }
  return nullptr;
}

// A process whose opens all failed leaves its child free to open nodes of its own. An open on another thread
// does not: it may hold, or wait for, what no thread of the child will ever release.
void NodeRegistry::after_fork_in_child() {
  if (first() != nullptr || opens_.load() != 0) forked_.store(true);
  for (RunningNode* node = first(); node != nullptr; node = node->next) node->close_after_fork();
  vfs::posix_files().close_after_fork();
  // Made anew, not unlocked: to the C library the writer is a thread of the parent, so that the unlock would
  // count as a reader's, and the child's own next fork() would wait for ever.
  new (&starting_) std::shared_mutex;
}

NodeRegistry& node_registry() {
  static NodeRegistry& registry = *new NodeRegistry;
  return registry;
}

}  // namespace dqlite::extension
