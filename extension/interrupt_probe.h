// Was sqlite3_interrupt() called while a function or table of ours works?
//
// SQLite 3.40 does not tell a function, but every statement that is stepped meanwhile. On the connection's thread.
#pragma once

#include "vfs/sqlite_api.h"

namespace dqlite::extension {

class InterruptProbe {
 public:
  explicit InterruptProbe(sqlite3* handle) {
    sqlite3_prepare_v2(handle, "SELECT 1", -1, &statement_,
                       nullptr);  // null if refused: then none is noticed
  }
  ~InterruptProbe() { sqlite3_finalize(statement_); }
  InterruptProbe(const InterruptProbe&) = delete;
  InterruptProbe& operator=(const InterruptProbe&) = delete;

  bool is_interrupted() {
    if (statement_ == nullptr) return false;
    const int rc = sqlite3_step(statement_);
    sqlite3_reset(statement_);
    return (rc & 0xff) == SQLITE_INTERRUPT;
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace dqlite::extension
