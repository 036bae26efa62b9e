#include "vfs/sqlite_vfs.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>

#include "codec/command.h"
#include "codec/page.h"
#include "vfs/connection_registry.h"
#include "vfs/error_codes.h"

namespace dqlite::vfs {
namespace {

struct ConnectionFile {
  sqlite3_file base;
  Connection* connection;  // of a WAL file: the one of its main file, not owned
};

sqlite3_vfs* host_vfs = nullptr;
NodeProvider* node_provider = nullptr;

Connection& connection(sqlite3_file* file) {
  return *reinterpret_cast<ConnectionFile*>(file)->connection;
}

// No exception crosses into SQLite. Out of memory becomes a code of the family IOERR, which ends a
// transaction also at COMMIT [A11]; SQLite itself turns it into SQLITE_NOMEM.
template <typename Function>
int guarded(Function&& function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  } catch (...) {
    return SQLITE_IOERR;  // a mutex or a thread that the system refused
  }
}

// Every entry point that can wait for the node's threads asks first: they do not exist in a forked child.
bool unusable_after_fork(sqlite3_file* file) {
  if (!node_provider->forked()) return false;
  report_error(connection(file).handle(), SQLITE_MISUSE,
               "this connection was opened before fork(): the child has no node; open a connection of its "
               "own to another directory, or fork before the first open");
  return true;
}

// --- the main file ---

int main_close(sqlite3_file* file) {
  // In a forked child a lock may be held by a thread that does not exist there: the object stays.
  if (!node_provider->forked()) delete &connection(file);
  reinterpret_cast<ConnectionFile*>(file)->connection = nullptr;
  return SQLITE_OK;
}

int main_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_READ;
  return guarded([&] { return connection(file).read(out, amount, offset); });
}

int main_write(sqlite3_file* file, const void*, int, sqlite3_int64) {
  report_error(connection(file).handle(), SQLITE_IOERR_WRITE,
               "SQLite wrote to the database file itself, not to its WAL");
  return SQLITE_IOERR_WRITE;
}

int main_truncate(sqlite3_file*, sqlite3_int64) {
  return SQLITE_IOERR_TRUNCATE;
}

int main_sync(sqlite3_file*, int) {
  return SQLITE_OK;
}

int main_file_size(sqlite3_file* file, sqlite3_int64* size) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_FSTAT;
  return guarded([&] { return connection(file).file_size(size); });
}

// The locks of rollback mode mean nothing here; EXCLUSIVE is refused, so that closing the last connection
// does not checkpoint and nobody leaves WAL mode.
int main_lock(sqlite3_file*, int level) {
  return level >= SQLITE_LOCK_EXCLUSIVE ? SQLITE_BUSY : SQLITE_OK;
}

int main_unlock(sqlite3_file*, int) {
  return SQLITE_OK;
}

int main_check_reserved_lock(sqlite3_file*, int* result) {
  *result = 0;
  return SQLITE_OK;
}

int main_file_control(sqlite3_file* file, int operation, void* argument) {
  if (operation == SQLITE_FCNTL_COMMIT_PHASETWO && unusable_after_fork(file)) return kNodeFailed;
  return guarded([&] { return connection(file).file_control(operation, argument); });
}

int sector_size(sqlite3_file*) {
  return 4096;
}

int device_characteristics(sqlite3_file*) {
  // Without POWERSAFE_OVERWRITE SQLite would pad each commit to a whole sector.
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SEQUENTIAL | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
}

int main_shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_SHMMAP;
  return guarded([&] { return connection(file).shm_map(region, size, extend, out); });
}

int main_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_SHMLOCK;
  return guarded([&] { return connection(file).shm_lock(offset, count, flags); });
}

// The memory is the connection's own: there is nobody to order accesses with.
void main_shm_barrier(sqlite3_file*) {}

int main_shm_unmap(sqlite3_file* file, int) {
  if (node_provider->forked()) return SQLITE_OK;
  return guarded([&] { return connection(file).shm_unmap(); });
}

constexpr sqlite3_io_methods kMainMethods = {2,  // no xFetch: memory mapping would go around the snapshot
                                             main_close,
                                             main_read,
                                             main_write,
                                             main_truncate,
                                             main_sync,
                                             main_file_size,
                                             main_lock,
                                             main_unlock,
                                             main_check_reserved_lock,
                                             main_file_control,
                                             sector_size,
                                             device_characteristics,
                                             main_shm_map,
                                             main_shm_lock,
                                             main_shm_barrier,
                                             main_shm_unmap,
                                             nullptr,
                                             nullptr};

