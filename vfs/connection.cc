#include "vfs/connection.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "codec/page.h"
#include "vfs/connection_registry.h"
#include "vfs/error_codes.h"

namespace dqlite::vfs {
namespace {

// SQLite's lock numbers in the shared memory (wal.c: WAL_WRITE_LOCK and its neighbours).
constexpr int kWriteLock = 0;
constexpr int kCheckpointLock = 1;
constexpr int kFirstReadLock = 3;

constexpr uint32_t kDefaultPageSize = 4096;

}  // namespace

Connection::Connection(DatabaseSet& databases, Database& database, const ConnectionOptions& options)
    : databases_(databases),
      database_(database),
      options_(options),
      last_thread_(std::this_thread::get_id()),
      pending_(databases.files(), databases.paths().node_directory, databases.limits().memory_bytes) {
  database_.add_reader(reader_);
  try {
    ConnectionRegistry::add(this);
  } catch (const std::bad_alloc&) {
    database_.remove_reader(reader_);
    throw;
  }
}

Connection::~Connection() {
  ConnectionRegistry::remove(this);
  database_.turn().release(this);
  database_.remove_reader(reader_);
}

Deadline Connection::deadline() const {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.timeout_ms);
}

uint32_t Connection::page_size() const {
  if (shown_.page_size != 0) return shown_.page_size;
  if (pending_page_size_ != 0) return pending_page_size_;
  uint32_t known = database_.committed().page_size;
  if (known != 0) return known;
  return options_.page_size != 0 ? options_.page_size : kDefaultPageSize;
}

int Connection::fail(int code, const std::string& sentence) {
  report_error(handle(), code, sentence);
  return code;
}

