// The write turn, the frames of an open transaction, and COMMIT.

#include <algorithm>
#include <cstring>
#include <new>

#include "codec/big_endian.h"
#include "codec/page.h"
#include "vfs/connection.h"
#include "vfs/connection_registry.h"
#include "vfs/error_codes.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::vfs {
namespace {

constexpr size_t kWalHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;

// The turn that a statement of this thread was refused: what xSleep waits for. The turn lives as long as the
// process.
struct Refused {
  WriteTurn* turn = nullptr;
  const Connection* owner = nullptr;  // a key, never followed
};
thread_local Refused refused;

}  // namespace

// --- questions to SQLite about the statement that runs ---

const char* Connection::schema_name() const {
  // sqlite3_db_name is of SQLite 3.39; before, only the main database can be told.
  if (sqlite3_libversion_number() < 3039000) return "main";
  for (int i = 0; const char* name = sqlite3_db_name(handle(), i); i++) {
    sqlite3_file* file = nullptr;
    sqlite3_file_control(handle(), name, SQLITE_FCNTL_FILE_POINTER, &file);
    if (connection_of(file) == this) return name;
  }
  return nullptr;
}

bool Connection::transaction_is_open() const {
  // Not sqlite3_get_autocommit: the first statement after a plain BEGIN opens the transaction, and SQLite
  // will begin it anew after a BUSY [V-B3].
  return sqlite3_txn_state(handle(), schema_name()) != SQLITE_TXN_NONE;
}

