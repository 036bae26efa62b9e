// The SQL functions of the extension, described for users in the main README.
//
// Those that act on the cluster are SQLITE_DIRECTONLY, so that a hostile schema cannot call them; a failure
// is an SQL error with the sentence as its text, which dqlite_last_error() keeps. Called by SQLite on
// application threads; no exception leaves them.
#pragma once

#include "vfs/sqlite_api.h"

namespace dqlite::extension {

// Registers all of them on one connection; an SQLite result code. SQLITE_BUSY, having changed nothing: they
// are there already and a statement is running.
int register_functions(sqlite3* handle);

}  // namespace dqlite::extension
