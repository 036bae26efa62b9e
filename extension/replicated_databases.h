// The databases of a node as the consensus sees them: raft::StateMachine over vfs::DatabaseSet.
//
// Adds nothing of its own but the translation: both sides state the same order of events. Called by the
// node's applier thread, and by its reader thread for snapshots. A failing apply stops the node (see
// raft/state_machine.h).
#pragma once

#include <memory>

#include "raft/state_machine.h"
#include "vfs/database_set.h"

namespace dqlite::extension {

class ReplicatedDatabases : public raft::StateMachine {
 public:
  explicit ReplicatedDatabases(vfs::DatabaseSet& databases) : databases_(databases) {}

  Status apply(const raft::Entry& entry, std::optional<raft::ProposalId> own) override;
  void leadership_gained(raft::Term term) override;
  void leadership_lost() override;
  void proposal_dropped(raft::ProposalId id, const Status& reason) override;
  void poisoned(const Status& reason) override;
  raft::EntryId durable_point() override;
  raft::EntryId newest_held() override;
  Result<std::unique_ptr<raft::SnapshotSource>> open_snapshot() override;
  Result<std::unique_ptr<raft::SnapshotSink>> begin_install(raft::EntryId last, uint64_t size_bytes) override;
  void discard_kept_install() override;
  void inquire(Bytes question, std::function<void(Result<Bytes>)> answer) override;

 private:
  vfs::DatabaseSet& databases_;
};

}  // namespace dqlite::extension
