#include "vfs/sqlite_api.h"

extern "C" {
const sqlite3_api_routines* sqlite3_api = nullptr;
}

namespace dqlite::vfs {

void set_sqlite_api(const sqlite3_api_routines* api) {
  sqlite3_api = api;
}

}  // namespace dqlite::vfs
