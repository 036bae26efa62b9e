// Whether the disk has room for what this member is asked to store.
//
// A leader that finds out only when it writes has sent the entry to others already, and cannot say any more that nothing
// was committed [B5]. So while there is no space for another segment, it takes only what fits into the space that the
// log has already. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "raft/log/log.h"
#include "raft/node.h"
#include "raft/node/log_writer.h"

namespace dqlite::raft {

class SpaceWatch {
 public:
  SpaceWatch(std::shared_ptr<Log> log, const LogWriter& writer, const NodeOptions& options);

  // Once per tick. True now and then while space is short: whoever can give some back should.
  bool tick();
  // Of a transaction that this leader is asked for: ok, and it counts as taken until `turn_over`; or kFull.
  Status admit(size_t bytes);
  // What was admitted is with the log writer, or was refused by others.
  void turn_over() { admitted_bytes_ = 0; }
  // For so long that others should lead if they can.
  [[nodiscard]] bool is_lasting() const;
  [[nodiscard]] std::string trouble() const;  // a sentence, or empty

 private:
  const std::shared_ptr<Log> log_;
  const LogWriter& writer_;
  const NodeOptions& options_;
  size_t admitted_bytes_ = 0;
  int short_ticks_ = 0;
};

}  // namespace dqlite::raft
