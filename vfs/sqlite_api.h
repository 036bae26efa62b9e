// SQLite as an extension sees it: through the table of routines that the host hands over at load, never by
// linking libsqlite3. Every file of this room that calls SQLite includes this header and no other of
// SQLite's.
#pragma once

#include <sqlite3ext.h>

// The table; null until `dqlite::vfs::set_sqlite_api`. Loading twice sets the same table again.
extern "C" __attribute__((visibility("hidden"))) const sqlite3_api_routines* sqlite3_api;

namespace dqlite::vfs {
void set_sqlite_api(const sqlite3_api_routines* api);
}  // namespace dqlite::vfs
