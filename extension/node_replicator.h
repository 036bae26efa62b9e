// The consensus as the databases of a node see it: vfs::Replicator over raft::Node.
//
// The databases exist before the node, which replays its log into them while it opens: until `connect` no
// leader is known and nothing is durable. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "extension/beginnings.h"
#include "raft/node.h"
#include "vfs/replicator.h"

namespace dqlite::extension {

class NodeReplicator : public vfs::Replicator {
 public:
  // Both live as long as anybody calls this object.
  void connect(raft::Node& node, Beginnings& beginnings) {
    beginnings_ = &beginnings;
    node_.store(&node, std::memory_order_release);
  }

  vfs::Standing standing() override;
  Status bootstrap(bool adopted, vfs::Deadline deadline) override;
  void propose(vfs::ReplicatedProposal proposal) override;
  Status confirm_leadership(uint64_t term, vfs::Deadline deadline) override;
  Status read_barrier(vfs::Deadline deadline) override;
  uint64_t durable_index() override;
  bool is_caught_up() override;
  Status wait_caught_up(vfs::Deadline deadline) override;
  Result<uint64_t> request_checkpoint(vfs::Deadline deadline) override;
  void checkpoint_done() override;
  void copy_in_doubt(const std::string& reason) override;
  void copy_differs(const Status& reason) override;
  Result<Bytes> ask_others(const Bytes& question, vfs::Deadline deadline) override;
  std::string fault() override;
  std::string leader_address() override;

 private:
  [[nodiscard]] raft::Node* node() const { return node_.load(std::memory_order_acquire); }

  bool was_silent(raft::NodeId id);
  void note_silence(raft::NodeId id);

  Beginnings* beginnings_ = nullptr;  // set before node_
  std::atomic<raft::Node*> node_{nullptr};
  std::mutex mutex_;  // guards what follows
  std::map<raft::NodeId, raft::Deadline> silent_until_;
};

}  // namespace dqlite::extension
