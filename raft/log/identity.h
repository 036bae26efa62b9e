// Who this node is: the durable facts about a node directory that outlive every process, and the lock on it.
//
// `<node directory>/identity` and `peers` (two copies, checksummed, written by temp + sync + rename + directory
// sync) and `<node directory>/lock` (an open-file-description lock that holds the owner's pid as text). The
// boot counter is raised and durable before `open` returns; peers keep the highest they saw, so that a copied
// or restored directory is found out [B7]. Called from the thread that opens the node, but for what says
// otherwise. A failed write is kIo or kFull, and leaves on disk what was there before.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/types.h"
#include "raft/log/directory_lock.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

struct Identity {
  static constexpr uint32_t kNoLimit = 0xffffffff;

  uint64_t instance = 0;  // drawn once, at the directory's creation
  NodeId node_id = 0;     // 0: new, member of nothing
  ClusterId cluster_id;
  uint64_t boot_counter = 0;  // of the present life
  uint64_t boot_nonce = 0;    // drawn for the present life, not kept
  std::string listen;         // as given, or empty
  std::string join_target;    // a join that was begun and has not ended: forbids bootstrap
  int timeout_ms = 5000;
  // As given; see raft::NodeOptions.
  uint32_t voters = 3;
  uint32_t standbys = kNoLimit;
  uint32_t grace_ms = 10000;
  std::string failure_domain;
  uint32_t weight = 0;
  bool removed = false;  // the cluster agreed to remove this node
  // Clusters to which this node belonged before it was made a cluster of one, newest last: their segments are
  // still in the log.
  std::vector<ClusterId> former_clusters;
  // It was decided that this node is a cluster of one, and its log does not say so yet (raft/node/lone_cluster.h).
  bool becomes_alone = false;
  // Where the directory was when it was created or last accepted. Another machine-id or inode now means
  // copied or moved. The device is for whoever reads the file: its number changes with a reboot or another
  // order of mounts, and a copy on another file system has another inode, too.
  std::string machine_id;
  uint64_t device = 0;
  uint64_t inode = 0;
};

// What a node remembers of its peers' starts. Calls from any thread.
class BootMemory {
 public:
  virtual ~BootMemory() = default;
  // The highest boot counter that this peer ever showed: durable on return, written only when raised (so
  // nearly never). A hello with a lower counter, or an equal one and another nonce, comes from a copied or
  // restored directory [B7].
  virtual Status remember_peer(uint64_t instance, uint64_t boot_counter) = 0;
  [[nodiscard]] virtual uint64_t peer_boot_counter(uint64_t instance) const = 0;  // 0: never seen
};

class IdentityFile final : public BootMemory {
 public:
  // Takes the lock, creates or reads the identity and raises the boot counter. kBusy if another process holds
  // the lock, with a sentence naming its pid, or "a child of dead pid N" if that process is gone. kCorrupt if
  // neither copy of the identity is valid, or the file is missing where a log is.
  static Result<std::unique_ptr<IdentityFile>> open(Disk& disk, const std::string& directory);
  ~IdentityFile() override;  // releases the lock

  [[nodiscard]] const Identity& identity() const { return identity_; }
  // True if the directory lies on another machine or inode than where it was created or last accepted. It
  // stays true from open to open until the place is accepted: a second start must not make a copy pass for
  // the original [B7].
  [[nodiscard]] bool was_copied() const { return was_copied_; }
  // The present identity, with the place where the directory lies now: saved, it makes this the true one.
  [[nodiscard]] Identity at_this_place() const;
  // The directory is the true one, wherever it lies now. Durable on return.
  Status accept_location() { return save(at_this_place()); }
  // Durable on return. `boot_nonce` is not kept.
  Status save(const Identity& identity);

  // These two may be called from any thread, beside each other and the rest.
  Status remember_peer(uint64_t instance, uint64_t boot_counter) override;
  [[nodiscard]] uint64_t peer_boot_counter(uint64_t instance) const override;
  [[nodiscard]] bool knows_peers() const;  // any was ever seen, since the last `forget_peers`
  // They belong to a cluster that this node has left. Durable on return.
  Status forget_peers();

  // In a forked child: closes the lock's descriptor without giving up the parent's lock.
  void close_after_fork();

 private:
  IdentityFile(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}
  Status load();
  Status create();
  Status load_peers();
  Status store_peers(std::map<uint64_t, uint64_t> peers);
  Status find_location();
  [[nodiscard]] bool is_elsewhere(const Identity& identity) const;

  Disk& disk_;
  std::string directory_;
  DirectoryLock lock_;
  Identity identity_;
  uint64_t sequence_ = 0;     // of the identity's writings
  size_t in_place_size_ = 0;  // of the file, if both its copies are valid
  bool was_copied_ = false;
  // Where the directory lies now.
  std::string machine_id_;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;

  std::mutex writing_;        // the turn to write `peers`; held over the disk calls of remember_peer alone
  mutable std::mutex mutex_;  // guards peers_; never held over a disk call
  std::map<uint64_t, uint64_t> peers_;
  uint64_t peers_sequence_ = 0;  // guarded by writing_
};

}  // namespace dqlite::raft
