// One process at a time on a node directory.
//
// An open-file-description lock on `<directory>/lock`, whose content is the owner's pid as text. A POSIX lock
// would vanish when any descriptor of the file closes anywhere in the process; this one ends with its last
// descriptor, which a forked child may hold beyond its parent's death: the sentence then says so [B6]. Used
// by IdentityFile, and in a forked child.
#pragma once

#include <string>

#include "codec/status.h"

namespace dqlite::raft {

class DirectoryLock {
 public:
  DirectoryLock() = default;
  ~DirectoryLock();  // gives the lock up, children or not
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  // kBusy if somebody else holds it, with a sentence naming the pid; never waits.
  Status take(const std::string& directory);
  // In a forked child: closes the inherited descriptor; the parent keeps its lock.
  void close_after_fork();

 private:
  int descriptor_ = -1;
};

}  // namespace dqlite::raft
