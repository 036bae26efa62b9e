// What COMMIT does: everything a transaction changed goes into one entry of the log, and COMMIT ends when
// that is committed, or tells why not.
#include <algorithm>

#include "vfs/connection.h"
#include "vfs/connection_registry.h"
#include "vfs/error_codes.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::vfs {

namespace {

// Of the transaction that this thread commits: SQLite makes one where several plain files take part.
struct SuperJournal {
  std::string name;
  sqlite3* handle = nullptr;  // whose commit reached a replicated database under it; a key
};
thread_local SuperJournal super_journal;

}  // namespace

// `pending_` keeps its frames: where SQLite reads some of them again before it knows of the commit.
CommitPart Connection::copy_part() {
  CommitPart part = part_without_frames();
  part.frames = pending_.frames();
  return part;
}

CommitPart Connection::take_part() {
  CommitPart part = part_without_frames();
  taken_ = pending_.size();
  part.frames = pending_.take();
  return part;
}

CommitPart Connection::part_without_frames() {
  CommitPart part;
  part.database = &database_;
  part.holder = this;
  part.base = shown_;
  part.page_count = sealed_page_count_;
  return part;
}

// Private memory holds what SQLite wrote at its commit; it stays as it is, or SQLite would drop its cache
// [V-D7].
void Connection::committed(const CommitMark& mark) {
  WalIndexHeader header = index_.header();
  uint64_t expected = shown_.mark.sequence + taken_ + pending_.size();
  if (mark.sequence != expected || header.max_frame != private_number(expected)) rebuild_ = true;
  change_ = std::max(change_, header.change);
  CommittedView now = database_.committed();
  shown_.mark = mark;
  shown_.database = now.database;
  shown_.page_size = now.page_size;
  indexed_ = mark.sequence;
  pending_.clear();
  taken_ = 0;
}

// Everything that this connection's handle commits now goes into one entry, so that it is committed as a
// whole [B14].
int Connection::commit_group(const std::vector<Connection*>& group, bool same_term) {
  Committer::After after;
  Status status;
  if (same_term) {
    status = propose_group(group, after);
  } else {
    status = {Code::kNotCommitted,
              "this node lost its leadership while the transaction was open: nothing was committed; do it "
              "again on the leader"};
    for (Connection* member : group) member->database_.turn().release(member);
  }
  int rc = status ? SQLITE_OK : fail(status);
  for (Connection* member : group) {
    if (status) {
      member->committed(after.at(&member->database_));
    } else {
      // SQLite's cache and private header hold what was not committed: its rollback or, for the database
      // whose COMMIT_PHASETWO fails, the next snapshot makes it drop them.
      member->take_back();
      member->pending_.clear();
      member->taken_ = 0;
      member->rebuild_ = true;
    }
    member->writing_ = member->writing_ == Writing::kOpen ? Writing::kCommitted : Writing::kNo;
    member->group_done_ = true;
    member->group_result_ = rc;
  }
  return rc;
}

Status Connection::propose_group(const std::vector<Connection*>& group, Committer::After& after) {
  std::vector<CommitPart> parts;
  Status refusal;
  for (Connection* member : group) {
    if (member->sealed_frames() != member->pending_.size() || member->sealed_page_count_ == 0) {
      refusal = {Code::kNotCommitted, "SQLite committed " + std::to_string(member->sealed_frames()) +
                                          " frames and wrote " + std::to_string(member->pending_.size()) +
                                          ": nothing was proposed"};
      break;
    }
  }
  if (!refusal) {
    for (Connection* member : group) member->database_.turn().release(member);
    return refusal;
  }
  parts.reserve(group.size());
  for (Connection* member : group) parts.push_back(member->take_part());
  Result<Committer::After> result = databases_.committer().commit(std::move(parts), write_term_, deadline());
  if (result) after = std::move(*result);
  return result.status();
}

int Connection::commit_phase_two() {
  just_committed_ = true;
  if (!group_done_) commit_transaction();
  group_done_ = false;
  write_taken_ = false;
  early_ = false;
  return group_result_;
}

// Decides for this database and for all others of its node that the transaction holds; `group_result_` of
// each tells the outcome.
void Connection::commit_transaction() {
  std::vector<Connection*> group;      // what the transaction changed
  std::vector<Connection*> unchanged;  // what it locked for writing, and only read
  bool same_term = write_term_ == databases_.write_term();
  for (Connection* member : writing_members()) {
    // A lock of an old term guarded nothing: another leader may have written since [A1].
    same_term = same_term && member->write_term_ == write_term_;
    (member->is_sealed() ? group : unchanged).push_back(member);
  }
  int rc = SQLITE_OK;
  if (!group.empty()) {
    rc = commit_group(group, same_term);
    // The entry in the log proves for all of them that this node led.
    for (Connection* member : unchanged) {
      member->group_done_ = true;
      member->group_result_ = rc;
    }
  } else if (write_taken_ && !early_) {
    // A transaction that could write and wrote nothing: what it read is true only if this node still leads
    // [A7].
    rc = confirm_leadership();
  }
  group_done_ = true;
  group_result_ = rc;
}

