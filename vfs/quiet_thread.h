// A thread of the node's own in somebody else's process: it blocks every signal, so that the host's handlers
// never run on it and SIGPIPE cannot kill the host. Throws std::system_error if there is no thread to be had;
// the function itself must let no exception out.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace dqlite::vfs {

template <typename Function>
std::thread start_quiet_thread(const char* name, Function&& function) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
  std::thread thread;
  try {
    thread = std::thread(std::forward<Function>(function));
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace dqlite::vfs
