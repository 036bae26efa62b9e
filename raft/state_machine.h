// What the consensus needs of the thing it replicates.
//
// Implemented by the extension over the databases of a node (extension/replicated_databases.h), and by fakes
// in tests. Every method except the snapshot ones is called on the node's applier thread, in log order, one
// at a time: entries, role changes and fates of proposals arrive in ONE ordered queue [A1 iv].
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "codec/status.h"
#include "raft/core/core.h"

namespace dqlite::raft {

// A consistent byte stream of the whole state at one log position. Used by the reader thread.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // The stream holds everything up to here; what it holds beyond, apply skips.
  [[nodiscard]] virtual EntryId last() const = 0;
  [[nodiscard]] virtual uint64_t size_bytes() const = 0;
  // Exactly `size` bytes, or fewer at the end. Offsets may be asked for again.
  virtual Result<Bytes> read(uint64_t offset, size_t size) = 0;
};

// Where an arriving snapshot goes. Used by the reader thread. Destroyed without `install` or `keep`: leaves no
// trace.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  // What is there already: the checksums of its pieces, from the first on. A piece that the sender's stream has
  // as well need not be written.
  virtual Result<std::vector<uint64_t>> held(size_t piece_bytes) = 0;
  // What was written stays, for the next installation to begin with. So it does when the process is killed.
  virtual void keep() = 0;
  virtual Status write(uint64_t offset, ByteView bytes) = 0;
  // Everything was written and its checksum was right. Durable on return; replaces the state at once. Called
  // on the applier thread, so no entry is applied meanwhile. A state that is newer already stays: a member
  // whose log was damaged may stand beyond what it is sent.
  virtual Status install() = 0;
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // A committed entry. `own`: the proposal of this node, in this life, that became this very entry. A failure
  // poisons the node, except kCorrupt of one database, which the implementation handles itself.
  virtual Status apply(const Entry& entry, std::optional<ProposalId> own) = 0;
  // This node leads `term`, and everything up to that term's no-op is applied.
  virtual void leadership_gained(Term term) = 0;
  virtual void leadership_lost() = 0;
  // Became no entry, or an entry that was overwritten: it certainly has no effect, and the code says why.
  // Except kUnknown: a snapshot replaced the state before the entry's fate was known here.
  virtual void proposal_dropped(ProposalId id, const Status& reason) = 0;
  // The node stopped acknowledging for good: every waiter must be woken.
  virtual void poisoned(const Status& reason) = 0;

  // The newest entry whose effect is durable outside the log: the log up to here may go. Any thread. At the
  // start of a node {0, 0} means that the state machine cannot tell: it gets the whole log again, and skips
  // what it holds.
  virtual EntryId durable_point() = 0;

  // The newest entry of which anything is durable outside the log: what is new to the state machine must come above it.
  // Any thread.
  virtual EntryId newest_held() = 0;

  // Any thread; the source stays valid while later checkpoints run.
  virtual Result<std::unique_ptr<SnapshotSource>> open_snapshot() = 0;
  virtual Result<std::unique_ptr<SnapshotSink>> begin_install(EntryId last, uint64_t size_bytes) = 0;
  // A question of a member's own state machine, this one's or another's, in words that only these know. Loop thread:
  // never waits. `answer` is called once, by any thread, at any time, or never if the node ends.
  virtual void inquire(Bytes question, std::function<void(Result<Bytes>)> answer) = 0;
  // What `keep` or a killed process left of an installation that nobody goes on with is removed.
  virtual void discard_kept_install() = 0;
};

}  // namespace dqlite::raft
