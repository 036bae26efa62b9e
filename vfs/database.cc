#include "vfs/database.h"

#include <algorithm>
#include <new>

#include "codec/checksum.h"

namespace dqlite::vfs {
namespace {

CommitMark mark_of(const CheckpointRecord& record, uint64_t sequence) {
  return {sequence, record.index, record.term, record.page_count, record.checksum};
}

// Of the file at `record`, by a checkpoint at `next`.
uint64_t replaced_bytes(const CheckpointRecord& record, const CommitMark& next,
                        const std::vector<PageImage>& pages) {
  const auto new_pages =
      std::upper_bound(pages.begin(), pages.end(), record.page_count,
                       [](uint32_t count, const PageImage& page) { return count < page.number; });
  uint64_t replaced = static_cast<uint64_t>(new_pages - pages.begin());
  if (record.page_count > next.page_count) replaced += record.page_count - next.page_count;
  return replaced * record.page_size;
}

}  // namespace

Database::Database(std::string name, std::unique_ptr<DatabaseFile> file)
    : name_(std::move(name)), versions_(std::move(file)) {
  // Sequences begin at 1 with everything in the file, so that a private frame number 1 stands for "all in the
  // file".
  wal_.reset(mark_of(versions_.file().record(), 1));
}

uint64_t Database::id() {
  std::lock_guard lock(mutex_);
  return versions_.current()->record().database;
}

CommittedView Database::view() const {
  CommittedView view;
  view.epoch = epoch_;
  view.mark = wal_.newest();
  view.backfill = wal_.checkpointed();
  view.file = versions_.current();
  view.database = view.file->record().database;
  view.page_size = view.file->record().page_size;
  return view;
}

void Database::add_reader(Reader& reader) {
  std::lock_guard lock(mutex_);
  readers_.push_back(&reader);
}

void Database::remove_reader(Reader& reader) {
  std::lock_guard lock(mutex_);
  std::erase(readers_, &reader);
  release_frames();
}

CommittedView Database::begin_read(Reader& reader) {
  std::lock_guard lock(mutex_);
  CommittedView now = view();
  reader = {true, false, now.backfill, now.mark.sequence};
  return now;
}

std::optional<CommittedView> Database::begin_read_again(Reader& reader, const CommittedView& shown) {
  std::lock_guard lock(mutex_);
  uint64_t overwritten = std::max(wal_.checkpointed(), checkpoint_target_);
  if (shown.epoch != epoch_ || shown.mark.sequence < overwritten) return std::nullopt;
  CommittedView now = view();
  now.mark = shown.mark;
  reader = {true, false, now.backfill, shown.mark.sequence};
  return now;
}

void Database::end_read(Reader& reader) {
  std::lock_guard lock(mutex_);
  reader.active = false;
  if (reader.backfill < wal_.checkpointed()) release_frames();
}

PinnedVersion Database::begin_file_read(Reader& reader, uint64_t& index, uint64_t& term) {
  std::unique_lock lock(mutex_);
  // A running checkpoint has decided already which old pages are needed.
  checkpoint_ended_.wait(lock, [&] { return checkpoint_target_ == 0; });
  reader = {true, true, UINT64_MAX, wal_.checkpointed()};
  readers_.push_back(&reader);
  PinnedVersion version = versions_.current();
  if (!is_all_in_file() && version->record().index < index) {
    index = version->record().index;
    term = version->record().term;
  }
  return version;
}

void Database::end_file_read(Reader& reader) {
  remove_reader(reader);
}

CommittedView Database::committed() {
  std::lock_guard lock(mutex_);
  return view();
}

CommittedView Database::committed_changes(std::vector<PageImage>& changes) {
  std::lock_guard lock(mutex_);
  changes = wal_.changes_until(wal_.newest());
  return view();
}

PageImage Database::frame(uint64_t sequence) {
  std::lock_guard lock(mutex_);
  return wal_.holds(sequence) ? wal_.frame(sequence) : PageImage();
}

bool Database::page_numbers(uint64_t from, uint64_t to, std::vector<uint32_t>& out) {
  std::lock_guard lock(mutex_);
  for (uint64_t sequence = from + 1; sequence <= to; sequence++) {
    if (!wal_.holds(sequence)) return false;
    out.push_back(wal_.frame(sequence).number);
  }
  return true;
}

Result<SharedPage> Database::newest_page(uint32_t page_number) {
  PinnedVersion version;
  MemoryWal::Found found;
  {
    std::lock_guard lock(mutex_);
    found = wal_.find(page_number);
    version = versions_.current();
  }
  if (found.place != MemoryWal::Place::kFile) return found.page.load();
  auto page = std::make_shared<Bytes>(version->record().page_size);
  // The version cannot be overtaken by two checkpoints meanwhile: the page has no frame, so none overwrites
  // it but one that also cuts the database below it, and whoever asks holds the write turn or is the applier.
  if (Status status = versions_.read(*version, page_number, *page); !status) return status;
  return SharedPage(std::move(page));
}

Result<Bytes> Database::find_page(uint32_t page_number, uint64_t hash) {
  Result<SharedPage> newest = newest_page(page_number);
  if (newest && *newest != nullptr && codec::page_hash(page_number, **newest) == hash) return Bytes(**newest);
  const PinnedVersion version = versions_.current();
  Bytes page(version->record().page_size);
  Status read = versions_.file().read(page_number, page);
  if (read && codec::page_hash(page_number, page) == hash) return page;
  return Status(Code::kNotFound,
                "page " + std::to_string(page_number) + " of " + name_ + " has another content here by now");
}

Status Database::check_page(uint32_t page_number) {
  std::lock_guard work(file_work_);
  DatabaseFile& file = versions_.file();
  // What is read then may be in the system's cache alone.
  if (!file.failure()) return {Code::kPoisoned, file.failure().sentence()};
  Bytes page(file.record().page_size);
  return file.read(page_number, page);
}

Status Database::repair(uint32_t page_number, ByteView page) {
  std::lock_guard work(file_work_);
  return versions_.file().repair(page_number, page);
}

Status Database::create(uint64_t id, uint32_t page_size, uint64_t index, uint64_t term) {
  std::lock_guard work(file_work_);
  CheckpointRecord record{id, name_, page_size, 0, index, term, 0};
  if (Status status = versions_.file().establish(record); !status) return status;
  std::lock_guard lock(mutex_);
  versions_.record_changed();
  wal_.reset(mark_of(record, wal_.newest().sequence));
  return Status::ok();
}

Status Database::adopt(uint64_t id, uint64_t term) {
  std::lock_guard work(file_work_);
  const FoundFile& found = versions_.file().found();
  Result<uint64_t> checksum = versions_.file().compute_checksum();
  if (!checksum) return checksum.status();
  CheckpointRecord record{id, name_, found.page_size, found.page_count, id, term, *checksum};
  if (Status status = versions_.file().establish(record); !status) return status;
  std::lock_guard lock(mutex_);
  versions_.record_changed();
  epoch_++;
  wal_.reset(mark_of(record, wal_.newest().sequence));
  return Status::ok();
}

uint64_t Database::publish(const std::vector<PageImage>& frames, const CommitMark& mark) {
  std::lock_guard lock(mutex_);
  wal_.append(frames, mark);
  return wal_.newest().sequence;
}

Status Database::replace(const CheckpointRecord& record, const DatabaseFile::PageSource& source,
                         std::chrono::steady_clock::time_point deadline) {
  std::lock_guard work(file_work_);
  Result<CheckpointCost> cost = versions_.replace(record, source, deadline);
  if (!cost) return cost.status();
  // In one step: nobody may see the new file under the old mark.
  std::lock_guard lock(mutex_);
  versions_.record_changed();
  epoch_++;
  wal_.reset(mark_of(record, wal_.newest().sequence + 1));
  return Status::ok();
}

// By index: a commit whose pages are all as before has no frames on a node that decoded it.
bool Database::is_all_in_file() const {
  return wal_.newest().index == versions_.current()->record().index;
}

void Database::release_frames() {
  uint64_t needed = wal_.checkpointed();
  for (const Reader* reader : readers_) {
    if (reader->active) needed = std::min(needed, reader->backfill);
  }
  wal_.release(needed);
}

Database::CheckpointPlan Database::plan_checkpoint(uint64_t durable_index, const CheckpointRecord& record) {
  if (refused_index_ <= record.index) refused_index_ = 0;
  const uint64_t bound = refused_index_ == 0 ? durable_index : std::min(durable_index, refused_index_);
  CheckpointPlan plan;
  plan.target = wal_.newest_at(bound);
  plan.is_last = wal_.newest_at(durable_index).index == plan.target.index;
  for (const Reader* reader : readers_) {
    if (!reader->active || reader->sequence >= plan.target.sequence) continue;
    plan.older_pinned = true;
    plan.older_connection |= !reader->of_file;
  }
  return plan;
}

Result<DatabaseCheckpoint> Database::checkpoint(uint64_t durable_index,
                                                std::chrono::steady_clock::time_point deadline) {
  std::lock_guard work(file_work_);
  CheckpointPlan plan;
  std::vector<PageImage> pages;
  CheckpointRecord record = versions_.file().record();
  {
    std::lock_guard lock(mutex_);
    plan = plan_checkpoint(durable_index, record);
    // By index: a commit whose pages are all as before has no frames on a node that decoded it, and the
    // file's stamp must be the same on every node.
    if (plan.target.index == record.index) return DatabaseCheckpoint{{}, durable_index};
    pages = wal_.changes_until(plan.target);
    if (plan.older_connection &&
        std::max(versions_.kept_bytes(), replaced_bytes(record, plan.target, pages)) >
            FileVersions::kMemoryLimit) {
      refused_index_ = plan.target.index;
      return Status(Code::kBusy, "the checkpoint of " + name_ +
                                     " waits for a read transaction of this process that began " +
                                     "long ago and needs the old pages: end it");
    }
    checkpoint_target_ = plan.target.sequence;
  }
  const CommitMark& target = plan.target;
  Result<CheckpointCost> cost = CheckpointCost{};
  try {
    record.page_count = target.page_count;
    record.index = target.index;
    record.term = target.term;
    record.checksum = target.checksum;
    cost = versions_.advance(record, pages, plan.older_pinned, deadline);
  } catch (const std::bad_alloc&) {
    cost = Status(Code::kFull, "out of memory");  // of no allocation itself
  }
  std::lock_guard lock(mutex_);
  checkpoint_target_ = 0;
  checkpoint_ended_.notify_all();
  if (!cost) return cost.status();
  wal_.checkpointed_at(target);
  release_frames();
  return DatabaseCheckpoint{*cost, plan.is_last ? durable_index : target.index};
}

uint64_t Database::wal_frames() {
  std::lock_guard lock(mutex_);
  return wal_.frame_count();
}

uint64_t Database::wal_bytes() {
  std::lock_guard lock(mutex_);
  return wal_.size_bytes();
}

uint64_t Database::pending_bytes() {
  std::lock_guard lock(mutex_);
  return wal_.pending_bytes();
}

uint64_t Database::durable_point(uint64_t applied, uint64_t* term) {
  std::lock_guard lock(mutex_);
  const CheckpointRecord& record = versions_.current()->record();
  if (is_all_in_file()) return applied;
  *term = record.term;
  return record.index;
}

}  // namespace dqlite::vfs
