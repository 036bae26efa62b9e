#include "vfs/connection_registry.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>

#include "vfs/connection.h"

namespace dqlite::vfs {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<Connection*> connections;
};

// Leaked on purpose: connections may be closed while the host's static objects are destroyed.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

bool runs_attach(sqlite3* handle) {
  for (sqlite3_stmt* statement = sqlite3_next_stmt(handle, nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(handle, statement)) {
    if (sqlite3_stmt_busy(statement) == 0) continue;
    std::string word = first_word(sqlite3_sql(statement));
    if (word == "ATTACH" || word == "VACUUM") return true;
  }
  return false;
}

}  // namespace

std::string first_word(const char* sql) {
  std::string_view text = sql == nullptr ? "" : sql;
  for (;;) {
    size_t begin = text.find_first_not_of(" \t\r\n\f;");
    if (begin == std::string_view::npos) return "";
    text.remove_prefix(begin);
    if (text.starts_with("--")) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (text.starts_with("/*")) {
      size_t end = text.find("*/");
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    } else {
      break;
    }
  }
  std::string word;
  for (char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) == 0) break;
    word += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return word;
}

void ConnectionRegistry::add(Connection* connection) {
  std::lock_guard lock(registry().mutex);
  registry().connections.push_back(connection);
}

void ConnectionRegistry::remove(Connection* connection) {
  std::lock_guard lock(registry().mutex);
  std::erase(registry().connections, connection);
}

std::vector<Connection*> ConnectionRegistry::of(sqlite3* handle) {
  std::vector<Connection*> found;
  std::lock_guard lock(registry().mutex);
  for (Connection* connection : registry().connections) {
    if (connection->handle() == handle) found.push_back(connection);
  }
  return found;
}

bool ConnectionRegistry::inside_attach() {
  std::lock_guard lock(registry().mutex);
  for (Connection* connection : registry().connections) {
    sqlite3* handle = connection->handle();
    if (handle == nullptr) continue;
    sqlite3_mutex* mutex = sqlite3_db_mutex(handle);
    if (mutex == nullptr) {
      // A host without mutexes uses a handle on one thread at a time: only this thread's are safe to look at.
      if (connection->last_thread() == std::this_thread::get_id() && runs_attach(handle)) return true;
      continue;
    }
    // A handle that runs a statement on another thread has its mutex taken; this thread's own is recursive.
    if (sqlite3_mutex_try(mutex) != SQLITE_OK) continue;
    bool attaching = runs_attach(handle);
    sqlite3_mutex_leave(mutex);
    if (attaching) return true;
  }
  return false;
}

}  // namespace dqlite::vfs
