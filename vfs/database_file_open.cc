// Opening a database file: recovery of an interrupted checkpoint, and the search for what others did to the
// file.
#include <algorithm>
#include <cstring>

#include "codec/checksum.h"
#include "codec/page.h"
#include "vfs/database_file_state.h"

namespace dqlite::vfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kWalHeaderSize = 32;  // a WAL that ends with its header holds nothing

const char kHowToGoOn[] =
    "Put the file back as it was. If this node is one of several, remove the member with dqlite_remove() on "
    "another node, move the whole directory away and join again with an empty one; if it is the only one, move dqlite-node away alone: the file as it is becomes "
    "the first state of a new cluster";

uint64_t size_of(const CheckpointRecord& record) {
  return uint64_t{record.page_count} * record.page_size;
}

bool belongs_to(const FileHeader& header, const CheckpointRecord& record) {
  if (record.page_count == 0) return header.file_size == 0;
  return header.is_sqlite && header.page_size == record.page_size && header.write_version == 1 &&
         header.read_version == 1 && header.stamp == codec::stamp_of(record.index) &&
         header.stamp_twin == header.stamp;
}

HeaderLeft classify(const FileHeader& header, const std::vector<StoredRecord>& whole) {
  // Two records of an empty file differ in their index alone: the newer is durable, so it is the true one.
  if (whole.size() == 2 && belongs_to(header, whole[1].record)) return HeaderLeft::kNewer;
  if (belongs_to(header, whole[0].record)) return HeaderLeft::kOlder;
  const bool passes_empty = whole.front().record.page_count == 0 || whole.back().record.page_count == 0;
  if (passes_empty && header.is_blank) return HeaderLeft::kBlank;
  return HeaderLeft::kOther;
}

bool goes_back_to(const JournalMark& mark, const CheckpointRecord& record) {
  return mark.database == record.database && mark.base_index == record.index &&
         mark.base_page_count == record.page_count &&
         (record.page_count == 0 || mark.page_size == record.page_size);
}

JournalLeft classify(const FoundJournal& journal, const CheckpointRecord& older) {
  switch (journal.state) {
    case JournalState::kNone:
      return JournalLeft::kNone;
    case JournalState::kInert:
      return JournalLeft::kInert;
    case JournalState::kWhole:
      return goes_back_to(journal.mark, older) ? JournalLeft::kWhole : JournalLeft::kStale;
    case JournalState::kDamaged:
      return JournalLeft::kDamaged;
    case JournalState::kForeign:
      return JournalLeft::kForeign;
  }
  return JournalLeft::kForeign;
}

bool is_same_state(const FileStamp& left, const FileStamp& right) {
  // Not the device: its number may change with a reboot.
  return left.inode == right.inode && left.size_bytes == right.size_bytes &&
         left.changed_ns == right.changed_ns;
}

Status foreign_journal(const std::string& journal_path, const std::string& path) {
  return {Code::kRefused, journal_path + " is the rollback journal of another program: it wrote to " + path +
                              " while no node ran, and was cut off. " + kHowToGoOn};
}

}  // namespace

Status DatabaseFile::State::open_file(const std::string& name, bool create) {
  path = directory + "/" + name;
  journal_path = path + "-journal";
  wal_path = path + "-wal";
  auto opened = files.open_database(path, create);
  if (!opened) return opened.status();
  file = std::move(*opened);
  lock = std::make_unique<FileLock>(file);
  return lock->take_reserved(Clock::now() + kOpenPatience);
}

Status DatabaseFile::State::open_recorded(uint64_t database) {
  records.emplace(files, node_directory, database);
  auto records_found = records->load();
  if (!records_found) return records_found.status();
  const auto& whole = records_found->whole;
  if (whole.empty() && !records_found->damage.empty()) return {Code::kCorrupt, records_found->damage};
  if (whole.empty()) {
    return {Code::kNotFound,
            node_directory + " has no checkpoint record of database " + std::to_string(database)};
  }
  // Only a file that holds nothing can be made anew.
  const bool create = whole.back().record.page_count == 0 && whole.front().record.page_count == 0;
  Status opened = open_file(whole.back().record.name, create);
  if (opened.code() == Code::kNotFound) {
    return {Code::kRefused,
            "the database file " + path + " is missing, its checkpoint record is there. " + kHowToGoOn};
  }
  if (!opened) return opened;
  return recover(*records_found);
}

