// The thread on which a node reads its copies again when a member asks (vfs/verification.h).
//
// It runs at the lowest priority, rests as long as it works, and keeps nobody waiting: not the applier, not the
// checkpoints, nor a member that asks for a page meanwhile. Who asks while it reads gets the next reading's answer.
// Rot that it meets goes to the repairer, page by page, as with every reader; a copy that is wrong where nobody can tell
// stops the node, as one that differs when an entry is applied does. `ask` and `suspect` from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "vfs/verification.h"

namespace dqlite::vfs {

class DatabaseSet;

class Verifier {
 public:
  // Between two readings that nobody asked for: each takes the disk's time and the system's cache.
  static constexpr std::chrono::minutes kCalm{10};

  using Answer = std::function<void(Result<Bytes>)>;

  explicit Verifier(DatabaseSet& databases) : databases_(databases) {}
  ~Verifier() { stop(); }
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Questions are refused before: who asks must outlive the thread, and a node that does not get through its log is
  // taken apart while its databases are still there.
  void begin_answering();
  // Never waits. `answer` is called by the thread, or at once for a question that is refused; not at all for one that
  // waits when the verifier stops, and never after `stop` returned.
  void ask(ByteView question, Answer answer);
  // Somebody met rot, and where there is some there may be more: a reading without an asker, unless one is under way or
  // was begun not long ago.
  void suspect();
  // The thread ends within the step it is in.
  void stop();

 private:
  struct PageQuestion {
    PageName page;
    Answer answer;
  };

  void add_work(const std::function<void()>& add, const Answer& answer);
  [[nodiscard]] Status refusal();
  void run();
  Result<Bytes> read_all();
  void answer_pages();
  Result<Bytes> find_page(const PageName& page);
  Status rest();

  DatabaseSet& databases_;
  std::mutex mutex_;  // guards what follows, but for what the thread alone uses
  std::condition_variable wake_;
  std::vector<Answer> waiting_;
  std::vector<PageQuestion> page_questions_;
  bool answers_ = false;
  bool is_suspicious_ = false;
  bool is_reading_ = false;
  std::chrono::steady_clock::time_point calm_until_;  // no reading without an asker before
  bool stopping_ = false;
  std::thread thread_;
  std::chrono::steady_clock::time_point rested_at_;  // the thread's own
};

}  // namespace dqlite::vfs
