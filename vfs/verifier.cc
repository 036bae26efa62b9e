#include "vfs/verifier.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <system_error>
#include <utility>

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

// Whose answer finds no memory is told so; if not even that finds any, nothing.
template <typename Find>
void give(const Verifier::Answer& answer, const Find& find) noexcept {
  try {
    answer(find());
  } catch (const std::bad_alloc&) {
    try {
      answer(Status(Code::kFull, "out of memory"));
    } catch (const std::bad_alloc&) {
    }
  }
}

}  // namespace

void Verifier::begin_answering() {
  std::lock_guard lock(mutex_);
  answers_ = true;
}

Status Verifier::refusal() {
  std::lock_guard lock(mutex_);
  return answers_ ? Status::ok()
                  : Status(Code::kNoQuorum, "it is still reading its log: ask again in a moment");
}

void Verifier::ask(ByteView bytes, Answer answer) {
  if (Status refused = refusal(); !refused) return answer(refused);
  const Result<Question> question = decode_question(bytes);
  if (!question) return answer(question.status());
  if (question->is_verify) return add_work([&] { waiting_.push_back(answer); }, answer);
  add_work([&] { page_questions_.push_back({question->page, answer}); }, answer);
}

void Verifier::suspect() {
  const auto add = [this] {
    is_suspicious_ = is_suspicious_ || (!is_reading_ && steady_clock::now() >= calm_until_);
  };
  add_work(add, [](const Result<Bytes>&) {});
}

void Verifier::add_work(const std::function<void()>& add, const Answer& answer) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  try {
    if (!thread_.joinable()) thread_ = start_quiet_thread("dqlite-verify", [this] { run(); });
  } catch (const std::system_error& error) {
    return answer(Status(Code::kIo, std::string("no thread to be had: ") + error.what()));
  }
  add();
  wake_.notify_all();
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
    bool reads = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] {
        return stopping_ || is_suspicious_ || !waiting_.empty() || !page_questions_.empty();
      });
      if (stopping_) return;
      reads = std::exchange(is_suspicious_, false) || !waiting_.empty();
      is_reading_ = reads;
      if (reads) calm_until_ = steady_clock::now() + kCalm;
      askers.swap(waiting_);
    }
    answer_pages();
    if (reads) {
      Result<Bytes> answer = Status(Code::kFull, "out of memory");
      give([&](Result<Bytes> read) { answer = std::move(read); }, [this] { return read_all(); });
      for (const Answer& asker : askers) give(asker, [&] { return answer; });
    }
    std::lock_guard lock(mutex_);
    is_reading_ = false;
  }
}

Result<Bytes> Verifier::read_all() {
  rested_at_ = steady_clock::now();
  std::vector<CopyFinding> findings;
  for (Database* database : databases_.databases()) {
    if (database->id() == 0) continue;
    const auto read = [&] { return verify_copy(*database, [this] { return rest(); }); };
    CopyFinding finding = read();
    // Before the node is stopped for it, once more.
    if (finding.status.code() == Code::kCorrupt && finding.wrong_pages == 0) finding = read();
    if (finding.status.code() == Code::kCorrupt && finding.wrong_pages == 0) {
      databases_.replicator().copy_differs(finding.status);
    }
    findings.push_back(std::move(finding));
  }
  return encode_findings(findings);
}

void Verifier::answer_pages() {
  std::vector<PageQuestion> questions;
  {
    std::lock_guard lock(mutex_);
    questions.swap(page_questions_);
  }
  for (const PageQuestion& question : questions) {
    give(question.answer, [&] { return find_page(question.page); });
  }
}

Result<Bytes> Verifier::find_page(const PageName& page) {
  for (Database* database : databases_.databases()) {
    if (database->id() == page.database) return database->find_page(page.page_number, page.hash);
  }
  return Status(Code::kNotFound, "this member has no database " + std::to_string(page.database));
}

Status Verifier::rest() {
  const auto worked = steady_clock::now() - rested_at_;
  {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::min<steady_clock::duration>(worked, kLongestRest),
                   [this] { return stopping_; });
    if (stopping_) return {Code::kBusy, "the node is being ended"};
  }
  answer_pages();
  rested_at_ = steady_clock::now();
  return Status::ok();
}

}  // namespace dqlite::vfs