// --- the WAL, which exists in memory only ---

int wal_close(sqlite3_file*) {
  return SQLITE_OK;
}

int wal_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_READ;
  return guarded([&] { return connection(file).wal_read(out, amount, offset); });
}

int wal_write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
  if (unusable_after_fork(file)) return SQLITE_IOERR_WRITE;
  return guarded([&] { return connection(file).wal_write(data, amount, offset); });
}

int wal_truncate(sqlite3_file*, sqlite3_int64) {
  return SQLITE_OK;
}

int wal_file_size(sqlite3_file*, sqlite3_int64* size) {
  *size = 0;
  return SQLITE_OK;
}

int wal_lock(sqlite3_file*, int) {
  return SQLITE_OK;
}

int wal_file_control(sqlite3_file*, int, void*) {
  return SQLITE_NOTFOUND;
}

constexpr sqlite3_io_methods kWalMethods = {1,
                                            wal_close,
                                            wal_read,
                                            wal_write,
                                            wal_truncate,
                                            main_sync,
                                            wal_file_size,
                                            wal_lock,
                                            wal_lock,
                                            main_check_reserved_lock,
                                            wal_file_control,
                                            sector_size,
                                            device_characteristics,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr};

// --- names ---

struct Path {
  std::string directory;
  std::string name;
};

Path split(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// Is `path` the -wal (or -journal) of a replicated database of this process?
bool belongs_to_database(const char* path, std::string_view suffix) {
  std::string_view text = path;
  if (!text.ends_with(suffix)) return false;
  Path database = split(std::string(text.substr(0, text.size() - suffix.size())));
  DatabaseSet* databases = node_provider->find(database.directory);
  return databases != nullptr && databases->knows(database.name);
}

// --- opening ---

int refuse_open(int code, const std::string& sentence) {
  report_error(nullptr, code, sentence);
  return code;
}

std::optional<std::string> text_parameter(const char* name, const char* key) {
  const char* value = sqlite3_uri_parameter(name, key);
  if (value == nullptr) return std::nullopt;
  return value;
}

Result<std::optional<int>> number_parameter(const char* name, const char* key, int lowest, int highest) {
  std::optional<std::string> text = text_parameter(name, key);
  if (!text) return std::optional<int>();
  int value = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < lowest || value > highest) {
    return Status(Code::kInvalid, std::string(key) + "=" + *text +
                                      " in the URI: expected a whole number from " + std::to_string(lowest) +
                                      " to " + std::to_string(highest));
  }
  return std::optional<int>(value);
}

// 1 TB.
constexpr int kHighestTransactionMb = 1 << 20;

struct Request {
  Path path;
  OpenParameters parameters;
  uint32_t page_size = 0;
  bool linearizable = false;
  std::optional<int> max_transaction_mb;
  bool is_explicit = false;  // the URI itself asks for this VFS
};

// Which roles this node gives while it leads, and where it runs.
Status parse_roles(const char* name, OpenParameters& parameters) {
  parameters.failure_domain = text_parameter(name, "failure_domain");
  Result<std::optional<int>> voters = number_parameter(name, "voters", 1, 99);
  Result<std::optional<int>> standbys = number_parameter(name, "standbys", 0, 99);
  Result<std::optional<int>> grace = number_parameter(name, "grace", 1000, 86400000);
  Result<std::optional<int>> weight = number_parameter(name, "weight", 0, 1000000);
  for (const Result<std::optional<int>>* each : {&voters, &standbys, &grace, &weight}) {
    if (!*each) return each->status();
  }
  parameters.voters = *voters;
  parameters.standbys = *standbys;
  parameters.grace_ms = *grace;
  parameters.weight = *weight;
  return Status::ok();
}