int Connection::read(void* out, int amount, sqlite3_int64 offset) {
  auto* bytes = static_cast<uint8_t*>(out);
  std::memset(bytes, 0, static_cast<size_t>(amount));
  // Under a read lock the file as of its snapshot; before the first one (the header at open) the newest
  // page 1.
  CommittedView view = read_held_ ? shown_ : database_.committed();
  if (view.page_size == 0 || view.mark.page_count == 0) {
    uint32_t wanted = view.page_size != 0 ? view.page_size : options_.page_size;
    if (offset == 0 && wanted != 0 && amount >= 18) {
      // SQLite takes the page size of a database it is about to create from here (btree.c, sqlite3BtreeOpen).
      bytes[16] = static_cast<uint8_t>(wanted >> 8);
      bytes[17] = static_cast<uint8_t>(wanted >> 16);
    }
    return SQLITE_IOERR_SHORT_READ;
  }
  auto page_number = static_cast<uint32_t>(offset / view.page_size + 1);
  size_t within = static_cast<size_t>(offset % view.page_size);
  size_t size = std::min<size_t>(static_cast<size_t>(amount), view.page_size - within);
  if (!read_held_) {
    Result<SharedPage> page = database_.newest_page(page_number);
    if (!page) return fail(SQLITE_IOERR_READ, page.status().sentence());
    if (*page == nullptr) return SQLITE_IOERR_SHORT_READ;
    std::memcpy(bytes, (*page)->data() + within, size);
  } else {
    if (page_number > view.file->record().page_count) return SQLITE_IOERR_SHORT_READ;
    Status status;
    if (size == view.page_size) {
      status = database_.read_file(*view.file, page_number, {bytes, size});
    } else {
      Bytes page(view.page_size);
      status = database_.read_file(*view.file, page_number, page);
      std::memcpy(bytes, page.data() + within, size);
    }
    if (!status) {
      return fail(status.code() == Code::kBusy ? kSnapshotLost : SQLITE_IOERR_READ, status.sentence());
    }
  }
  return size < static_cast<size_t>(amount) ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

int Connection::file_size(sqlite3_int64* size) {
  CommittedView view = read_held_ ? shown_ : database_.committed();
  if (view.mark.page_count > 0) {
    *size = static_cast<sqlite3_int64>(view.mark.page_count) * view.page_size;
  } else {
    // An empty database has one page until SQLite opened the WAL, or it would decide for a rollback journal
    // (pager.c, pagerOpenWalIfPresent) [V-C2].
    *size = mapped_ ? 0 : page_size();
  }
  return SQLITE_OK;
}

int Connection::pragma(char** arguments) {
  const char* name = arguments[1] != nullptr ? arguments[1] : "";
  // Asked for, or told so by start-up blocks of applications; answered as SQLite does for a memory database
  // [V-D4].
  static constexpr const char* kAnswers[][2] = {
      {"journal_mode", "wal"}, {"locking_mode", "normal"}, {"mmap_size", "0"}};
  for (const auto& [pragma_name, answer] : kAnswers) {
    if (sqlite3_stricmp(name, pragma_name) == 0) {
      arguments[0] = sqlite3_mprintf("%s", answer);
      return SQLITE_OK;
    }
  }
  return SQLITE_NOTFOUND;
}

int Connection::file_control(int operation, void* argument) {
  switch (operation) {
    case SQLITE_FCNTL_PDB:
      handle_.store(static_cast<sqlite3**>(argument), std::memory_order_release);
      return SQLITE_OK;
    case SQLITE_FCNTL_COMMIT_PHASETWO:
      return commit_phase_two();
    case SQLITE_FCNTL_PRAGMA:
      return pragma(static_cast<char**>(argument));
    case SQLITE_FCNTL_VFSNAME:
      *static_cast<char**>(argument) = sqlite3_mprintf("dqlite");
      return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
    case SQLITE_FCNTL_PERSIST_WAL:
      *static_cast<int*>(argument) = 1;
      return SQLITE_OK;
    case SQLITE_FCNTL_HAS_MOVED:
      *static_cast<int*>(argument) = 0;
      return SQLITE_OK;
    default:
      // Nothing is ever forwarded to the real file: a lock time-out would change the order of locks, a chunk
      // size would pad the file [V-D9].
      return SQLITE_NOTFOUND;
  }
}

int Connection::shm_map(int region, int, int, void volatile** out) {
  // SQLite keeps what it finds there even if this call fails.
  *out = nullptr;
  void* memory = index_.region(static_cast<size_t>(region));
  if (!mapped_) {
    rebuild_ = true;
    // A valid header from the first moment, so that SQLite never runs WAL recovery.
    CommittedView view = database_.begin_read(reader_);
    try {
      show(view);
    } catch (const std::bad_alloc&) {
      end_snapshot();
      throw;
    }
    end_snapshot();
    mapped_ = true;
  }
  *out = memory;
  return SQLITE_OK;
}

int Connection::shm_unmap() {
  if (read_held_) unlock_read();
  index_.release();
  mapped_ = false;
  return SQLITE_OK;
}

int Connection::shm_lock(int offset, int count, int flags) {
  last_thread_ = std::this_thread::get_id();
  bool lock = (flags & SQLITE_SHM_LOCK) != 0;
  bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  if (offset >= kFirstReadLock) {
    if (!exclusive) return lock ? lock_read() : unlock_read();
    // A single slot is SQLite noting a read mark, which is private. Several are walRestartLog: the VFS alone
    // restarts the WAL, unless SQLite holds the checkpoint lock, under which nothing is left to restart.
    return lock && count > 1 && !checkpoint_held_ ? SQLITE_BUSY : SQLITE_OK;
  }
  if (offset == kWriteLock && exclusive && count == 1) return lock ? lock_write() : unlock_write();
  if (offset == kCheckpointLock && exclusive && count == 1)
    return lock ? lock_checkpoint() : unlock_checkpoint();
  // SHARED on the checkpoint lock is sqlite3_snapshot_open [V-D11], anything on the recovery lock would be
  // WAL recovery.
  return lock ? SQLITE_BUSY : SQLITE_OK;
}

}  // namespace dqlite::vfs