std::vector<Connection*> Connection::writing_members() {
  std::vector<Connection*> members;
  for (Connection* member : ConnectionRegistry::of(handle())) {
    if (&member->databases_ != &databases_ || member->early_) continue;
    if (member->writing_ == Writing::kOpen || member->writing_ == Writing::kSealed) members.push_back(member);
  }
  return members;
}

int Connection::confirm_leadership() {
  Status status = databases_.replicator().confirm_leadership(write_term_, deadline());
  if (status) return SQLITE_OK;
  return fail(kNotCommitted,
              "the transaction changed nothing, but this node could not confirm that it leads, so what was "
              "read may be old: " +
                  status.sentence());
}

int Connection::fail(const Status& status) {
  // Only errors of these two families may leave a COMMIT: after a plain BUSY SQLite keeps the transaction,
  // and the COMMIT after it would return OK without asking again [A11, V-A6].
  int code = SQLITE_IOERR;
  switch (status.code()) {
    case Code::kFull:
      code = SQLITE_FULL;
      break;
    case Code::kUnknown:
      code = kLeadershipLost;
      break;
    case Code::kNotCommitted:
      code = kNotCommitted;
      break;
    case Code::kPoisoned:
      code = kNodeFailed;
      break;
    default:
      code = SQLITE_IOERR_READ;
      break;
  }
  return fail(code, status.sentence());
}

// --- beside databases of other VFSes ---

void Connection::super_journal_opened(const char* name) {
  super_journal = {name == nullptr ? "" : name, nullptr};
}

int Connection::super_journal_deleted(const char* name) {
  if (super_journal.handle == nullptr || name == nullptr || super_journal.name != name) return SQLITE_OK;
  sqlite3* handle = super_journal.handle;
  super_journal = {};
  for (Connection* member : ConnectionRegistry::of(handle)) {
    if (member->writing_ != Writing::kOpen || member->early_) continue;
    if (!member->group_done_) member->commit_transaction();
    if (member->group_result_ != SQLITE_OK) return member->group_result_;
  }
  return SQLITE_OK;
}

// SQLite has written the last frame of its commit.
int Connection::sealed() {
  int rc = commit_at_seal();
  if (rc == SQLITE_OK) return rc;
  // The rollback that follows is one of all databases.
  for (Connection* member : ConnectionRegistry::of(handle())) {
    if (member != this) member->take_back();
  }
  return rc;
}

int Connection::commit_at_seal() {
  if (!super_journal.name.empty()) super_journal.handle = handle();
  switch (place_of_commit()) {
    case CommitPlace::kPhaseTwo:
      return SQLITE_OK;
    case CommitPlace::kPhaseOne:
      return commit_in_phase_one();
    case CommitPlace::kNone:
      break;
  }
  return fail(
      kNotCommitted,
      "this transaction writes to several plain files and to several replicated databases, which could "
      "not be undone together: nothing was committed; open a replicated database as main, or write to "
      "fewer at once");
}

// Where an error still undoes as much as possible, and is never lost [V-A3]. With a super-journal SQLite
// ignores what COMMIT_PHASETWO says (btree.c, bCleanup): if main is ours the commit happens when that journal
// is deleted, which is SQLite's own commit point, and goes through our VFS. If main is a plain file the
// deletion does not, and main commits before: then phase one is the place, which however is too early for two
// replicated databases, whose commit must be one.
Connection::CommitPlace Connection::place_of_commit() {
  const char* main_name = sqlite3_db_filename(handle(), "main");
  const bool main_is_file = main_name != nullptr && *main_name != 0;
  if (!main_is_file || main_is_ours()) return CommitPlace::kPhaseTwo;
  if (writing_members().size() == 1) return CommitPlace::kPhaseOne;
  return plain_files_written() < 2 ? CommitPlace::kPhaseTwo : CommitPlace::kNone;
}

int Connection::plain_files_written() const {
  if (sqlite3_libversion_number() < 3039000) return 2;  // no sqlite3_db_name: nobody can tell
  int count = 0;
  for (int i = 0; const char* schema = sqlite3_db_name(handle(), i); i++) {
    const char* name = sqlite3_db_filename(handle(), schema);
    if (name == nullptr || *name == 0 || connection_of(handle(), schema) != nullptr) continue;
    if (sqlite3_txn_state(handle(), schema) == SQLITE_TXN_WRITE) count++;
  }
  return count;
}

int Connection::commit_in_phase_one() {
  std::vector<CommitPart> parts;
  Status status;
  if (databases_.write_term() == write_term_) {
    parts.push_back(copy_part());
    Result<Committer::After> after = databases_.committer().commit(std::move(parts), write_term_, deadline());
    status = after.status();
    if (after) early_mark_ = after->at(&database_);
  } else {
    status = {Code::kNotCommitted, "this node lost its leadership while the transaction was open"};
  }
  early_ = true;
  if (status) return SQLITE_OK;
  rebuild_ = true;
  return fail(status);
}

}  // namespace dqlite::vfs
