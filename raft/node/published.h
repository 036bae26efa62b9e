// What the loop and the applier let the application's threads see of the node, and where these wait for a
// change.
//
// The numbers are atomics, each written by one thread. A waiter counts itself in before it looks, and a
// writer looks for waiters after it wrote, so no change is missed and a change nobody waits for costs no
// lock.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "raft/node.h"
#include "raft/node/mutex.h"

namespace dqlite::raft {

class Published {
 public:
  std::atomic<Standing> standing{Standing::kNew};
  std::atomic<Index> commit{0};
  std::atomic<Index> durable{0};  // min(durable, committed)
  std::atomic<Index> applied{0};  // written by the applier
  // The loop wants to be woken when `applied` gets here. It looks at `applied` after it wrote this, and the
  // applier the other way round, so that one of them sees the other.
  std::atomic<Index> report_at{0};
  std::atomic<bool> caught_up{false};
  std::atomic<bool> has_its_role{false};  // a member that is not to be made a voter, or is one
  std::atomic<NodeId> leader{0};
  std::atomic<uint64_t> messages_sent{0};

  // Something above, or the fault, has changed.
  void changed();
  // Until `condition` holds or the node failed or stopped. kTimeout with `what` in its sentence if the
  // deadline ends first. `condition` looks at the atomics alone.
  Status wait(const std::function<bool()>& condition, Deadline deadline, const std::string& what);

  // The node fails or stops, for good: `reason` is what every waiter gets.
  void end(Standing standing, const Status& reason);
  // ok, or the reason given to `end`.
  [[nodiscard]] Status ended() const;

  // What is in the way just now, for sentences; empty: nothing.
  void set_warning(const std::string& warning);
  [[nodiscard]] std::string warning() const;

  void set_details(const NodeStatus& details);
  [[nodiscard]] NodeStatus details() const;

 private:
  mutable Mutex mutex_;
  Condition condition_;
  std::atomic<int> waiters_{0};
  Status ended_ DQLITE_GUARDED_BY(mutex_);
  std::string warning_ DQLITE_GUARDED_BY(mutex_);
  NodeStatus details_ DQLITE_GUARDED_BY(mutex_);
};

}  // namespace dqlite::raft
