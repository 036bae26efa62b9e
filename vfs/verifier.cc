#include "vfs/verifier.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <system_error>

#include "vfs/database_set.h"
#include "vfs/quiet_thread.h"

namespace dqlite::vfs {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLongestRest{20};

// Of this thread alone. What the system refuses is done at the priority of all.
void lower_priority() {
  constexpr int kOneThread = 1;       // IOPRIO_WHO_PROCESS
  constexpr int kWhenIdle = 3 << 13;  // IOPRIO_CLASS_IDLE
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 19);
  (void)::syscall(SYS_ioprio_set, kOneThread, 0, kWhenIdle);
}

}  // namespace

void Verifier::ask(ByteView question, Answer answer) {
  if (Status known = check_verify_question(question); !known) return answer(known);
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  waiting_.push_back(std::move(answer));
  wake_.notify_all();
  if (thread_.joinable()) return;
  try {
    thread_ = start_quiet_thread("dqlite-verify", [this] { run(); });
  } catch (const std::system_error& error) {
    waiting_.back()(Status(Code::kIo, std::string("no thread to be had: ") + error.what()));
    waiting_.pop_back();
  }
}

void Verifier::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Verifier::run() {
  lower_priority();
  while (true) {
    std::vector<Answer> askers;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      askers.swap(waiting_);
    }
    try {
      const Result<Bytes> answer = read_all();
      for (const Answer& asker : askers) asker(answer);
    } catch (const std::bad_alloc&) {
      for (const Answer& asker : askers) asker(Status(Code::kFull, "out of memory"));
    }
  }
}

Result<Bytes> Verifier::read_all() {
  rested_at_ = steady_clock::now();
  std::vector<CopyFinding> findings;
  for (Database* database : databases_.databases()) {
    if (database->id() == 0) continue;
    findings.push_back(verify_copy(*database, [this] { return rest(); }));
  }
  return encode_findings(findings);
}

Status Verifier::rest() {
  const auto worked = steady_clock::now() - rested_at_;
  {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::min<steady_clock::duration>(worked, kLongestRest),
                   [this] { return stopping_; });
    if (stopping_) return {Code::kBusy, "the node is being ended"};
  }
  rested_at_ = steady_clock::now();
  return Status::ok();
}

}  // namespace dqlite::vfs
