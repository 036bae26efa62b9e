// A thread of the node in somebody else's process: it blocks every signal, so that no handler of the host
// runs on it and SIGPIPE kills nobody, and it can be waited for with a deadline, by any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "codec/status.h"
#include "raft/node.h"
#include "raft/node/mutex.h"

namespace dqlite::raft {

class Thread {
 public:
  ~Thread();  // waits without a limit: only tests destroy a node
  using Failed = std::function<void(const Status&)>;
  // `name`: at most 15 characters. `failed` is called, on the thread, if `body` ended by an exception (memory
  // is gone).
  Status start(const char* name, std::function<void()> body, Failed failed);
  // True: it ended, or was never started.
  bool wait_ended(Deadline deadline);

 private:
  struct Ended {
    Mutex mutex;
    Condition changed;
    bool is_set DQLITE_GUARDED_BY(mutex) = false;
  };

  std::shared_ptr<Ended> ended_ = std::make_shared<Ended>();
  std::thread thread_;
};

}  // namespace dqlite::raft
