#include "vfs/database_set.h"

#include <algorithm>

#include "codec/command.h"
#include "vfs/change_codec.h"
#include "vfs/snapshot.h"
#include "vfs/spill_file.h"

namespace dqlite::vfs {
namespace {

// Of half a second each.
constexpr int kCreateAttempts = 60;

}  // namespace

Result<std::unique_ptr<DatabaseSet>> DatabaseSet::open(Files& files, NodePaths paths) {
  std::unique_ptr<DatabaseSet> set(new DatabaseSet(files, std::move(paths)));
  if (Status status = SpillFile::sweep(files, set->paths_.node_directory); !status) return status;
  Result<std::vector<uint64_t>> ids = DatabaseFile::list(files, set->paths_.node_directory);
  if (!ids) return ids.status();
  for (uint64_t id : *ids) {
    Result<std::unique_ptr<DatabaseFile>> file =
        DatabaseFile::open(files, set->paths_.directory, set->paths_.node_directory, id);
    if (!file) return file.status();
    std::string name = (*file)->record().name;
    if (set->databases_.contains(name)) {
      return Status(Code::kCorrupt,
                    "two checkpoint records in " + set->paths_.node_directory + " speak of " + name);
    }
    set->databases_[name] = std::make_unique<Database>(name, std::move(*file));
  }
  if (Status status = finish_installation(*set); !status) return status;
  return set;
}

void DatabaseSet::attach(Replicator& replicator) {
  replicator_ = &replicator;
  committer_ = std::make_unique<Committer>(replicator, limits_);
  for (Database* database : databases()) watch_rot(*database);
  checkpointer_ = std::make_unique<Checkpointer>(*this, replicator);
}

bool DatabaseSet::waited_in_vain(std::chrono::milliseconds patience) {
  if (replicator_->is_caught_up()) return false;
  const Deadline now = std::chrono::steady_clock::now();
  Deadline first = Deadline::min();
  if (first_wait_.compare_exchange_strong(first, now)) first = now;
  const Standing standing = replicator_->standing();
  const bool is_led = standing == Standing::kLeader || standing == Standing::kFollower;
  const Deadline deadline = (is_led ? now : first) + patience;
  return deadline > now && !replicator_->wait_caught_up(deadline);
}

// Whoever meets it: a connection, the applier, a checkpoint, a snapshot, a backup or a verification.
void DatabaseSet::watch_rot(Database& database) {
  database.versions().file().watch_rot([this, &database](uint32_t page_number, const Status& fault) {
    repairer_.begin(database, page_number, fault);
  });
}

Database* DatabaseSet::find_name(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto found = databases_.find(name);
  return found == databases_.end() ? nullptr : found->second.get();
}

Database* DatabaseSet::find_id(uint64_t id) {
  for (Database* database : databases()) {
    if (database->id() == id) return database;
  }
  return nullptr;
}

std::vector<Database*> DatabaseSet::databases() {
  std::lock_guard lock(mutex_);
  std::vector<Database*> all;
  for (auto& [name, database] : databases_) all.push_back(database.get());
  return all;
}

bool DatabaseSet::knows(const std::string& name) {
  return find_name(name) != nullptr;
}

Result<Database*> DatabaseSet::open_database(const std::string& name, bool create) {
  if (Database* known = find_name(name)) return known;
  // One at a time: two objects of one file would share its locks, and the one that goes would drop them.
  std::lock_guard opening(opening_);
  if (Database* known = find_name(name)) return known;
  Result<std::unique_ptr<DatabaseFile>> file =
      DatabaseFile::open_unrecorded(files_, paths_.directory, paths_.node_directory, name, create);
  if (!file) return file.status();
  auto database = std::make_unique<Database>(name, std::move(*file));
  watch_rot(*database);
  std::lock_guard lock(mutex_);
  return databases_.try_emplace(name, std::move(database)).first->second.get();
}

Status DatabaseSet::adopt(const std::string& name) {
  Database* database = find_name(name);
  if (database == nullptr) return {Code::kNotFound, "no database " + name + " in " + paths_.directory};
  return database->adopt(1, 1);
}

bool DatabaseSet::has_data() {
  for (Database* database : databases()) {
    if (database->id() != 0 || !database->versions().file().found().empty) return true;
  }
  return false;
}

Status DatabaseSet::apply(uint64_t index, uint64_t term, ByteView payload,
                          std::optional<uint64_t> own_proposal) {
  stage_.enter_term(term);
  if (own_proposal) {
    Result<bool> settled = committer_->settle(*own_proposal, index, term);
    if (!settled) return settled.status();
    if (*settled) {
      if (!stage_.empty()) {
        Result<codec::Command> own = codec::decode(payload);
        if (!own) return own.status();
        if (const auto* transaction = std::get_if<codec::Transaction>(&*own)) end_sets(*transaction);
      }
      note_published();
      return Status::ok();
    }
  }
  Result<codec::Command> command = codec::decode(payload);
  if (!command) return command.status().in("entry " + std::to_string(index));
  Status status;
  if (const auto* create = std::get_if<codec::CreateDatabase>(&*command)) {
    status = apply_create(index, term, *create);
  } else if (const auto* transaction = std::get_if<codec::Transaction>(&*command)) {
    status = apply_transaction(index, term, *transaction);
  } else if (std::holds_alternative<codec::Checkpoint>(*command)) {
    checkpointer_->request(index);
  } else if (const auto* part = std::get_if<codec::TransactionPart>(&*command)) {
    status = apply_part(index, term, *part, own_proposal.has_value());
  } else if (const auto* abort = std::get_if<codec::TransactionAbort>(&*command)) {
    stage_.end(abort->set);
  }
  if (status && own_proposal) committer_->settled_elsewhere(*own_proposal);
  return status;
}

Status DatabaseSet::apply_create(uint64_t index, uint64_t term, const codec::CreateDatabase& command) {
  if (find_id(index) != nullptr) return Status::ok();  // in its record already
  Status status;
  for (int i = 0; i < kCreateAttempts; i++) {
    status = create(index, command, {index, term});
    if (status.code() != Code::kBusy) break;  // another program looks at the file; each attempt waits for it
  }
  return status;
}

Status DatabaseSet::create(uint64_t id, const codec::CreateDatabase& command, Point content) {
  Result<Database*> database = open_database(command.name, true);
  if (!database) return database.status();
  if ((*database)->id() != 0) {
    return {Code::kCorrupt, "entry " + std::to_string(id) + " creates " + command.name + ", which entry " +
                                std::to_string((*database)->id()) + " created before"};
  }
  if (!(*database)->versions().file().found().empty) {
    return {Code::kRefused, "the cluster created the database " + command.name +
                                ", but a file of that name with other "
                                "content lies in " +
                                paths_.directory + ": move it away and start again"};
  }
  return (*database)->create(id, command.page_size, content.index, content.term);
}

Status DatabaseSet::apply_transaction(uint64_t index, uint64_t term, const codec::Transaction& command) {
  struct Decoded {
    Database* database;
    DecodedChange change;
  };
  std::vector<Decoded> decoded;
  for (const codec::DatabaseChange& change : command.changes) {
    Database* database = find_id(change.database);
    if (database == nullptr) {
      return {Code::kCorrupt, "entry " + std::to_string(index) + " changes database " +
                                  std::to_string(change.database) + ", which this node does not have"};
    }
    if (index <= database->committed().mark.index) continue;  // in the file already [A5]
    Result<DecodedChange> result = command.set != 0 ? stage_.close(*database, command, change, index, term)
                                                    : stage_.decode(*database, change, index, term);
    if (!result) return result.status();
    decoded.push_back({database, std::move(*result)});
  }
  for (Decoded& part : decoded) part.database->publish(part.change.frames, part.change.mark);
  end_sets(command);
  note_published();
  return Status::ok();
}

Status DatabaseSet::apply_part(uint64_t index, uint64_t term, const codec::TransactionPart& command,
                               bool is_own) {
  Database* database = find_id(command.change.database);
  if (database == nullptr) {
    return {Code::kCorrupt, "entry " + std::to_string(index) + " has pages of database " +
                                std::to_string(command.change.database) + ", which this node does not have"};
  }
  const bool is_in_file = index <= database->committed().mark.index;
  return stage_.add(command, index, term, applied_point(), is_own || is_in_file ? nullptr : database);
}

// After a transaction took effect: its own set, and those of others that it makes impossible.
void DatabaseSet::end_sets(const codec::Transaction& command) {
  stage_.end(command.set);
  for (const codec::DatabaseChange& change : command.changes) stage_.end_sets_of(change.database);
}

void DatabaseSet::note_published() {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  std::lock_guard lock(mutex_);
  for (auto& [name, database] : databases_) {
    frames += database->wal_frames();
    bytes += database->pending_bytes();
  }
  checkpointer_->frames_published(frames, bytes);
}

uint64_t DatabaseSet::checkpoint_space() {
  constexpr uint64_t kRecords = 1 << 20;  // records and page sums
  uint64_t bytes = stage_.size_bytes() + committer_->size_bytes();
  for (Database* database : databases()) bytes += database->pending_bytes();
  return 2 * bytes + kRecords;
}

void DatabaseSet::applied(uint64_t index, uint64_t term) {
  stage_.enter_term(term);
  if (!stage_.empty()) committer_->retry_aborts(write_term());
  std::lock_guard lock(mutex_);
  applied_ = {index, term};
}

void DatabaseSet::leadership_gained(uint64_t term) {
  write_term_.store(term, std::memory_order_release);
  checkpointer_->leadership_gained();
}

void DatabaseSet::leadership_lost() {
  write_term_.store(0, std::memory_order_release);
  for (Database* database : databases()) database->turn().wake_all();
}

void DatabaseSet::failed(const Status& reason) {
  leadership_lost();
  committer_->drop_all(reason);
}

DatabaseSet::Point DatabaseSet::applied_point() {
  std::lock_guard lock(mutex_);
  return applied_;
}

// In this order: a set that is open at `applied` and closed when asked for has left frames that no file has yet.
DatabaseSet::Point DatabaseSet::settled_point() {
  const Point applied = applied_point();
  const std::optional<LogPoint> floor = stage_.floor();
  return floor && floor->index < applied.index ? *floor : applied;
}

DatabaseSet::Point DatabaseSet::durable_point() {
  Point applied = settled_point();
  Point point = applied;
  for (Database* database : databases()) {
    if (database->id() == 0) continue;
    uint64_t term = applied.term;
    uint64_t index = database->durable_point(applied.index, &term);
    if (index < point.index) point = {index, term};
  }
  return point;
}

DatabaseSet::Point DatabaseSet::newest_checkpoint() {
  Point newest;
  for (Database* database : databases()) {
    if (database->id() == 0) continue;
    const CommittedView view = database->committed();
    const CheckpointRecord& record = view.file->record();
    if (record.index > newest.index) newest = {record.index, record.term};
  }
  return newest;
}

Result<bool> DatabaseSet::install(const CheckpointRecord& record, const DatabaseFile::PageSource& source) {
  Database* database = find_id(record.database);
  if (database == nullptr) {
    // Nothing of it is here yet; an adopted file's content is as old as its CREATE.
    Status created = create(record.database, {record.name, record.page_size}, {record.database - 1, 0});
    if (!created) return created;
    database = find_id(record.database);
  }
  // What the file has, and not what is published: with the state goes the log that could rebuild the rest.
  if (record.index <= database->committed().file->record().index) return false;
  Status replaced =
      database->replace(record, source, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  if (!replaced) return replaced;
  return true;
}

void DatabaseSet::installed(Point last) {
  stage_.clear();
  applied(last.index, last.term);
}

Result<CheckpointReport> DatabaseSet::checkpoint_cluster(Deadline deadline) {
  if (replicator_->standing() == Standing::kNew) return CheckpointReport{};  // nothing was written yet
  Result<uint64_t> index = replicator_->request_checkpoint(deadline);
  if (!index) return index.status();
  return checkpointer_->wait(*index, deadline);
}

Status DatabaseSet::checkpoint_locally(Deadline deadline) {
  uint64_t bound = checkpoint_bound();
  checkpointer_->request(bound);
  return checkpointer_->wait(bound, deadline).status();
}

uint64_t DatabaseSet::checkpoint_bound() {
  return std::min(replicator_->durable_index(), applied_point().index);
}

std::vector<DatabaseStatus> DatabaseSet::status() {
  std::vector<DatabaseStatus> all;
  for (Database* database : databases()) {
    CommittedView view = database->committed();
    all.push_back({database->name(), view.database, view.file->record().index, database->wal_frames(),
                   database->wal_bytes(), view.page_size, view.mark.page_count, view.mark.checksum,
                   database->turn().waiting()});
  }
  return all;
}

}  // namespace dqlite::vfs
