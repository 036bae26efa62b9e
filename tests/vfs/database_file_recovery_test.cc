// Every combination of what can lie beside a database file when it is opened, and what becomes of it.
#include <set>

#include "tests/vfs/database_image.h"
#include "tests/vfs/fault_files.h"
#include "vfs/checkpoint_record.h"
#include "vfs/checkpoint_recovery.h"
#include "vfs/page_sums.h"
#include "vfs/rollback_journal.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

namespace {

const char kJournalPath[] = "/n1/app.db-journal";

using J = JournalLeft;
using R = RecordsLeft;
using H = HeaderLeft;

struct Row {
  J journal;
  R records;
  H header;
  const char* outcome;
};

const Row kRows[] = {
    {J::kNone, R::kOne, H::kOlder, "older"},      {J::kNone, R::kOne, H::kBlank, "refused"},
    {J::kNone, R::kOne, H::kOther, "refused"},    {J::kNone, R::kTwo, H::kOlder, "older"},
    {J::kNone, R::kTwo, H::kNewer, "newer"},      {J::kNone, R::kTwo, H::kBlank, "refused"},
    {J::kNone, R::kTwo, H::kOther, "refused"},

    {J::kInert, R::kOne, H::kOlder, "older"},     {J::kInert, R::kOne, H::kBlank, "refused"},
    {J::kInert, R::kOne, H::kOther, "refused"},   {J::kInert, R::kTwo, H::kOlder, "older"},
    {J::kInert, R::kTwo, H::kNewer, "newer"},     {J::kInert, R::kTwo, H::kBlank, "refused"},
    {J::kInert, R::kTwo, H::kOther, "refused"},

    {J::kWhole, R::kOne, H::kOlder, "older"},     {J::kWhole, R::kOne, H::kBlank, "refused"},
    {J::kWhole, R::kOne, H::kOther, "refused"},   {J::kWhole, R::kTwo, H::kOlder, "older"},
    {J::kWhole, R::kTwo, H::kNewer, "older"},     {J::kWhole, R::kTwo, H::kBlank, "older"},
    {J::kWhole, R::kTwo, H::kOther, "refused"},

    {J::kDamaged, R::kOne, H::kOlder, "older"},   {J::kDamaged, R::kOne, H::kBlank, "refused"},
    {J::kDamaged, R::kOne, H::kOther, "refused"}, {J::kDamaged, R::kTwo, H::kOlder, "older"},
    {J::kDamaged, R::kTwo, H::kNewer, "newer"},   {J::kDamaged, R::kTwo, H::kBlank, "corrupt"},
    {J::kDamaged, R::kTwo, H::kOther, "corrupt"},

    {J::kStale, R::kOne, H::kOlder, "older"},     {J::kStale, R::kOne, H::kBlank, "refused"},
    {J::kStale, R::kOne, H::kOther, "refused"},   {J::kStale, R::kTwo, H::kOlder, "older"},
    {J::kStale, R::kTwo, H::kNewer, "newer"},     {J::kStale, R::kTwo, H::kBlank, "refused"},
    {J::kStale, R::kTwo, H::kOther, "refused"},

    {J::kForeign, R::kOne, H::kOlder, "refused"}, {J::kForeign, R::kOne, H::kBlank, "refused"},
    {J::kForeign, R::kOne, H::kOther, "refused"}, {J::kForeign, R::kTwo, H::kOlder, "refused"},
    {J::kForeign, R::kTwo, H::kNewer, "refused"}, {J::kForeign, R::kTwo, H::kBlank, "refused"},
    {J::kForeign, R::kTwo, H::kOther, "refused"},
};

std::string name_of(const Row& row) {
  const char* journals[] = {"no journal", "inert", "whole", "damaged", "stale", "foreign"};
  const char* headers[] = {"older", "newer", "blank", "other"};
  return std::string(journals[static_cast<int>(row.journal)]) +
         (row.records == R::kTwo ? ", two, " : ", one, ") + headers[static_cast<int>(row.header)];
}

}  // namespace