Result<Request> parse_request(const char* name) {
  Request request;
  request.path = split(name);
  request.parameters.listen = text_parameter(name, "listen");
  request.parameters.join = text_parameter(name, "join");
  request.is_explicit = request.parameters.listen || request.parameters.join || text_parameter(name, "vfs");
  Result<std::optional<int>> timeout = number_parameter(name, "timeout", 1, 3600000);
  if (!timeout) return timeout.status();
  request.parameters.timeout_ms = *timeout;
  if (Status roles = parse_roles(name, request.parameters); !roles) return roles;
  Result<std::optional<int>> page_size = number_parameter(
      name, "page_size", static_cast<int>(codec::kMinPageSize), static_cast<int>(codec::kMaxPageSize));
  if (!page_size) return page_size.status();
  if (*page_size) {
    request.page_size = static_cast<uint32_t>(**page_size);
    if (!codec::is_page_size(request.page_size)) {
      return Status(Code::kInvalid, "page_size=" + std::to_string(request.page_size) +
                                        " in the URI: expected a power of two from 512 to 65536");
    }
  }
  Result<std::optional<int>> max_transaction =
      number_parameter(name, "max_transaction", 1, kHighestTransactionMb);
  if (!max_transaction) return max_transaction.status();
  request.max_transaction_mb = *max_transaction;
  if (std::optional<std::string> read = text_parameter(name, "read")) {
    request.linearizable = read == "linearizable";
    if (!request.linearizable && read != "local") {
      return Status(Code::kInvalid, "read=" + *read + " in the URI: expected local or linearizable");
    }
  }
  for (const char* key : {"immutable", "nolock"}) {
    if (sqlite3_uri_boolean(name, key, 0) != 0) {
      return Status(Code::kInvalid,
                    std::string(key) + "=1 would read the file behind the cluster's back: open it without");
    }
  }
  if (std::optional<std::string> cache = text_parameter(name, "cache"); cache == "shared") {
    return Status(Code::kInvalid,
                  "cache=shared is not possible with vfs=dqlite: each connection needs a cache of its own");
  }
  if (!codec::is_database_name(request.path.name) || request.path.name.ends_with("-journal") ||
      request.path.name.ends_with("-wal")) {
    return Status(Code::kInvalid, "'" + request.path.name + "' cannot be the name of a replicated database");
  }
  return request;
}

// ATTACH and VACUUM INTO inherit the VFS: only files that are on the node's list already are meant [V-C1].
bool is_inherited(const char* name) {
  if (text_parameter(name, "vfs") || text_parameter(name, "listen") || text_parameter(name, "join"))
    return false;
  Path path = split(name);
  DatabaseSet* databases = node_provider->find(path.directory);
  if (databases != nullptr && databases->knows(path.name)) return false;
  return ConnectionRegistry::inside_attach();
}

Status open_main(const char* name, int flags, Connection** out) {
  Result<Request> request = parse_request(name);
  if (!request) return request.status();
  bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  Result<OpenedNode> node = node_provider->open(request->path.directory, request->parameters, create);
  if (!node) return node.status();
  Result<Database*> database = node->databases->open_database(request->path.name, create);
  if (!database) return database.status();
  Status status = node_provider->database_opened(*node->databases, **database, request->parameters);
  if (!status) return status;
  uint32_t page_size = (*database)->committed().page_size;
  if (request->page_size != 0 && page_size != 0 && page_size != request->page_size) {
    return {Code::kInvalid, "page_size=" + std::to_string(request->page_size) + " in the URI, but " +
                                request->path.name + " has pages of " + std::to_string(page_size) +
                                " bytes: the size is chosen once, at creation"};
  }
  ConnectionOptions options{node->timeout_ms, request->page_size, request->linearizable};
  if (request->max_transaction_mb) {
    options.max_transaction_mb = static_cast<uint64_t>(*request->max_transaction_mb);
  }
  *out = new Connection(*node->databases, **database, options);
  return Status::ok();
}

int open_replicated(const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Connection* opened = nullptr;
  Status status = open_main(name, flags, &opened);
  if (!status) return refuse_open(SQLITE_CANTOPEN, status.sentence());
  *reinterpret_cast<ConnectionFile*>(file) = {{&kMainMethods}, opened};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (name != nullptr && (flags & SQLITE_OPEN_WAL) != 0) {
    if (Connection* owner = connection_of(sqlite3_database_file_object(name))) {
      *reinterpret_cast<ConnectionFile*>(file) = {{&kWalMethods}, owner};
      return SQLITE_OK;
    }
  }
  return guarded([&] {
    if ((flags & SQLITE_OPEN_SUPER_JOURNAL) != 0) Connection::super_journal_opened(name);
    if (name == nullptr || (flags & SQLITE_OPEN_MAIN_DB) == 0 || is_inherited(name)) {
      return host_vfs->xOpen(host_vfs, name, file, flags, out_flags);
    }
    if (node_provider->forked()) {
      return refuse_open(SQLITE_CANTOPEN,
                         "this process was forked from one with a running node: dqlite cannot be used in it");
    }
    return open_replicated(name, file, flags, out_flags);
  });
}

