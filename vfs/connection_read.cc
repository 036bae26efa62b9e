// The snapshot point: where, and only where, a connection moves forward to the committed state.

#include <algorithm>
#include <new>

#include "vfs/connection.h"
#include "vfs/error_codes.h"

namespace dqlite::vfs {
namespace {

// How long a connection that was passed over waits for its turn before it looks at the database.
constexpr std::chrono::milliseconds kPassedOverWait{50};

}  // namespace

std::atomic<uint64_t> Connection::renumber_after{32768};

bool Connection::is_renumbering_due(const CommittedView& view) const {
  return view.backfill > offset_ + renumber_after.load(std::memory_order_relaxed);
}

bool Connection::shows(const CommittedView& view) const {
  return !rebuild_ && view.epoch == shown_.epoch && view.mark.sequence == shown_.mark.sequence;
}

// Makes `view`, which the reader holds, what SQLite finds in the wal-index. False if the whole copy was
// replaced meanwhile: then there is a newer one.
bool Connection::show(const CommittedView& view) {
  bool renumber =
      rebuild_ || view.epoch != shown_.epoch || view.backfill > indexed_ || is_renumbering_due(view);
  if (renumber) {
    index_.clear();
    // The frame numbered 1 stands for all that is in the file, so that SQLite never writes a WAL header of
    // its own but for an empty database, which has no page size yet [V-D6].
    offset_ = view.mark.page_count == 0 ? view.backfill : view.backfill - 1;
    indexed_ = view.backfill;
    salt_++;
  }
  rebuild_ = true;  // should memory run out on the way
  std::vector<uint32_t> page_numbers;
  if (!database_.page_numbers(indexed_, view.mark.sequence, page_numbers)) return false;
  for (uint32_t page_number : page_numbers) index_.append(private_number(++indexed_), page_number);

  WalIndexHeader header;
  header.change = ++change_;
  uint32_t size = view.page_size;
  header.page_size = static_cast<uint16_t>((size & 0xff00) | (size >> 16));
  header.max_frame = private_number(view.mark.sequence);
  header.page_count = view.mark.page_count;
  header.salt[0] = salt_;
  header.salt[1] = static_cast<uint32_t>(view.epoch);
  index_.show(header);
  index_.set_backfill(private_number(view.backfill));
  shown_ = view;
  rebuild_ = false;
  return true;
}

// `view` is what the header says already; the file may have moved on beneath it.
void Connection::grant(const CommittedView& view) {
  index_.set_backfill(private_number(view.backfill));
  shown_ = view;
  moved_ = false;
}

void Connection::wait_caught_up() {
  if (is_second_attempt() || !databases_.waited_in_vain(std::chrono::milliseconds(options_.timeout_ms)))
    return;
  queue_log(
      "no leader was found yet after the start of this node: what is read may be older than what it knew before");
}

// For who asked for linearizable reads: a read barrier, where a transaction begins. SQLite's second attempt,
// after the header moved, needs no other, and the holder of the turn reads the tip anyway.
int Connection::wait_newest() {
  if (!options_.linearizable || is_second_attempt() || database_.turn().holds(this)) return SQLITE_OK;
  if (databases_.replicator().standing() == Standing::kNew) return SQLITE_OK;  // nothing is committed yet
  Status status = databases_.replicator().read_barrier(deadline());
  if (status) return SQLITE_OK;
  // Not SQLITE_BUSY: its handler would wait for the same time over and over.
  return fail(kReadUnconfirmed, "read=linearizable: " + status.sentence());
}

// A statement that will write, of a connection that was passed over in line (its busy handler sleeps by
// itself) or whose transaction read too early: it takes the turn first and looks then [V-B4, B1].
void Connection::take_turn_before_snapshot() {
  if (!database_.turn().was_passed_over(this) || handle() == nullptr || transaction_is_open()) return;
  bool explicit_transaction = sqlite3_get_autocommit(handle()) == 0;
  if (!explicit_transaction && !statement_writes()) return;
  bool reserved =
      database_.turn().take_before_snapshot(this, std::chrono::steady_clock::now() + kPassedOverWait);
  reserved_until_end_ = reserved && explicit_transaction;
}

int Connection::lock_read() {
  try {
    return move_snapshot();
  } catch (const std::bad_alloc&) {
    // SQLite takes the lock for refused, and does not release it.
    read_held_ = false;
    moved_ = false;
    end_snapshot();
    return SQLITE_NOMEM;
  }
}

int Connection::move_snapshot() {
  // walRestartLog changes its read lock with WRITE held: the same snapshot [V-D8].
  if (writing_ == Writing::kOpen || checkpoint_held_) {
    read_held_ = true;
    return SQLITE_OK;
  }
  if (writing_ != Writing::kNo) abandon();
  flush_log();
  just_committed_ = false;
  write_taken_ = false;
  group_done_ = false;
  wait_caught_up();
  if (int rc = wait_newest(); rc != SQLITE_OK) return rc;
  take_turn_before_snapshot();
  read_held_ = true;
  if (is_second_attempt()) {
    // SQLite comes back because the previous call moved the header. Moving it at every call would let it
    // retry until it gives up with SQLITE_PROTOCOL while others commit [V-B5].
    if (std::optional<CommittedView> again = database_.begin_read_again(reader_, shown_)) {
      grant(*again);
      return SQLITE_OK;
    }
  }
  while (true) {
    CommittedView view = database_.begin_read(reader_);
    // A connection that only sees its own commits must start again, too.
    if (shows(view) && !is_renumbering_due(view)) {
      grant(view);
      return SQLITE_OK;
    }
    // SQLite compares the header with its copy, finds it changed, drops the lock and begins again with the
    // new one.
    moved_ = show(view);
    if (moved_) return SQLITE_OK;
  }
}

int Connection::unlock_read() {
  if (!read_held_ || writing_ == Writing::kOpen) return SQLITE_OK;
  read_held_ = false;
  if (writing_ == Writing::kSealed) abandon();
  if (reserved_until_end_ && sqlite3_get_autocommit(handle()) != 0) {
    // The transaction is over, and did not write after all.
    reserved_until_end_ = false;
    database_.turn().release(this);
  }
  end_snapshot();
  return SQLITE_OK;
}

// An idle connection must not keep old pages alive.
void Connection::end_snapshot() {
  database_.end_read(reader_);
  shown_.file.reset();
}

}  // namespace dqlite::vfs
