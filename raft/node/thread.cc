#include "raft/node/thread.h"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace dqlite::raft {

Thread::~Thread() {
  if (thread_.joinable()) thread_.join();
}

Status Thread::start(const char* name, std::function<void()> body, Failed failed) {
  // A thread inherits the mask of its creator: so not one signal can slip in between.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started;
  try {
    thread_ = std::thread([name, ended = ended_, run = std::move(body), failed = std::move(failed)] {
      pthread_setname_np(pthread_self(), name);
      try {
        run();
      } catch (const std::exception& error) {
        failed({Code::kIo, std::string("the thread '") + name + "' ended by an exception: " + error.what()});
      }
      MutexLock lock(ended->mutex);  // the last thing it does: `wait_ended` joins with this lock held
      ended->is_set = true;
      ended->changed.notify_all();
    });
  } catch (const std::system_error& error) {
    started = Status(Code::kIo, std::string("the thread '") + name + "' cannot be started: " + error.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

bool Thread::wait_ended(Deadline deadline) {
  MutexLock lock(ended_->mutex);
  if (!thread_.joinable()) return true;
  while (!ended_->is_set) {
    if (!ended_->changed.wait_until(ended_->mutex, deadline) && !ended_->is_set) return false;
  }
  if (thread_.joinable()) thread_.join();  // another waiter may have been faster
  return true;
}

}  // namespace dqlite::raft
