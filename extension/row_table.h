// A read-only table whose rows are computed when a statement begins to read it: eponymous-only, so it needs
// no CREATE and is no part of any schema.
//
// The base of dqlite_cluster, dqlite_status and dqlite_verify. Called by SQLite on application threads; no exception
// leaves it, and a failure is an SQL error with the sentence as its text.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "codec/status.h"
#include "vfs/sqlite_api.h"

namespace dqlite::extension {

using SqlValue = std::variant<std::nullptr_t, sqlite3_int64, std::string>;
using SqlRow = std::vector<SqlValue>;

struct RowTable {
  const char* name;
  const char* declaration;  // CREATE TABLE x(...), as sqlite3_declare_vtab takes it
  // kBusy: sqlite3_interrupt() was called.
  Result<std::vector<SqlRow>> (*rows)(sqlite3* handle);
  // Its rows take long, or ask others: read once where it is joined, and never by a view or trigger.
  bool is_costly = false;
};

// `table` lives as long as the process. An SQLite result code.
int register_table(sqlite3* handle, const RowTable& table);

}  // namespace dqlite::extension