Status DatabaseFile::State::recover(const FoundRecords& records_found) {
  auto wal = wal_holds_something();
  if (!wal) return wal.status();
  if (*wal) {
    return {Code::kRefused,
            wal_path + " holds transactions that another program wrote to " + path +
                " while no node ran. If they may be lost, remove that file; otherwise: " + kHowToGoOn};
  }
  auto empty_wal = files.exists(wal_path);
  if (!empty_wal) return empty_wal.status();
  auto journal = inspect_journal(files, journal_path);
  if (!journal) return journal.status();
  const bool must_write =
      *empty_wal || (journal->state != JournalState::kNone && journal->state != JournalState::kInert);
  if (must_write) {
    // A stock connection may be rolling it back at this moment: it holds EXCLUSIVE then, and the journal
    // goes.
    if (Status status = lock->take_exclusive(Clock::now() + kOpenPatience); !status) return status;
    journal = inspect_journal(files, journal_path);
    if (!journal) return journal.status();
  }
  auto header = read_file_header(*file);
  if (!header) return header.status();

  std::vector<StoredRecord> whole = records_found.whole;
  // The journal of the checkpoint after the newer one: the older record is a left-over whose removal was
  // lost.
  if (whole.size() == 2 && journal->state == JournalState::kWhole &&
      goes_back_to(journal->mark, whole[1].record)) {
    whole.erase(whole.begin());
  }
  const StoredRecord& older = whole.front();
  const StoredRecord& newer = whole.back();
  Recovery recovery =
      decide_recovery(classify(*journal, older.record),
                      whole.size() == 2 ? RecordsLeft::kTwo : RecordsLeft::kOne, classify(*header, whole));
  const std::string damage = records_found.damage.empty() ? "" : " (and " + records_found.damage + ")";
  const StoredRecord* kept = &older;
  switch (recovery) {
    case Recovery::kKeepOlder:
    case Recovery::kCompareOlder:
      break;
    case Recovery::kKeepNewer:
    case Recovery::kCompareNewer:
      kept = &newer;
      break;
    case Recovery::kRollBack:
      if (Status status = roll_back(files, journal_path, journal->mark, *file); !status) return status;
      break;
    case Recovery::kRefuseJournal:
      return foreign_journal(journal_path, path);
    case Recovery::kRefuseChange:
      return {Code::kRefused,
              "another program changed " + path + " while no node ran: its header bears the stamp " +
                  std::to_string(header->stamp) + ", expected " +
                  std::to_string(codec::stamp_of(older.record.index)) + damage + ". " + kHowToGoOn};
    case Recovery::kGiveUp:
      return {Code::kCorrupt, path + " was left in the middle of a checkpoint, and " + journal->damage +
                                  damage + "; this copy of the database needs to be fetched anew"};
  }
  if (Status status = verify(*kept, recovery); !status) return status;
  if (Status status = clean_up(*kept, records_found, journal->state != JournalState::kNone); !status)
    return status;
  if (!must_write) return Status::ok();
  if (Status status = remove_empty_wal(); !status) return status;
  return lock->back_to_reserved();
}

// Is the file what `kept` speaks of? A look at inode, size and ctime if they say so, all of its pages
// otherwise.
Status DatabaseFile::State::verify(const StoredRecord& kept, Recovery recovery) {
  auto stamp = file->stamp();
  if (!stamp) return stamp.status();
  const CheckpointRecord& wanted = kept.record;
  if (stamp->size_bytes != size_of(wanted)) {
    return {Code::kRefused, "another program changed " + path + " while no node ran: it has " +
                                std::to_string(stamp->size_bytes) + " bytes, expected " +
                                std::to_string(size_of(wanted)) + ". " + kHowToGoOn};
  }
  const bool rolled_back = recovery == Recovery::kRollBack;
  const bool keep = recovery == Recovery::kKeepOlder || recovery == Recovery::kKeepNewer;
  const bool in_repair = keep && kept.is_in_repair;
  const bool untouched = keep && kept.end && is_same_state(*kept.end, *stamp);
  auto loaded = PageSums::load(files, records->sums_path(), wanted.page_count);
  const bool has_table = loaded.is_ok() && loaded->total() == wanted.checksum;
  if (!has_table || (!untouched && !rolled_back && !in_repair)) {
    loaded = sum_pages(wanted.page_size, wanted.page_count);
    if (!loaded) return loaded.status();
    if (uint64_t total = loaded->total(); total != wanted.checksum) {
      return {keep ? Code::kRefused : Code::kCorrupt,
              path + " is not what the checkpoint at index " + std::to_string(wanted.index) +
                  " left: its pages add up to " + std::to_string(total) + ", expected " +
                  std::to_string(wanted.checksum) +
                  (keep ? ". Another program changed it while no node ran, or the disk did. " : ". ") +
                  kHowToGoOn};
    }
  }
  record = wanted;
  slot = kept.slot;
  found = {wanted.page_count == 0, wanted.page_size, wanted.page_count};
  end_copy(wanted.page_size, wanted.page_count, std::move(*loaded));
  if (!untouched || !has_table) write_hints(nullptr);
  return Status::ok();
}

// The journal goes before the records that tell where it leads, durably [A12].
Status DatabaseFile::State::clean_up(const StoredRecord& kept, const FoundRecords& records_found,
                                     bool journal_there) {
  if (journal_there) {
    if (Status status = files.remove(journal_path); !status) return status;
  }
  if (journal_there || records_found.whole.size() == 2) {
    if (Status status = files.sync_directory(directory); !status) return status;
  }
  if (records_found.whole.size() == 1 && records_found.damage.empty()) return Status::ok();
  return records->remove(other(kept.slot));
}

