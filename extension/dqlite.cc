// The entry point of the shared library, and what happens on every connection opened after it was loaded.
//
// Loading starts no thread and opens no file: the first open with vfs=dqlite does. The library stays for the
// life of the process, since nodes outlive the connection that loaded it. Loading it again, also by SQL's
// load_extension(), changes nothing.
#include <new>

#include "extension/cluster_table.h"
#include "extension/connection_node.h"
#include "extension/node_registry.h"
#include "extension/sql_functions.h"
#include "extension/status_table.h"
#include "extension/verify_table.h"
#include "vfs/error_codes.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::extension {
namespace {

// Of 2021: the newest call that the extension makes is sqlite3_txn_state (3.34).
constexpr int kOldestSqlite = 3035000;

int failed(char** message, const char* what, int rc) {
  if (message != nullptr && *message == nullptr) {
    *message = sqlite3_mprintf("dqlite: %s: %s", what, sqlite3_errstr(rc));
  }
  return rc;
}

int register_on(sqlite3* handle, char** message) {
  int rc = register_functions(handle);
  // A running statement keeps functions from being replaced, and only functions that are there already.
  if (rc == SQLITE_BUSY) return SQLITE_OK;
  if (rc == SQLITE_OK) rc = register_table(handle, kClusterTable);
  if (rc == SQLITE_OK) rc = register_table(handle, kStatusTable);
  if (rc == SQLITE_OK) rc = register_table(handle, kVerifyTable);
  return rc == SQLITE_OK ? rc : failed(message, "the SQL functions cannot be registered", rc);
}

// Every connection opened after the load. A replicated main database waits for other writers unless the
// application says otherwise; all others are left as they are [V-C5].
int connection_opened(sqlite3* handle, char** message, const sqlite3_api_routines*) {
  try {
    if (int rc = register_on(handle, message); rc != SQLITE_OK) return rc;
    vfs::Connection* connection = vfs::connection_of(handle, "main");
    if (connection != nullptr) sqlite3_busy_timeout(handle, connection->options().timeout_ms);
    return SQLITE_OK;
  } catch (const std::bad_alloc&) {
    return failed(message, "a connection cannot be set up", SQLITE_NOMEM);
  }
}

int load(sqlite3* handle, char** message, const sqlite3_api_routines* api) {
  if (api->libversion_number() < kOldestSqlite) {
    if (message != nullptr) {
      *message =
          api->mprintf("dqlite needs SQLite 3.35 or later, and this program has %s", api->libversion());
    }
    return SQLITE_ERROR;
  }
  vfs::set_sqlite_api(api);
  if (int rc = vfs::register_vfs(node_registry()); rc != SQLITE_OK) {
    return failed(message, "the VFS cannot be registered", rc);
  }
  int rc = sqlite3_auto_extension(reinterpret_cast<void (*)()>(connection_opened));
  if (rc != SQLITE_OK) return failed(message, "later connections cannot be set up", rc);
  if (handle != nullptr) rc = register_on(handle, message);
  return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}

}  // namespace
}  // namespace dqlite::extension

extern "C" __attribute__((visibility("default"))) int sqlite3_dqlite_init(sqlite3* handle, char** message,
                                                                          const sqlite3_api_routines* api) {
  try {
    return dqlite::extension::load(handle, message, api);
  } catch (const std::bad_alloc&) {
    if (message != nullptr) *message = api->mprintf("dqlite: out of memory");
    return SQLITE_NOMEM;
  }
}