int delete_file(sqlite3_vfs*, const char* name, int sync_directory) {
  return guarded([&] {
    if (belongs_to_database(name, "-wal") || belongs_to_database(name, "-journal")) return SQLITE_OK;
    // At its commit SQLite asks for a sync (vdbeaux.c); a rollback does not (pager.c, pager_delsuper).
    if (sync_directory != 0) {
      if (int rc = Connection::super_journal_deleted(name); rc != SQLITE_OK) return rc;
    }
    return host_vfs->xDelete(host_vfs, name, sync_directory);
  });
}

int access_file(sqlite3_vfs*, const char* name, int flags, int* result) {
  return guarded([&] {
    if (belongs_to_database(name, "-wal")) {
      *result = 1;
      return SQLITE_OK;
    }
    if (belongs_to_database(name, "-journal")) {
      // A checkpoint's journal may lie there: it is the node's, and no rollback is due while the node runs.
      *result = 0;
      return SQLITE_OK;
    }
    return host_vfs->xAccess(host_vfs, name, flags, result);
  });
}

int sleep_for(sqlite3_vfs*, int microseconds) {
  if (!node_provider->forked() && Connection::sleep(microseconds)) return microseconds;
  return host_vfs->xSleep(host_vfs, microseconds);
}

// --- everything else is the host's ---

int full_pathname(sqlite3_vfs*, const char* name, int size, char* out) {
  return host_vfs->xFullPathname(host_vfs, name, size, out);
}
void* dl_open(sqlite3_vfs*, const char* name) {
  return host_vfs->xDlOpen(host_vfs, name);
}
void dl_error(sqlite3_vfs*, int size, char* out) {
  host_vfs->xDlError(host_vfs, size, out);
}
void (*dl_sym(sqlite3_vfs*, void* library, const char* symbol))(void) {
  return host_vfs->xDlSym(host_vfs, library, symbol);
}
void dl_close(sqlite3_vfs*, void* library) {
  host_vfs->xDlClose(host_vfs, library);
}
int randomness(sqlite3_vfs*, int size, char* out) {
  return host_vfs->xRandomness(host_vfs, size, out);
}
int current_time(sqlite3_vfs*, double* out) {
  return host_vfs->xCurrentTime(host_vfs, out);
}
int get_last_error(sqlite3_vfs*, int size, char* out) {
  return host_vfs->xGetLastError(host_vfs, size, out);
}
int current_time_int64(sqlite3_vfs*, sqlite3_int64* out) {
  return host_vfs->xCurrentTimeInt64(host_vfs, out);
}

sqlite3_vfs dqlite_vfs = {};

}  // namespace

Connection* connection_of(sqlite3_file* file) {
  if (file == nullptr || file->pMethods != &kMainMethods) return nullptr;
  return reinterpret_cast<ConnectionFile*>(file)->connection;
}

Connection* connection_of(sqlite3* handle, const char* schema) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle, schema, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return nullptr;
  return connection_of(file);
}

int register_vfs(NodeProvider& provider) {
  if (sqlite3_vfs_find("dqlite") == &dqlite_vfs) return SQLITE_OK;
  host_vfs = sqlite3_vfs_find(nullptr);
  if (host_vfs == nullptr) return SQLITE_ERROR;
  node_provider = &provider;
  dqlite_vfs.iVersion = std::min(host_vfs->iVersion, 2);
  dqlite_vfs.szOsFile = std::max(host_vfs->szOsFile, static_cast<int>(sizeof(ConnectionFile)));
  dqlite_vfs.mxPathname = host_vfs->mxPathname;
  dqlite_vfs.zName = "dqlite";
  dqlite_vfs.xOpen = open_file;
  dqlite_vfs.xDelete = delete_file;
  dqlite_vfs.xAccess = access_file;
  dqlite_vfs.xFullPathname = full_pathname;
  dqlite_vfs.xDlOpen = dl_open;
  dqlite_vfs.xDlError = dl_error;
  dqlite_vfs.xDlSym = dl_sym;
  dqlite_vfs.xDlClose = dl_close;
  dqlite_vfs.xRandomness = randomness;
  dqlite_vfs.xSleep = sleep_for;
  dqlite_vfs.xCurrentTime = current_time;
  dqlite_vfs.xGetLastError = get_last_error;
  dqlite_vfs.xCurrentTimeInt64 = host_vfs->iVersion >= 2 ? current_time_int64 : nullptr;
  return sqlite3_vfs_register(&dqlite_vfs, 0);
}

}  // namespace dqlite::vfs