TEST_GROUP(DatabaseFileRecovery) {
  FaultDisk disk;
  Image old_image;
  Image new_image;

  void write_journal(uint64_t base_index) {
    FaultFiles files(disk);
    JournalMark mark{7, base_index, kNewIndex, 512, static_cast<uint32_t>(old_image.pages.size()), 0};
    mark.record_count = mark.base_page_count;
    auto journal = JournalWriter::create(files, kJournalPath, mark);
    Bytes raw = file_of(old_image, base_index);
    for (uint32_t number = 1; number <= mark.record_count; number++) {
      CHECK_TRUE(journal->add(number, ByteView(raw).subspan((number - 1) * 512, 512)).is_ok());
    }
    CHECK_TRUE(journal->finish().is_ok());
  }

  void put_journal(J journal) {
    if (journal == J::kNone) return;
    write_journal(journal == J::kStale ? 5 : kOldIndex);
    Bytes bytes = *disk.look(kJournalPath);
    if (journal == J::kInert) std::fill_n(bytes.begin(), 12, uint8_t{0});
    if (journal == J::kForeign) std::fill_n(bytes.begin() + 28, 48, uint8_t{0});
    // A byte that SQLite's own sum passes over, or one of the header if there is no record.
    if (journal == J::kDamaged) bytes[bytes.size() > 512 ? 512 + 4 + 100 : 45] ^= 1;
    disk.put(kJournalPath, bytes);
  }

  void put_records(R records) {
    FaultFiles files(disk);
    RecordStore store(files, kNode, 7);
    CHECK_TRUE(store.write(RecordSlot::kA, record_of(old_image, kOldIndex)).is_ok());
    if (records == R::kTwo) CHECK_TRUE(store.write(RecordSlot::kB, record_of(new_image, kNewIndex)).is_ok());
  }

  void put_file(H header) {
    if (header == H::kOlder) disk.put(kPath, file_of(old_image, kOldIndex));
    if (header == H::kNewer) disk.put(kPath, file_of(new_image, kNewIndex));
    if (header == H::kBlank) disk.put(kPath, Bytes(1024));
    if (header == H::kOther) disk.put(kPath, file_of(old_image.pages.empty() ? new_image : old_image, 99));
  }

  void put(const Row& row) {
    disk = FaultDisk();
    old_image = row.header == H::kBlank ? Image{} : random_image(6, 1);
    new_image = random_image(7, 2);
    put_journal(row.journal);
    put_records(row.records);
    put_file(row.header);
  }

  // The hint and the sums say that nobody touched the file.
  void vouch_for(const Image& image, uint64_t index, RecordSlot slot) {
    FaultFiles files(disk);
    auto stamp = (*files.open_database(kPath, false))->stamp();
    RecordStore store(files, kNode, 7);
    CHECK_TRUE(store.write_end(slot, record_of(image, index), *stamp).is_ok());
    PageSums sums;
    sums.resize(static_cast<uint32_t>(image.pages.size()));
    for (uint32_t number = 1; number <= sums.page_count(); number++) {
      sums.set(number, codec::page_hash(number, image.pages[number - 1]));
    }
    CHECK_TRUE(sums.save(files, store.sums_path()).is_ok());
  }

  std::map<std::string, Bytes> everything() {
    std::map<std::string, Bytes> all;
    for (const std::string& path : disk.paths()) all[path] = *disk.look(path);
    return all;
  }

  Status sentence;

  std::string open() {
    auto before = everything();
    FaultFiles files(disk);
    auto file = DatabaseFile::open(files, "/n1", kNode, 7);
    sentence = file.status();
    if (!file) {
      CHECK_TRUE(everything() == before);
      if (file.status().code() == Code::kRefused) return "refused";
      return file.status().code() == Code::kCorrupt ? "corrupt" : file.status().sentence();
    }
    CHECK_FALSE(disk.look(kJournalPath).has_value());
    const bool newer = (*file)->record().index == kNewIndex;
    CHECK_TRUE(*disk.look(kPath) == (newer ? file_of(new_image, kNewIndex) : file_of(old_image, kOldIndex)));
    file->reset();
    disk.lose_power();
    FaultFiles again(disk);
    auto reopened = DatabaseFile::open(again, "/n1", kNode, 7);
    if (!reopened) return "reopened: " + reopened.status().sentence();
    CHECK_EQUAL(newer, (*reopened)->record().index == kNewIndex);
    return newer ? "newer" : "older";
  }
};

TEST(DatabaseFileRecovery, every_combination_of_journal_records_and_header_has_its_outcome) {
  std::set<std::string> names;
  for (const Row& row : kRows) {
    put(row);
    std::string outcome = open();
    if (outcome != row.outcome)
      FAIL((name_of(row) + ": expected " + row.outcome + ", was " + outcome).c_str());
    names.insert(name_of(row));
  }
  // Six journals; with one record three headers, with two four.
  CHECK_EQUAL(6U * (3 + 4), names.size());
}

TEST(DatabaseFileRecovery, A5_after_a_damaged_journal_only_the_checksum_of_the_whole_file_is_believed) {
  for (H header : {H::kOlder, H::kNewer}) {
    put({J::kDamaged, R::kTwo, header, ""});
    const bool newer = header == H::kNewer;
    const Image& image = newer ? new_image : old_image;
    // One page is of the other checkpoint, though the hint and the sums are right.
    Bytes mixed = file_of(image, newer ? kNewIndex : kOldIndex);
    Bytes donor = file_of(newer ? old_image : new_image, 1);
    std::copy_n(donor.begin() + 1024, 512, mixed.begin() + 1024);
    disk.put(kPath, mixed);
    vouch_for(image, newer ? kNewIndex : kOldIndex, newer ? RecordSlot::kB : RecordSlot::kA);
    STRCMP_EQUAL("corrupt", open().c_str());
  }
}

TEST(DatabaseFileRecovery, B12_a_journal_from_before_the_record_is_dropped) {
  put({J::kStale, R::kOne, H::kOlder, ""});
  STRCMP_EQUAL("older", open().c_str());
}

