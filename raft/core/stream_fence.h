// The fence between a proposal and the log position its content was computed on: compare and append [A1].
//
// A page difference is only right on top of the very version it was taken from. The newest entry of each
// stream that this leader appended in its present term is kept here; a proposal must name exactly that one. A
// stream without one stands where it stood before the term began: on an entry from before the no-op, or on
// the entry that created it, whose index is its name. Part of the core; one thread.
#pragma once

#include <map>

#include "codec/status.h"
#include "raft/core/core.h"
#include "raft/core/log_window.h"

namespace dqlite::raft {

class StreamFence {
 public:
  void begin_term(Index noop);
  // kNotCommitted with a sentence if a base is not what its stream's next entry must stand on.
  [[nodiscard]] Status check(const std::vector<Base>& bases, const LogWindow& log) const;
  void appended(const std::vector<Base>& bases, EntryId entry);

 private:
  Index noop_ = 0;
  std::map<uint64_t, EntryId> newest_;  // of this term
};

}  // namespace dqlite::raft
