// The loop as the parts of a member see it: where their answers are handed in, and what time it is.
//
// `Loop` is the real one; a simulation has one in virtual time.
#pragma once

#include <functional>

#include "raft/node.h"

namespace dqlite::raft {

class Executor {
 public:
  using Job = std::function<void()>;

  virtual ~Executor() = default;
  // Runs it on the loop thread. False: the loop has ended, and the job will not run. Any thread.
  virtual bool post(Job job) = 0;
  // `LiveMember::soon` in `delay_ms`, or earlier if it was asked for before. Loop thread.
  virtual void call_soon(int delay_ms) = 0;
  [[nodiscard]] virtual Deadline now() const = 0;
};

}  // namespace dqlite::raft
