// Every connection of this process to a replicated database, by its SQLite handle.
//
// A COMMIT finds here the other databases that take part in it, and an open finds out whether it is an
// ATTACH. Any thread; its mutex is held for look-ups only, and for `sqlite3_mutex_try`, which does not wait.
#pragma once

#include <string>
#include <vector>

#include "vfs/sqlite_api.h"

namespace dqlite::vfs {

class Connection;

// The first word of a statement in upper case, behind blanks and comments.
std::string first_word(const char* sql);

class ConnectionRegistry {
 public:
  static void add(Connection* connection);
  static void remove(Connection* connection);
  // The connections of one handle: its main and attached databases.
  static std::vector<Connection*> of(sqlite3* handle);
  // True if the calling thread is inside an ATTACH or VACUUM of a handle that has a replicated database: such
  // an open inherits the VFS without having asked for it (attach.c passes the main database's on) [V-C1].
  static bool inside_attach();
};

}  // namespace dqlite::vfs