TEST(DatabaseFileRecovery, A9_a_hot_journal_of_a_stock_writer_is_refused_and_left_alone) {
  put({J::kForeign, R::kOne, H::kOlder, ""});
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("rollback journal of another program", sentence.sentence().c_str());
  STRCMP_CONTAINS("join again with an empty one", sentence.sentence().c_str());
}

TEST(DatabaseFileRecovery, A9_a_backup_copied_over_the_file_is_refused) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  disk.put(kPath, file_of(random_image(6, 77), 4));
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("stamp", sentence.sentence().c_str());
}

TEST(DatabaseFileRecovery, A9_a_backup_with_the_right_stamp_is_found_by_its_pages) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  vouch_for(old_image, kOldIndex, RecordSlot::kA);
  disk.put(kPath, file_of(random_image(6, 77), kOldIndex));
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("add up to", sentence.sentence().c_str());
}

TEST(DatabaseFileRecovery, A9_another_size_with_the_right_stamp_is_refused) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  Bytes longer = file_of(old_image, kOldIndex);
  longer.resize(longer.size() + 512);
  disk.put(kPath, longer);
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("3584 bytes, expected 3072", sentence.sentence().c_str());
}

TEST(DatabaseFileRecovery, A9_a_changed_ctime_alone_leads_to_a_comparison_and_goes_on) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  vouch_for(old_image, kOldIndex, RecordSlot::kA);
  disk.touch(kPath);
  STRCMP_EQUAL("older", open().c_str());
}

TEST(DatabaseFileRecovery, an_untouched_file_is_not_read_as_a_whole) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  vouch_for(old_image, kOldIndex, RecordSlot::kA);
  auto calls_to_open = [&] {
    FaultFiles files(disk);
    disk.forgive();
    CHECK_TRUE(DatabaseFile::open(files, "/n1", kNode, 7).is_ok());
    return disk.calls();
  };
  const uint64_t untouched = calls_to_open();
  disk.touch(kPath);
  const uint64_t compared = calls_to_open();
  const uint64_t vouched_again = calls_to_open();
  CHECK_TRUE(untouched < compared);
  CHECK_EQUAL(untouched, vouched_again);
}

TEST(DatabaseFileRecovery, A9_a_wal_with_frames_is_refused_and_an_empty_one_removed) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  disk.put("/n1/app.db-wal", Bytes(32 + 24 + 512));
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("app.db-wal holds transactions", sentence.sentence().c_str());
  disk.put("/n1/app.db-wal", Bytes(32));
  STRCMP_EQUAL("older", open().c_str());
  CHECK_FALSE(disk.look("/n1/app.db-wal").has_value());
}

TEST(DatabaseFileRecovery, a_missing_file_is_refused_unless_the_database_is_empty) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  disk.erase(kPath);
  STRCMP_EQUAL("refused", open().c_str());
  STRCMP_CONTAINS("is missing", sentence.sentence().c_str());

  disk = FaultDisk();
  old_image = Image{};
  put_records(R::kOne);
  FaultFiles files(disk);
  auto file = DatabaseFile::open(files, "/n1", kNode, 7);
  CHECK_TRUE(file.is_ok());
  CHECK_TRUE(disk.look(kPath)->empty());
}

TEST(DatabaseFileRecovery, a_lost_removal_of_the_old_record_beside_a_new_journal_leads_to_the_newer) {
  put({J::kNone, R::kTwo, H::kNewer, ""});
  FaultFiles files(disk);
  JournalMark mark{7, kNewIndex, 30, 512, 7, 1};
  auto journal = JournalWriter::create(files, kJournalPath, mark);
  CHECK_TRUE(journal->add(1, ByteView(file_of(new_image, kNewIndex)).first(512)).is_ok());
  CHECK_TRUE(journal->finish().is_ok());
  STRCMP_EQUAL("newer", open().c_str());
}

TEST(DatabaseFileRecovery, a_damaged_record_alone_is_corrupt_and_beside_the_true_one_forgotten) {
  put({J::kNone, R::kTwo, H::kNewer, ""});
  Bytes record = *disk.look("/n1/dqlite-node/db-7.a");
  record[30] ^= 1;
  disk.put("/n1/dqlite-node/db-7.a", record);
  STRCMP_EQUAL("newer", open().c_str());

  put({J::kNone, R::kOne, H::kOlder, ""});
  record = *disk.look("/n1/dqlite-node/db-7.a");
  record[30] ^= 1;
  disk.put("/n1/dqlite-node/db-7.a", record);
  STRCMP_EQUAL("corrupt", open().c_str());
  STRCMP_CONTAINS("db-7.a is damaged", sentence.sentence().c_str());
}

TEST(DatabaseFileRecovery, a_stock_writer_at_work_makes_the_open_busy) {
  put({J::kNone, R::kOne, H::kOlder, ""});
  FaultFiles stock(disk);
  auto theirs = *stock.open_database(kPath, false);
  CHECK_TRUE(theirs->lock(0x40000001, 1, LockKind::kWrite).is_ok());
  FaultFiles files(disk);
  auto file = DatabaseFile::open(files, "/n1", kNode, 7);
  LONGS_EQUAL(static_cast<int>(Code::kBusy), static_cast<int>(file.status().code()));
}
