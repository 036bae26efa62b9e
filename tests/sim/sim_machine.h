// A state machine whose state is a hash of everything applied, and the newest entry of each stream. Its
// checkpoint stands for the database file: replaced at once or not at all, and it outlives the process.
#pragma once

#include <functional>
#include <map>

#include "raft/core/random.h"
#include "raft/state_machine.h"
#include "tests/sim/book.h"

namespace dqlite::raft::sim {

struct MachineState {
  EntryId last;
  uint64_t hash = 0;
  std::map<uint64_t, EntryId> streams;
};

// What outlives a process.
struct Storage {
  MachineState checkpoint;
  Bytes incoming;  // of a snapshot that was cut off: the next one may go on from there
};

class SimMachine final : public StateMachine {
 public:
  struct Events {
    std::function<void(const Entry&)> applied;
    std::function<void(uint64_t write, Index)> own;  // this node's proposal took effect
    std::function<void(uint64_t write, const Status&)> dropped;
    std::function<void()> installed;
  };

  // `snapshot_bytes`: how long a snapshot is, whatever it holds.
  SimMachine(Storage& storage, Book& book, Random& random, size_t snapshot_bytes, Events events)
      : storage_(storage),
        book_(book),
        random_(random),
        snapshot_bytes_(snapshot_bytes),
        events_(std::move(events)),
        state_(storage.checkpoint) {}

  // --- StateMachine ---
  Status apply(const Entry& entry, std::optional<ProposalId> own) override;
  void leadership_gained(Term term) override { leads_ = term; }
  void leadership_lost() override { leads_ = 0; }
  void proposal_dropped(ProposalId id, const Status& reason) override { events_.dropped(id, reason); }
  void poisoned(const Status&) override { leads_ = 0; }
  EntryId durable_point() override { return storage_.checkpoint.last; }
  EntryId newest_held() override { return storage_.checkpoint.last; }
  Result<std::unique_ptr<SnapshotSource>> open_snapshot() override;
  Result<std::unique_ptr<SnapshotSink>> begin_install(EntryId last, uint64_t size_bytes) override;

  void discard_kept_install() override { storage_.incoming.clear(); }
  void inquire(Bytes, std::function<void(Result<Bytes>)>) override {}

  // Its log was damaged, and may begin again below the state.
  void expect_replay() { is_replayed_ = true; }
  // Its process ended: what it does from now on has no effect.
  void die() { is_dead_ = true; }
  // False: nothing new.
  bool checkpoint();
  [[nodiscard]] const MachineState& state() const { return state_; }
  // The term in which it may write, or 0.
  [[nodiscard]] Term leads() const { return leads_; }
  // Of a thousand installs, that many find no space.
  void set_full_installs(uint64_t per_thousand) { full_installs_ = per_thousand; }

 private:
  class Source;
  class Sink;

  Storage& storage_;
  Book& book_;
  Random& random_;
  const size_t snapshot_bytes_;
  const Events events_;
  MachineState state_;
  Term leads_ = 0;
  bool is_dead_ = false;
  bool is_replayed_ = false;
  uint64_t full_installs_ = 0;
};

}  // namespace dqlite::raft::sim
