// Drops the log's prefix when the state machine no longer needs it: up to its durable point, but a tail of
// the log stays for followers that were away for a while, and what a snapshot under way will need stays too. The tail
// is at most half as large as what is free on the disk: it is a convenience, and others need the space more.
//
// The work is the reader's (the durable point is asked, and files are removed, there [C7]); the core is told
// when it is done. Loop thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "raft/log/log.h"
#include "raft/node/completion.h"
#include "raft/node/executor.h"
#include "raft/node/worker.h"
#include "raft/state_machine.h"

namespace dqlite::raft {

using BytesCompletion = std::shared_ptr<Completion<Result<uint64_t>>>;

class Compactor {
 public:
  Compactor(Core& core, Executor& loop, Worker& reader, StateMachine& machine, std::shared_ptr<Log> log,
            uint64_t tail_bytes, std::function<std::optional<Index>()> pinned);

  // The durable point rose.
  void ask() { asked_ = true; }
  // The same, completed with the bytes of records dropped since the start of the node, once what can go now has gone.
  void ask(BytesCompletion completion);
  // Once per turn.
  void maybe_begin();
  void tick();
  void fail_all(const Status& reason);

 private:
  void found_target(Index target);
  void compacted(const LogStart& start);
  void finish();

  Core& core_;
  Executor& loop_;
  Worker& reader_;
  StateMachine& machine_;
  const std::shared_ptr<Log> log_;
  const uint64_t tail_bytes_;
  const std::function<std::optional<Index>()> pinned_;
  bool asked_ = false;
  bool busy_ = false;
  std::vector<BytesCompletion> waiting_;  // for the next pass
  std::vector<BytesCompletion> served_;   // by the one under way
  bool was_pinned_ = false;               // less was dropped than might be
};

}  // namespace dqlite::raft
