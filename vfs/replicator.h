// What the databases of a node need of the consensus.
//
// Implemented by the extension over raft::Node, and by fakes in tests. `vfs` and `raft` do not know each
// other: indexes and terms are plain numbers here. Called by application threads (and the checkpoint thread);
// the other direction (entries, role changes, fates of proposals) arrives at vfs::DatabaseSet on the applier
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::vfs {

using Deadline = std::chrono::steady_clock::time_point;

// Names the entry that a transaction's pages stand on [A1].
struct ProposalBase {
  uint64_t database = 0;
  uint64_t index = 0;
  uint64_t term = 0;
};

struct ReplicatedProposal {
  uint64_t id = 0;    // unique in this process
  uint64_t term = 0;  // the leader's term in which the pages were computed; 0: depends on nothing
  std::vector<ProposalBase> bases;
  SharedBytes payload;  // an encoded codec::Command
};

enum class Standing : uint8_t {
  kNew,         // member of no cluster: the first write makes one
  kJoining,     // a join was begun: no write may make a cluster
  kLeader,      // (whether this node may write is told by DatabaseSet's own ordered events)
  kFollower,    // another node leads
  kLeaderless,  // no leader is known
  kRemoved,     // the cluster goes on without this node
  kFailed,      // the node stopped acknowledging
};

class Replicator {
 public:
  virtual ~Replicator() = default;

  [[nodiscard]] virtual Standing standing() = 0;  // cheap
  // Makes a new node a cluster of one. `adopted`: a database file that existed before becomes the first state
  // [B8].
  virtual Status bootstrap(bool adopted, Deadline deadline) = 0;
  // Never waits; the fate arrives at the DatabaseSet. If it throws, it has taken nothing.
  virtual void propose(ReplicatedProposal proposal) = 0;
  // A read barrier: this node led `term` at a moment after the call began [A7].
  virtual Status confirm_leadership(uint64_t term, Deadline deadline) = 0;
  // Returns when this node has applied all that was committed anywhere before the call.
  virtual Status read_barrier(Deadline deadline) = 0;
  // Entries at or below are durable on this node and committed: a checkpoint never passes it.
  [[nodiscard]] virtual uint64_t durable_index() = 0;
  // False until a restarted node knows all it acknowledged in its last life to be committed [A2].
  [[nodiscard]] virtual bool is_caught_up() = 0;
  virtual Status wait_caught_up(Deadline deadline) = 0;
  // Asks whoever leads for a checkpoint of the cluster; the index of its entry, committed.
  virtual Result<uint64_t> request_checkpoint(Deadline deadline) = 0;
  // A checkpoint became durable: the log may be cut.
  virtual void checkpoint_done() = 0;
  // A copy of this node is rotten in places, and is being repaired; with an empty sentence: not any more. Such a node
  // should not lead [B9]. Never waits.
  virtual void copy_in_doubt(const std::string& reason) = 0;
  // A copy of this node is not what it should be, and nobody knows where, or its disk does not keep what is written:
  // the node stops. Never waits.
  virtual void copy_differs(const Status& reason) = 0;
  // The first answer of another member to a question of vfs/verification.h that is no failure.
  virtual Result<Bytes> ask_others(const Bytes& question, Deadline deadline) = 0;
  // The reason for kFailed or kRemoved, and who leads: for sentences.
  [[nodiscard]] virtual std::string fault() = 0;
  [[nodiscard]] virtual std::string leader_address() = 0;
};

}  // namespace dqlite::vfs
