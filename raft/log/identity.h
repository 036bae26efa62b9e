// Who this node is: the durable facts about a node directory that outlive every process, and the lock on it.
//
// `<node directory>/identity` (two copies, checksummed, written by temp + sync + rename + directory sync) and
// `<node directory>/lock` (an open-file-description lock that holds the owner's pid as text). The boot counter is raised
// and durable before `open` returns; peers keep the highest they saw, so that a copied or restored directory is found
// out [B7]. Called from the thread that opens the node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "codec/status.h"
#include "raft/core/types.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

struct ClusterId {
  uint64_t high = 0;
  uint64_t low = 0;
  [[nodiscard]] bool is_set() const { return (high | low) != 0; }
  [[nodiscard]] std::string text() const;  // 32 hexadecimal digits
  bool operator==(const ClusterId&) const = default;
};

struct Identity {
  uint64_t instance = 0;      // drawn once, at the directory's creation
  NodeId node_id = 0;         // 0: new, member of nothing
  ClusterId cluster_id;
  uint64_t boot_counter = 0;  // of the present life
  uint64_t boot_nonce = 0;    // drawn for the present life, not kept
  std::string listen;         // as given, or empty
  std::string join_target;    // a join that was begun and has not ended: forbids bootstrap
  int timeout_ms = 5000;
  // Where the directory was when it was written: machine-id, device and inode. A mismatch means copied or moved.
  std::string machine_id;
  uint64_t device = 0;
  uint64_t inode = 0;
};

class IdentityFile {
 public:
  // Takes the lock, creates or reads the identity and raises the boot counter. kBusy if another process holds the lock,
  // with a sentence naming its pid, or "a child of dead pid N" if that process is gone.
  static Result<std::unique_ptr<IdentityFile>> open(Disk& disk, const std::string& directory);
  ~IdentityFile();  // releases the lock

  [[nodiscard]] const Identity& identity() const { return identity_; }
  // True if the directory lies on another machine, device or inode than when it was last opened.
  [[nodiscard]] bool was_copied() const { return was_copied_; }
  // Durable on return.
  Status save(const Identity& identity);
  // In a forked child: closes the lock's descriptor without giving up the parent's lock.
  void close_after_fork();

 private:
  IdentityFile(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  Disk& disk_;
  std::string directory_;
  Identity identity_;
  bool was_copied_ = false;
  int lock_descriptor_ = -1;
};

}  // namespace dqlite::raft
