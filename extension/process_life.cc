#include "extension/process_life.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>

#include "extension/node_registry.h"

namespace dqlite::extension {
namespace {

pid_t owner = 0;  // the process that has the nodes

// Every node gets an equal share of the time that is left.
void stop_all_nodes() {
  if (::getpid() != owner) return;
  raft::Deadline end = raft::Clock::now() + kExitTime;
  int left = 0;
  for (RunningNode* node = node_registry().first(); node != nullptr; node = node->next) left++;
  for (RunningNode* node = node_registry().first(); node != nullptr; node = node->next, left--) {
    raft::Deadline now = raft::Clock::now();
    node->stop(now < end ? now + (end - now) / left : now);
  }
}

void at_exit() {
  try {
    stop_all_nodes();
  } catch (...) {
    // Out of memory: the process ends as if it was killed, and loses nothing.
  }
}

void before_fork() {
  node_registry().before_fork();
}
void after_fork_in_parent() {
  node_registry().after_fork_in_parent();
}
void after_fork_in_child() {
  node_registry().after_fork_in_child();
  // Its nodes are its own to end, in the exit handler that it has inherited.
  if (!node_registry().forked()) owner = ::getpid();
}

bool prepare() {
  owner = ::getpid();
  // A failure of either leaves exit and fork as they are without it: like a kill, which loses nothing.
  std::atexit(at_exit);
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  return true;
}

}  // namespace

void prepare_for_process_end() {
  static const bool prepared = prepare();
  (void)prepared;
}

}  // namespace dqlite::extension