bool Connection::statement_writes() const {
  for (sqlite3_stmt* statement = sqlite3_next_stmt(handle(), nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(handle(), statement)) {
    if (sqlite3_stmt_busy(statement) != 0 && sqlite3_stmt_readonly(statement) == 0) return true;
  }
  return false;
}

bool Connection::statement_runs_pragma() const {
  for (sqlite3_stmt* statement = sqlite3_next_stmt(handle(), nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(handle(), statement)) {
    if (sqlite3_stmt_busy(statement) != 0 && first_word(sqlite3_sql(statement)) == "PRAGMA") return true;
  }
  return false;
}

bool Connection::main_is_ours() const {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(handle(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  return connection_of(file) != nullptr;
}

// --- the write turn ---

int Connection::refuse_write(Standing standing) {
  Replicator& replicator = databases_.replicator();
  switch (standing) {
    case Standing::kFollower:
      return fail(kNotLeader, "this node does not lead: write on the leader, " + replicator.leader_address());
    case Standing::kRemoved:
      return fail(kNotLeader, replicator.fault());
    case Standing::kFailed:
      return fail(kNodeFailed, "this node has stopped: " + replicator.fault());
    case Standing::kJoining:
      return fail(kNoQuorum,
                  "this node is joining a cluster: wait until it is a member, and write on its leader");
    default:
      return fail(kNoQuorum,
                  "no leader is known now: a majority of the cluster's voters must be running and reachable");
  }
}

// The term in which this node may write; makes a new node a cluster of one first.
int Connection::become_writable(uint64_t* term) {
  *term = databases_.write_term();
  if (*term != 0) return SQLITE_OK;
  Standing standing = databases_.replicator().standing();
  if (standing == Standing::kNew) {
    Status status = databases_.replicator().bootstrap(false, deadline());
    if (!status) return fail(kNoQuorum, status.sentence());
    *term = databases_.write_term();
    if (*term != 0) return SQLITE_OK;
    standing = databases_.replicator().standing();
  }
  return refuse_write(standing);
}

int Connection::lock_write() {
  try {
    return take_turn();
  } catch (const std::bad_alloc&) {
    database_.turn().release(this);
    return SQLITE_NOMEM;
  }
}

int Connection::take_turn() {
  // Any mode but PASSIVE: somebody asked for it. A plain BUSY would call the busy handler.
  if (checkpoint_held_) return checkpoint_now() == SQLITE_OK ? SQLITE_OK : SQLITE_BUSY_TIMEOUT;
  if (writing_ == Writing::kOpen) return SQLITE_OK;
  refused = {};
  uint64_t term = 0;
  WriteTurn& turn = database_.turn();
  reserved_until_end_ = false;
  if (int rc = become_writable(&term); rc != SQLITE_OK) {
    turn.release(this);  // nobody waits for one who cannot write
    return rc;
  }
  bool taken = turn.take(this);
  bool newest = shows(database_.committed());
  if (taken && newest) {
    writing_ = Writing::kOpen;
    header_before_write_ = index_.header();
    write_term_ = term;
    write_taken_ = true;
    early_ = false;
    pending_.clear();
    taken_ = 0;
    open_header_ = {};
    return SQLITE_OK;
  }
  if (transaction_is_open()) {
    // SQLite tells the application at once; it comes back with a new transaction, and then finds its turn
    // kept [B1].
    turn.step_back(this);
    return newest ? SQLITE_BUSY : SQLITE_BUSY_SNAPSHOT;
  }
  // SQLite drops its snapshot, calls the busy handler, which sleeps in `sleep` below, and begins anew. With
  // the turn in hand only the snapshot was too old: then there is nothing to sleep for.
  if (taken) turn.reserve_again(this);
  refused = {&turn, this};
  return SQLITE_BUSY;
}

bool Connection::sleep(int microseconds) {
  if (refused.turn == nullptr || !refused.turn->has_ticket(refused.owner)) return false;
  refused.turn->await(refused.owner,
                      std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds));
  return true;
}

bool Connection::is_sealed() const {
  // SQLite's own decision to commit: it has moved the header past the frames of before (wal.c,
  // walIndexWriteHdr) [V-A5].
  if (writing_ != Writing::kOpen && writing_ != Writing::kSealed) return false;
  return sealed_frames() != 0;
}

uint32_t Connection::sealed_frames() const {
  return index_.header().max_frame - private_number(shown_.mark.sequence);
}

int Connection::unlock_write() {
  if (writing_ == Writing::kCommitted) {
    writing_ = Writing::kNo;
  } else if (writing_ == Writing::kOpen && is_sealed()) {
    if (early_) {
      committed(early_mark_);
      writing_ = Writing::kNo;
    } else {
      writing_ = Writing::kSealed;  // the turn stays until COMMIT_PHASETWO, which is SQLite's next call
    }
  } else if (writing_ == Writing::kOpen) {
    abandon();
  }
  return SQLITE_OK;
}

// A commit that failed after SQLite had moved the header past its frames, and before it released WRITE: its
// rollback undoes, and drops from the cache, what stands behind the header (wal.c, sqlite3WalUndo).
void Connection::take_back() {
  if (writing_ != Writing::kOpen || !is_sealed()) return;
  index_.show(header_before_write_);
  rebuild_ = true;
}

// A transaction that ends without being proposed.
void Connection::abandon() {
  if (!pending_.empty() || taken_ != 0 || early_) rebuild_ = true;
  pending_.clear();
  taken_ = 0;
  early_ = false;
  writing_ = Writing::kNo;
  database_.turn().release(this);
}

// --- the WAL file ---

int Connection::wal_read(void* out, int amount, sqlite3_int64 offset) {
  auto* bytes = static_cast<uint8_t*>(out);
  auto size = static_cast<size_t>(amount);
  std::memset(bytes, 0, size);
  if (offset < static_cast<sqlite3_int64>(kWalHeaderBytes)) return SQLITE_OK;
  uint32_t page = page_size();
  auto position = static_cast<uint64_t>(offset) - kWalHeaderBytes;
  uint64_t number = position / (page + kFrameHeaderBytes) + 1;
  size_t within = position % (page + kFrameHeaderBytes);
  // Eight bytes of the header of the frame before a transaction's first are read when checksums are rewritten
  // (walRewriteChecksums); nobody checks the result, and the frame may be gone [V-D3].
  if (within < kFrameHeaderBytes && size < page) return SQLITE_OK;
  uint64_t sequence = number + offset_;
  PageImage frame;
  uint32_t truncate = 0;
  if (sequence <= shown_.mark.sequence) {
    frame = database_.frame(sequence);
  } else if (size_t slot = sequence - shown_.mark.sequence - 1; slot < pending_.size()) {
    frame = pending_[slot];
    if (slot + 1 == pending_.size()) truncate = sealed_page_count_;
  }
  if (frame.number == 0) {
    return fail(kSnapshotLost, "frame " + std::to_string(number) + " of " + database_.name() +
                                   " is gone: the copy was replaced by a newer one; read again");
  }
  if (within == 0 && size == page + kFrameHeaderBytes) {
    codec::put_big_endian(bytes, frame.number);
    codec::put_big_endian(bytes + 4, truncate);
    return read_frame(frame, {bytes + kFrameHeaderBytes, page});
  }
  if (within == kFrameHeaderBytes && size == page) return read_frame(frame, {bytes, page});
  if (within < kFrameHeaderBytes || within - kFrameHeaderBytes + size > page) {
    return fail(SQLITE_IOERR_READ, "a read of the WAL that no known SQLite makes: " + std::to_string(size) +
                                       " bytes at " + std::to_string(within) + " of a frame");
  }
  Bytes whole(page);
  if (int rc = read_frame(frame, whole); rc != SQLITE_OK) return rc;
  std::memcpy(bytes, whole.data() + (within - kFrameHeaderBytes), size);
  return SQLITE_OK;
}

int Connection::read_frame(const PageImage& frame, std::span<uint8_t> out) {
  Status status = frame.read(out);
  if (status) return SQLITE_OK;
  if (status.code() == Code::kCorrupt) databases_.verifier().suspect();
  return fail(SQLITE_IOERR_READ, status.sentence());
}

int Connection::wal_write(const void* data, int amount, sqlite3_int64 offset) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  auto size = static_cast<size_t>(amount);
  if (offset == 0 && size == kWalHeaderBytes) {
    // Written before the first frame of an empty database: tells its page size (walformat.html 1.2).
    pending_page_size_ = codec::get_big_endian(bytes + 8);
    return SQLITE_OK;
  }
  uint32_t page = page_size();
  auto position = static_cast<uint64_t>(offset) - kWalHeaderBytes;
  auto number = static_cast<uint32_t>(position / (page + kFrameHeaderBytes) + 1);
  size_t within = position % (page + kFrameHeaderBytes);
  uint32_t base = private_number(shown_.mark.sequence);
  if (writing_ != Writing::kOpen || number <= base) {
    return fail(SQLITE_IOERR_WRITE, "a write to the WAL outside a write transaction");
  }
  size_t slot = number - base - 1;
  if (within == 0 && size == kFrameHeaderBytes) {
    // Opens a frame, or rewrites the checksums of one that is closed: only page data that follows tells
    // which.
    open_header_ = {number, codec::get_big_endian(bytes), codec::get_big_endian(bytes + 4)};
    return SQLITE_OK;
  }
  if (within != kFrameHeaderBytes || size != page || slot > pending_.size()) {
    return fail(SQLITE_IOERR_WRITE, "a write to the WAL that no known SQLite makes: " + std::to_string(size) +
                                        " bytes at " + std::to_string(within) + " of frame " +
                                        std::to_string(number));
  }
  Bytes image(bytes, bytes + size);
  if (open_header_.number != number) {
    // A page that changed again after it was spilled is overwritten where it is.
    if (slot == pending_.size()) return fail(SQLITE_IOERR_WRITE, "page data without a frame header");
    if (pending_[slot].number == 1) codec::make_canonical_page1(image);
    return put_aside(pending_.replace(slot, std::move(image)));
  }
  if ((uint64_t{slot} + 1) * page > options_.max_transaction_mb << 20) {
    return fail(SQLITE_FULL,
                "the transaction changes more than " + std::to_string(options_.max_transaction_mb) +
                    " MB of pages, which is the limit (max_transaction in the URI): split it into "
                    "smaller ones, or open the database with a higher limit");
  }
  if (open_header_.page_number == 1) codec::make_canonical_page1(image);
  // After ROLLBACK TO the same numbers come again, with other pages.
  pending_.cut(slot);
  Status status = pending_.append(open_header_.page_number, std::move(image));
  sealed_page_count_ = open_header_.truncate;
  open_header_ = {};
  if (!status) return put_aside(status);
  return sealed_page_count_ != 0 ? sealed() : SQLITE_OK;
}

int Connection::put_aside(const Status& status) {
  if (status) return SQLITE_OK;
  return fail(status.code() == Code::kFull ? SQLITE_FULL : SQLITE_IOERR_WRITE, status.sentence());
}

// --- PRAGMA wal_checkpoint and sqlite3_wal_checkpoint_v2 ---

int Connection::lock_checkpoint() {
  if (writing_ != Writing::kNo) return SQLITE_BUSY;
  // SQLite's automatic request, PASSIVE and right after a commit, is answered at once: the cluster has its
  // own rule, and frame numbers hardly shrink here, so SQLite would ask after every commit [V-D1].
  checkpoint_done_ = false;
  if (!just_committed_ || statement_runs_pragma()) {
    if (int rc = checkpoint_now(); rc != SQLITE_OK) return rc;
  }
  checkpoint_held_ = true;
  header_before_checkpoint_ = index_.header();
  // What is left, if anything, is not SQLite's to copy: its own header says that all is in the file.
  index_.set_backfill(header_before_checkpoint_.max_frame);
  return SQLITE_OK;
}

int Connection::checkpoint_now() {
  if (checkpoint_done_) return SQLITE_OK;
  Result<CheckpointReport> report = databases_.checkpoint_cluster(deadline());
  if (!report) return fail(SQLITE_BUSY, report.status().sentence());
  checkpoint_done_ = true;
  return SQLITE_OK;
}

int Connection::unlock_checkpoint() {
  if (!checkpoint_held_) return SQLITE_OK;
  checkpoint_held_ = false;
  WalIndexHeader header = index_.header();
  // SQLite may have restarted its private WAL meanwhile (walRestartHdr).
  if (std::memcmp(&header, &header_before_checkpoint_, sizeof(header)) != 0) rebuild_ = true;
  index_.set_backfill(private_number(shown_.backfill));
  return SQLITE_OK;
}

}  // namespace dqlite::vfs
