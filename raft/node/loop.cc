#include "raft/node/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace dqlite::raft {

namespace {

Status failure(const char* what, int code) {
  return {Code::kIo, std::string("the network loop cannot be made: ") + what + ": " + uv_strerror(code)};
}

}  // namespace

Loop::~Loop() {
  if (is_open_) {
    // Only if the thread never ran: otherwise it closed the loop itself.
    close_handles();
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  if (wake_descriptor_ < 0) return;
  context_.descriptors.remove(wake_descriptor_);
  close(wake_descriptor_);
}

Status Loop::open() {
  if (const int code = uv_loop_init(&loop_); code != 0) return failure("uv_loop_init", code);
  Status opened = open_handles();
  if (!opened) {
    uv_loop_close(&loop_);
    return opened;
  }
  is_open_ = true;
  MutexLock lock(mutex_);
  accepts_ = true;
  return Status::ok();
}

Status Loop::open_handles() {
  context_.loop = &loop_;
  wake_descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_descriptor_ < 0) return failure("eventfd", uv_translate_sys_error(errno));
  context_.descriptors.add(wake_descriptor_);
  if (const int code = uv_poll_init(&loop_, &wake_, wake_descriptor_); code != 0)
    return failure("uv_poll_init", code);
  context_.descriptors.add(uv_backend_fd(&loop_));
  uv_timer_init(&loop_, &timer_);
  uv_timer_init(&loop_, &soon_);
  uv_prepare_init(&loop_, &before_waiting_);
  wake_.data = timer_.data = soon_.data = before_waiting_.data = this;
  uv_poll_start(&wake_, UV_READABLE, [](uv_poll_t* handle, int /*status*/, int /*events*/) {
    static_cast<Loop*>(handle->data)->woken();
  });
  return Status::ok();
}

Status Loop::start(int tick_ms, Thread::Failed failed) {
  const auto ticked = [](uv_timer_t* handle) { static_cast<Loop*>(handle->data)->delegate_.on_tick(); };
  // One tick for each call, however late it is: after a pause of the whole process the messages that wait are
  // read before time is believed to have passed (raft.md 1.23).
  uv_timer_start(&timer_, ticked, static_cast<uint64_t>(tick_ms), static_cast<uint64_t>(tick_ms));
  uv_prepare_start(&before_waiting_, [](uv_prepare_t* handle) {
    Loop& loop = *static_cast<Loop*>(handle->data);
    loop.delegate_.on_turn_end();
    loop.context_.flush_all();
    loop.delegate_.on_turn_sent();
  });
  const auto run = [this] {
    uv_run(&loop_, UV_RUN_DEFAULT);
    context_.descriptors.remove(uv_backend_fd(&loop_));
    uv_loop_close(&loop_);
    is_open_ = false;
  };
  const auto ended_by_exception = [this, failed = std::move(failed)](const Status& reason) {
    refuse_jobs();
    failed(reason);
  };
  return thread_.start("dqlite-loop", run, ended_by_exception);
}

bool Loop::post(Job job) {
  {
    MutexLock lock(mutex_);
    if (!accepts_) return false;
    jobs_.push_back(std::move(job));
    if (std::exchange(wake_sent_, true)) return true;
  }
  wake();
  return true;
}

void Loop::poke() {
  {
    MutexLock lock(mutex_);
    if (!accepts_ || std::exchange(wake_sent_, true)) return;
  }
  wake();
}

// Without the mutex, which the loop takes first. Harmless when the loop has ended.
void Loop::wake() {
  const uint64_t one = 1;
  while (write(wake_descriptor_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Loop::woken() {
  uint64_t count = 0;
  while (read(wake_descriptor_, &count, sizeof count) < 0 && errno == EINTR) {
  }
  run_jobs();
}

void Loop::call_soon(int delay_ms) {
  const auto called = [](uv_timer_t* handle) { static_cast<Loop*>(handle->data)->delegate_.on_soon(); };
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&soon_)) == 0 &&
      uv_is_closing(reinterpret_cast<uv_handle_t*>(&soon_)) == 0) {
    uv_timer_start(&soon_, called, static_cast<uint64_t>(delay_ms), 0);
  }
}

void Loop::run_jobs() {
  std::vector<Job> jobs;
  {
    MutexLock lock(mutex_);
    jobs.swap(jobs_);
    wake_sent_ = false;
  }
  for (Job& job : jobs) job();
}

void Loop::end() {
  close_handles();
}

void Loop::refuse_jobs() {
  std::vector<Job> left;  // destroyed without the lock: what they hold is not known here
  MutexLock lock(mutex_);
  accepts_ = false;
  left.swap(jobs_);
}

void Loop::close_handles() {
  refuse_jobs();
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&wake_)) != 0) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&soon_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&before_waiting_), nullptr);
}

}  // namespace dqlite::raft