Status DatabaseFile::State::open_unrecorded(const std::string& name, bool create) {
  if (Status status = open_file(name, create); !status) return status;
  auto wal = wal_holds_something();
  if (!wal) return wal.status();
  if (*wal) {
    return {Code::kRefused,
            wal_path + " holds transactions that are not in " + path +
                " yet: open it once with sqlite3 and run PRAGMA journal_mode=DELETE, then try again"};
  }
  if (Status status = undo_adoption(); !status) return status;
  return read_found();
}

// An adoption that was cut off left a journal of ours that goes back to the file as it was before.
Status DatabaseFile::State::undo_adoption() {
  auto journal = inspect_journal(files, journal_path);
  if (!journal) return journal.status();
  if (journal->state == JournalState::kNone || journal->state == JournalState::kInert) return Status::ok();
  if (Status status = lock->take_exclusive(Clock::now() + kOpenPatience); !status) return status;
  journal = inspect_journal(files, journal_path);
  if (!journal) return journal.status();
  if (journal->state == JournalState::kNone) return lock->back_to_reserved();
  auto header = read_file_header(*file);
  if (!header) return header.status();
  if (journal->state != JournalState::kWhole || journal->mark.base_index != 0 ||
      header->page_size != journal->mark.page_size ||
      header->file_size != uint64_t{journal->mark.base_page_count} * journal->mark.page_size) {
    return {Code::kRefused,
            journal_path + " says that a write to " + path +
                " was cut off: open it once with sqlite3, which completes or undoes that write, then "
                "try again"};
  }
  if (Status status = roll_back(files, journal_path, journal->mark, *file); !status) return status;
  if (Status status = remove_journal(); !status) return status;
  return lock->back_to_reserved();
}

Status DatabaseFile::State::read_found() {
  auto header = read_file_header(*file);
  if (!header) return header.status();
  if (header->file_size == 0) return Status::ok();
  const std::string refusal = path + " is not a database this node could replicate: ";
  if (!header->is_sqlite) {
    return {Code::kRefused,
            refusal + "it does not begin with \"SQLite format 3\" and a page size; choose another name"};
  }
  if (header->write_version > 2 || header->read_version > 2) {
    return {Code::kRefused, refusal + "its format versions (offsets 18 and 19) are " +
                                std::to_string(header->write_version) + " and " +
                                std::to_string(header->read_version) + ", known are 1 and 2"};
  }
  const uint64_t pages = header->file_size / header->page_size;
  if (header->file_size % header->page_size != 0 || pages > UINT32_MAX) {
    return {Code::kRefused, refusal + "it has " + std::to_string(header->file_size) +
                                " bytes, which is no multiple of its page size " +
                                std::to_string(header->page_size) + "; repair it with sqlite3's .recover"};
  }
  found = {false, header->page_size, static_cast<uint32_t>(pages)};
  page_size = found.page_size;
  page_count = found.page_count;
  return Status::ok();
}

Result<bool> DatabaseFile::State::wal_holds_something() {
  auto wal = files.open(wal_path, false);
  if (wal.status().code() == Code::kNotFound) return false;
  if (!wal) return wal.status();
  auto stamp = (*wal)->stamp();
  if (!stamp) return stamp.status();
  return stamp->size_bytes > kWalHeaderSize;
}

// A stock connection that finds a WAL, even an empty one, uses it, and then asks nobody for RESERVED.
Status DatabaseFile::State::remove_empty_wal() {
  auto exists = files.exists(wal_path);
  if (!exists) return exists.status();
  if (!*exists) return Status::ok();
  if (Status status = files.remove(wal_path); !status) return status;
  if (Status status = files.remove(path + "-shm"); !status) return status;
  return files.sync_directory(directory);
}

Result<PageSums> DatabaseFile::State::sum_pages(uint32_t size, uint32_t count) {
  std::vector<uint64_t> hashes(count);
  if (count == 0) return PageSums();
  const uint32_t pages_in_run = std::max<uint32_t>(1, static_cast<uint32_t>(kRunBytes / size));
  Bytes run(size_t{pages_in_run} * size);
  for (uint32_t first = 1; first <= count; first += pages_in_run) {
    const uint32_t pages = std::min(pages_in_run, count - first + 1);
    std::span<uint8_t> bytes = std::span(run).first(size_t{pages} * size);
    auto got = file->read(uint64_t{first - 1} * size, bytes);
    if (!got) return got.status();
    if (*got != bytes.size()) {
      return Status(Code::kCorrupt, path + " ends at byte " +
                                        std::to_string(uint64_t{first - 1} * size + *got) + ", expected " +
                                        std::to_string(uint64_t{count} * size));
    }
    if (first == 1) codec::make_canonical_page1(bytes.first(size));
    for (uint32_t i = 0; i < pages; i++) {
      const uint32_t number = first + i;
      if (number == lock_byte_page(size)) continue;
      hashes[number - 1] = codec::page_hash(number, bytes.subspan(size_t{i} * size, size));
    }
    if (first > UINT32_MAX - pages_in_run) break;
  }
  return PageSums(std::move(hashes));
}

}  // namespace dqlite::vfs
