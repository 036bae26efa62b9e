// Moving a database file to its next checkpoint, or to its first.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "codec/checksum.h"
#include "codec/page.h"
#include "vfs/database_file_state.h"

namespace dqlite::vfs {
namespace {

// The pages whose old content has to be kept: those that are overwritten or cut off, and page 1 for its
// stamp.
std::vector<uint32_t> pages_to_journal(const CheckpointRecord& base, const CheckpointRecord& next,
                                       const std::vector<uint32_t>& overwritten) {
  std::vector<uint32_t> numbers;
  if (base.page_count == 0) return numbers;
  const uint32_t lock_page = lock_byte_page(base.page_size);
  numbers.push_back(1);
  for (uint32_t number : overwritten) {
    if (number > 1 && number <= base.page_count) numbers.push_back(number);
  }
  // All that are overwritten are at or below next.page_count, so this stays ascending.
  for (uint64_t number = std::max<uint64_t>(2, uint64_t{next.page_count} + 1); number <= base.page_count;
       number++) {
    if (number != lock_page) numbers.push_back(static_cast<uint32_t>(number));
  }
  return numbers;
}

// The pages that have no certain content during the copy, ascending.
std::vector<uint32_t> pages_in_motion(const CheckpointRecord& base, const CheckpointRecord& next,
                                      std::vector<uint32_t> overwritten) {
  for (uint64_t number = uint64_t{next.page_count} + 1; number <= base.page_count; number++) {
    overwritten.push_back(static_cast<uint32_t>(number));
  }
  return overwritten;
}

}  // namespace

Result<CheckpointCost> DatabaseFile::checkpoint(const CheckpointRecord& next,
                                                const std::vector<PageImage>& pages,
                                                std::chrono::steady_clock::time_point deadline) {
  State& state = *state_;
  if (!state.failure) return state.failure;
  if (Status status = state.check_next(next); !status) return status;
  if (Status status = state.check_pages(next, pages); !status) return status;
  NewPages changed;
  changed.sums_after = state.sums;
  changed.sums_after.resize(next.page_count);
  changed.numbers.reserve(pages.size());
  const uint32_t lock_page = lock_byte_page(next.page_size);
  for (const PageImage& page : pages) {
    if (page.number == lock_page) continue;
    changed.numbers.push_back(page.number);
    changed.sums_after.set(page.number, page.hash());
  }
  // Asked for in order, so the search goes on where it stopped.
  auto position = pages.begin();
  changed.source = [&pages, position](uint32_t number, std::span<uint8_t> out) mutable {
    if (position == pages.end() || position->number > number) position = pages.begin();
    while (position->number != number) ++position;
    return position->read(out);
  };
  return state.move_to(next, std::move(changed), deadline);
}

Result<CheckpointCost> DatabaseFile::replace(const CheckpointRecord& next, const PageSource& source,
                                             std::chrono::steady_clock::time_point deadline,
                                             const std::function<void()>& before_copy) {
  State& state = *state_;
  if (!state.failure) return state.failure;
  if (Status status = state.check_next(next); !status) return status;
  auto changed = state.compare_all(next, source);
  if (!changed) return changed.status();
  changed->before_copy = before_copy;
  return state.move_to(next, std::move(*changed), deadline);
}

Status DatabaseFile::State::check_next(const CheckpointRecord& next) const {
  if (record.database == 0)
    return {Code::kInvalid, path + " has no checkpoint record yet: establish the first one"};
  if (next.database != record.database || next.name != record.name || next.index <= record.index) {
    return {Code::kInvalid, "a checkpoint of " + path + " (database " + std::to_string(record.database) +
                                " at index " + std::to_string(record.index) + ") cannot lead to database " +
                                std::to_string(next.database) + ", \"" + next.name + "\", at index " +
                                std::to_string(next.index)};
  }
  if (!codec::is_page_size(next.page_size) ||
      (record.page_count != 0 && next.page_size != record.page_size)) {
    return {Code::kInvalid, "a checkpoint of " + path + " cannot change the page size from " +
                                std::to_string(record.page_size) + " to " + std::to_string(next.page_size)};
  }
  return Status::ok();
}

Status DatabaseFile::State::check_pages(const CheckpointRecord& next,
                                        const std::vector<PageImage>& pages) const {
  uint32_t last = 0;
  for (const PageImage& page : pages) {
    if (page.number <= last || page.number > next.page_count ||
        (!page.is_zeros() && page.size() != next.page_size)) {
      return {Code::kInvalid, "page " + std::to_string(page.number) + " of a checkpoint of " + path + " to " +
                                  std::to_string(next.page_count) +
                                  " pages is out of order, out of range or not " +
                                  std::to_string(next.page_size) + " bytes long (the one before it is " +
                                  std::to_string(last) + ")"};
    }
    last = page.number;
  }
  if (record.page_count == 0 && next.page_count != 0 && (pages.empty() || pages.front().number != 1)) {
    return {Code::kInvalid, "the first pages of " + path + " do not begin with page 1"};
  }
  return Status::ok();
}

uint64_t DatabaseFile::expected_hash(uint32_t page_number) const {
  std::shared_lock<std::shared_mutex> guard(state_->reads);
  return page_number == 0 ? 0 : state_->sums.of(page_number);
}

Status DatabaseFile::repair(uint32_t page_number, ByteView page) {
  State& state = *state_;
  if (!state.failure) return state.failure;
  const CheckpointRecord& record = state.record;
  const bool is_it = page_number >= 1 && page_number <= record.page_count &&
                     page.size() == record.page_size &&
                     codec::page_hash(page_number, page) == expected_hash(page_number);
  if (!is_it) {
    return {Code::kInvalid, "what was to repair page " + std::to_string(page_number) + " of " + state.path +
                                " is not what the last checkpoint wrote there"};
  }
  Bytes bytes(page.begin(), page.end());
  if (page_number == 1) codec::stamp_page1(bytes, codec::stamp_of(record.index));
  if (Status status = state.begin_repair(); !status) return status;
  Status status = state.file->write(uint64_t{page_number - 1} * record.page_size, bytes);
  if (!status) return status;
  status = state.file->sync();
  // From now on nobody knows what of it the disk holds, whatever is read from the cache [A12].
  if (!status) return state.failure = status;
  auto stamp = state.file->stamp();
  if (stamp) (void)state.records->write_end(state.slot, record, *stamp);
  return Status::ok();
}

// The next open is to believe the page sums, so they must be there as well; they do not change.
Status DatabaseFile::State::begin_repair() {
  auto table = files.open(records->sums_path(), false);
  if (table.status().code() == Code::kNotFound) {
    if (Status saved = sums.save(files, records->sums_path()); !saved) return saved;
    table = files.open(records->sums_path(), false);
  }
  if (!table) return table.status();
  if (Status status = (*table)->sync(); !status) return status;
  return records->mark_repair(slot, record);
}

// By the bytes and not by the page sums: a page that rotted here is replaced as well.
Result<NewPages> DatabaseFile::State::compare_all(const CheckpointRecord& next, const PageSource& source) {
  NewPages changed;
  changed.source = source;
  changed.sums_after.resize(next.page_count);
  const uint32_t lock_page = lock_byte_page(next.page_size);
  Bytes theirs(next.page_size), ours(next.page_size);
  for (uint64_t i = 1; i <= next.page_count; i++) {
    const uint32_t number = static_cast<uint32_t>(i);
    if (number == lock_page) continue;
    if (Status status = source(number, theirs); !status) return status;
    changed.sums_after.set(number, codec::page_hash(number, theirs));
    size_t size = 0;
    if (number <= record.page_count) {
      auto got = file->read((i - 1) * next.page_size, ours);
      if (!got && got.status().code() != Code::kIo) return got.status();
      size = got ? *got : 0;  // what cannot be read is written anew
      if (number == 1) codec::make_canonical_page1(ours);
    }
    if (size != ours.size() || ours != theirs) changed.numbers.push_back(number);
  }
  return changed;
}

// Both sides of the border compute the rolling checksum: a page that was left out is found here, before it is
// lost.
Status DatabaseFile::State::check_sums(const CheckpointRecord& next, const PageSums& after) const {
  if (uint64_t total = after.total(); total != next.checksum) {
    return {Code::kCorrupt, "the pages for the checkpoint of " + path + " at index " +
                                std::to_string(next.index) + " add up to " + std::to_string(total) +
                                ", expected " + std::to_string(next.checksum) + "; nothing was written"};
  }
  return Status::ok();
}

Result<CheckpointCost> DatabaseFile::State::move_to(const CheckpointRecord& next, NewPages pages,
                                                    FileLock::Deadline deadline) {
  if (Status status = check_sums(next, pages.sums_after); !status) return status;
  if (Status status = check_page1(); !status) return status;
  if (Status status = lock->take_exclusive(deadline); !status) return status;
  CheckpointCost cost;
  try {
    if (Status status = carry_out(next, pages, cost); !status) return status;
  } catch (const std::bad_alloc&) {
    failure = Status(Code::kIo, "out of memory");  // EXCLUSIVE stays, as after any failure in the middle
    return failure;
  }
  if (Status status = lock->back_to_reserved(); !status) {
    failure = status;
    return status;
  }
  return cost;
}

// Its stamp changes with every checkpoint, and it tells stock SQLite what the file is: one that cannot be read must be
// repaired first, while the file is whole.
Status DatabaseFile::State::check_page1() {
  if (record.page_count == 0) return Status::ok();
  Bytes page1(record.page_size);
  const Status read_page = read(1, page1);
  return read_page.code() == Code::kIo ? read_page : Status::ok();
}

// After `take_exclusive`. Without room on the disk, or without the pages, all is undone and the file stays as
// it was; after any other failure EXCLUSIVE is kept, so that nobody reads a mixture, until this object is
// gone and the journal is what a reader finds.
Status DatabaseFile::State::carry_out(const CheckpointRecord& next, NewPages& pages, CheckpointCost& cost) {
  const std::vector<uint32_t> journalled = pages_to_journal(record, next, pages.numbers);
  JournalMark mark;
  mark.database = record.database;
  mark.base_index = record.index;
  mark.next_index = next.index;
  mark.page_size = record.page_count != 0 ? record.page_size : next.page_size;
  mark.base_page_count = record.page_count;
  mark.record_count = static_cast<uint32_t>(journalled.size());

  bool copied = false;
  Status done = write_journal(mark, journalled, cost.bytes);
  if (done) done = records->write(other(slot), next);
  if (done) {
    copied = true;
    if (pages.before_copy) pages.before_copy();
    begin_copy(pages_in_motion(record, next, pages.numbers));
    done = copy_pages(next, pages, cost);
  }
  if (done.code() == Code::kFull || pages.source_failed) {
    if (Status undone = undo(mark, copied); undone) return done;
  }
  if (done) done = remove_journal();
  if (!done) {
    failure = done;
    std::unique_lock<std::shared_mutex> guard(reads);
    copy_failure = done;
    return done;
  }
  const RecordSlot old_slot = slot;
  slot = other(slot);
  record = next;
  found = {next.page_count == 0, next.page_size, next.page_count};
  end_copy(next.page_size, next.page_count, std::move(pages.sums_after));
  // An old record that stays is found out by the stamp, and overwritten by the next checkpoint.
  (void)records->remove(old_slot);
  write_hints(&pages.numbers);
  return Status::ok();
}

Status DatabaseFile::State::write_journal(const JournalMark& mark, const std::vector<uint32_t>& page_numbers,
                                          uint64_t& bytes) {
  auto journal = JournalWriter::create(files, journal_path, mark);
  if (!journal) return journal.status();
  const size_t pages_in_run = std::max<size_t>(1, kRunBytes / mark.page_size);
  Bytes run(std::min(pages_in_run, std::max<size_t>(1, page_numbers.size())) * mark.page_size);
  for (size_t i = 0; i < page_numbers.size();) {
    size_t count = 1;
    while (count < pages_in_run && i + count < page_numbers.size() &&
           page_numbers[i + count] == page_numbers[i] + count) {
      count++;
    }
    std::span<uint8_t> old = std::span(run).first(count * mark.page_size);
    const uint64_t offset = uint64_t{page_numbers[i] - 1} * mark.page_size;
    auto got = read_old(offset, old, mark.page_size);
    if (!got) return got.status();
    if (*got != old.size()) {
      return {Code::kCorrupt, path + " ends at byte " + std::to_string(offset + *got) + ", expected " +
                                  std::to_string(uint64_t{mark.base_page_count} * mark.page_size)};
    }
    for (size_t k = 0; k < count; k++) {
      Status added = journal->add(page_numbers[i + k], old.subspan(k * mark.page_size, mark.page_size));
      if (!added) return added;
    }
    i += count;
  }
  if (Status status = journal->finish(); !status) return status;
  bytes += journal->size_bytes();
  // Before the first page is overwritten the journal must be found there after a power loss [B12].
  return files.sync_directory(directory);
}

// Zeros for a page that cannot be read: as rotten as it was, if it is ever put back, and the copy heals it.
Result<size_t> DatabaseFile::State::read_old(uint64_t offset, std::span<uint8_t> out, size_t size) {
  auto got = file->read(offset, out);
  if (got.status().code() != Code::kIo) return got;
  if (out.size() == size) {
    std::fill(out.begin(), out.end(), uint8_t{0});
    return size;
  }
  size_t total = 0;
  for (size_t done = 0; done < out.size() && total == done; done += size) {
    auto page = read_old(offset + done, out.subspan(done, size), size);
    if (!page) return page;
    total += *page;
  }
  return total;
}

// The pages and the stamp, in place; adjacent pages in one write. Synced on return.
Status DatabaseFile::State::copy_pages(const CheckpointRecord& next, NewPages& pages, CheckpointCost& cost) {
  const size_t size = next.page_size;
  const uint32_t stamp = codec::stamp_of(next.index);
  const size_t pages_in_run = kRunBytes / size;
  Bytes buffer(std::min(pages_in_run, std::max<size_t>(1, pages.numbers.size())) * size);
  for (size_t i = 0; i < pages.numbers.size();) {
    const uint32_t first = pages.numbers[i];
    size_t count = 0;
    while (count < pages_in_run && i + count < pages.numbers.size() &&
           pages.numbers[i + count] == first + count) {
      std::span<uint8_t> page = std::span(buffer).subspan(count * size, size);
      const uint32_t number = pages.numbers[i + count];
      Status given = pages.source(number, page);
      pages.source_failed = !given || codec::page_hash(number, page) != pages.sums_after.of(number);
      if (!given) return given;
      if (pages.source_failed) {
        return {Code::kCorrupt, "page " + std::to_string(number) + " for the checkpoint of " + path +
                                    " at index " + std::to_string(next.index) +
                                    " changed while it was copied"};
      }
      if (number == 1) codec::stamp_page1(page, stamp);
      count++;
    }
    if (Status status = file->write(uint64_t{first - 1} * size, ByteView(buffer).first(count * size));
        !status) {
      return status;
    }
    cost.pages += static_cast<uint32_t>(count);
    cost.bytes += count * size;
    i += count;
  }
  if (next.page_count != 0 && (pages.numbers.empty() || pages.numbers.front() != 1)) {
    if (Status status = write_page1(stamp, next.page_size); !status) return status;
    cost.pages++;
    cost.bytes += size;
  }
  if (Status status = set_size(uint64_t{next.page_count} * size); !status) return status;
  return file->sync();
}

Status DatabaseFile::State::write_page1(uint32_t stamp, uint32_t size) {
  Bytes page(size);
  auto got = file->read(0, page);
  if (!got) return got.status();
  if (*got != page.size())
    return {Code::kCorrupt, path + " ends at byte " + std::to_string(*got) + ", in page 1"};
  codec::make_canonical_page1(page);
  codec::stamp_page1(page, stamp);
  return file->write(0, page);
}

Status DatabaseFile::State::set_size(uint64_t size) {
  auto stamp = file->stamp();
  if (!stamp) return stamp.status();
  return stamp->size_bytes == size ? Status::ok() : file->truncate(size);
}

Status DatabaseFile::State::remove_journal() {
  if (Status status = files.remove(journal_path); !status) return status;
  return files.sync_directory(directory);
}

// Back to where it was. The journal goes last: until then it leads there too.
Status DatabaseFile::State::undo(const JournalMark& mark, bool copied) {
  if (copied) {
    if (Status status = roll_back(files, journal_path, mark, *file); !status) return status;
  }
  if (Status status = records->remove(other(slot)); !status) return status;
  if (Status status = remove_journal(); !status) return status;
  begin_copy({});
  write_hints(nullptr);
  return lock->back_to_reserved();
}

// The end of the record and the page sums: what spares the next open from reading the whole file. Neither is
// needed for anything else, so a failure to write them is none of the checkpoint's.
void DatabaseFile::State::write_hints(const std::vector<uint32_t>* changed) {
  Status written = changed != nullptr ? sums.save_changed(files, records->sums_path(), *changed)
                                      : sums.save(files, records->sums_path());
  auto stamp = file->stamp();
  if (written && stamp) (void)records->write_end(slot, record, *stamp);
}

}  // namespace dqlite::vfs
