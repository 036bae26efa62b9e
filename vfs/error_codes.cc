#include "vfs/error_codes.h"

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <new>

namespace dqlite::vfs {
namespace {

constexpr size_t kLogLimit = 256;

struct Failure {
  uint64_t number = 0;  // in the order in which they were reported
  std::string sentence;
};

struct Errors {
  std::mutex mutex;
  uint64_t count = 0;
  std::map<sqlite3*, Failure> by_connection;
  Failure of_process;
};

struct LogQueue {
  std::mutex mutex;
  std::deque<std::string> lines;
  std::atomic<bool> waiting{false};
};

// Leaked on purpose: threads of the host may still fail while its static objects are destroyed.
Errors& errors() {
  static Errors& instance = *new Errors;
  return instance;
}

LogQueue& log_queue() {
  static LogQueue& instance = *new LogQueue;
  return instance;
}

}  // namespace

void report_error(sqlite3* connection, int code, const std::string& sentence) {
  try {
    std::lock_guard lock(errors().mutex);
    Failure& kept = connection != nullptr ? errors().by_connection[connection] : errors().of_process;
    kept.sentence = sentence;
    kept.number = ++errors().count;
  } catch (const std::bad_alloc&) {
    // The code still reaches the application, and it tells more than "out of memory" would.
  }
  sqlite3_log(code, "dqlite: %s", sentence.c_str());
}

std::string last_error(sqlite3* connection) {
  std::lock_guard lock(errors().mutex);
  const Failure& of_process = errors().of_process;
  auto found = errors().by_connection.find(connection);
  bool is_newer = found != errors().by_connection.end() && found->second.number > of_process.number;
  return is_newer ? found->second.sentence : of_process.sentence;
}

void forget_errors(sqlite3* connection) {
  std::lock_guard lock(errors().mutex);
  errors().by_connection.erase(connection);
}

void queue_log(std::string line) {
  std::lock_guard lock(log_queue().mutex);
  if (log_queue().lines.size() == kLogLimit) log_queue().lines.pop_front();
  log_queue().lines.push_back(std::move(line));
  log_queue().waiting.store(true, std::memory_order_release);
}

void flush_log() {
  if (!log_queue().waiting.load(std::memory_order_acquire)) return;
  std::deque<std::string> lines;
  {
    std::lock_guard lock(log_queue().mutex);
    lines.swap(log_queue().lines);
    log_queue().waiting.store(false, std::memory_order_release);
  }
  for (const std::string& line : lines) sqlite3_log(SQLITE_NOTICE, "dqlite: %s", line.c_str());
}

}  // namespace dqlite::vfs
