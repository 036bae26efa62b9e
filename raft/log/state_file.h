// Term and vote, and where the log begins: `state-0` and `state-1` in alternating slots.
//
// Every save goes into the slot that does not hold the newest state, with one write and one sync, so that a
// torn write leaves the state before it. Each slot is a checked file (raft/log/checked_file.h) of whatever
// length the configuration needs; slots are files of their own, so that no write of one touches the other. A
// slot comes to be by rename: one that exists and is not valid was torn or rotted, and is never just "not
// written yet". Used by Log, one thread at a time. A failure is final for the log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "codec/status.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

struct DurableState {
  HardState hard_state;
  LogStart start;
  // The oldest segment that belongs to the log, and the number of the batch it begins with: older files are
  // left-overs of a compaction or a reset and are ignored [B12].
  uint64_t first_segment = 1;
  uint64_t first_batch = 1;
};

class StateFile {
 public:
  StateFile(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  // False: no slot exists, this is a new directory. Else the newest valid slot is in `current()` and made
  // durable, since what survived `kill -9` in the page cache is not durable yet [A12]. kCorrupt if no slot is
  // valid: a vote may be forgotten, so the node must not go on under its identity.
  Result<bool> load();
  // Durable on return.
  Status save(const DurableState& state);
  [[nodiscard]] const DurableState& current() const { return current_; }

 private:
  struct Slot {
    std::unique_ptr<File> file;  // null: does not exist
  };
  [[nodiscard]] std::string name(int slot) const { return "state-" + std::to_string(slot); }
  Status open_slot(int slot);
  Status write_slot(int slot, ByteView bytes);

  Disk& disk_;
  std::string directory_;
  Slot slots_[2];
  int newest_ = 1;  // the first save goes to slot 0
  uint64_t sequence_ = 0;
  DurableState current_;
};

}  // namespace dqlite::raft
