#include "vfs/rollback_journal.h"

#include "tests/vfs/database_image.h"
#include "tests/vfs/fault_files.h"
#include "tests/vfs/stock_rollback.h"
#include "tests/vfs/stock_sqlite.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

TEST_GROUP(RollbackJournal) {
  const std::string path = "/n1/app.db-journal";
  FaultDisk disk;
  Image image = random_image(5, 1);

  JournalMark mark_for(uint32_t record_count) {
    return {7, 10, 20, 512, 5, record_count};
  }

  Status write(const std::vector<uint32_t>& numbers) {
    FaultFiles files(disk);
    auto journal = JournalWriter::create(files, path, mark_for(static_cast<uint32_t>(numbers.size())));
    if (!journal) return journal.status();
    for (uint32_t number : numbers) {
      if (Status status = journal->add(number, image.pages[number - 1]); !status) return status;
    }
    return journal->finish();
  }

  FoundJournal inspect() {
    FaultFiles files(disk);
    auto found = inspect_journal(files, path);
    CHECK_TRUE(found.is_ok());
    return *found;
  }
};

TEST(RollbackJournal, begins_as_the_example_in_the_header_says) {
  FaultFiles files(disk);
  JournalMark mark{7, 10, 20, 4096, 3, 1};
  auto journal = JournalWriter::create(files, path, mark);
  CHECK_TRUE(journal->add(1, Bytes(4096)).is_ok());
  CHECK_TRUE(journal->finish().is_ok());
  Bytes bytes = *disk.look(path);
  CHECK_EQUAL(512U + 4096 + 8, bytes.size());
  CHECK_EQUAL(bytes.size(), journal->size_bytes());
  const uint8_t before_nonce[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1};
  MEMCMP_EQUAL(before_nonce, bytes.data(), sizeof before_nonce);
  const uint8_t after_nonce[] = {0, 0, 0, 3, 0, 0, 2, 0, 0, 0, 0x10, 0};
  MEMCMP_EQUAL(after_nonce, &bytes[16], sizeof after_nonce);
  // A page of zeros sums up to the nonce.
  MEMCMP_EQUAL(&bytes[12], &bytes[512 + 4 + 4096], 4);
}

TEST(RollbackJournal, is_found_whole_with_its_mark) {
  CHECK_TRUE(write({1, 3, 5}).is_ok());
  FoundJournal found = inspect();
  CHECK_TRUE(found.state == JournalState::kWhole);
  CHECK_TRUE(found.mark == mark_for(3));
}

TEST(RollbackJournal, puts_old_pages_back_and_restores_the_size) {
  CHECK_TRUE(write({1, 3, 5}).is_ok());
  Bytes old_file = file_of(image, 10);
  std::copy(image.pages[0].begin(), image.pages[0].end(),
            old_file.begin());  // journalled without a stamp here
  for (size_t size : {old_file.size() + 1024, old_file.size(), size_t{512 * 4}}) {
    Bytes changed = old_file;
    for (size_t page : {0, 2, 4})
      std::fill_n(changed.begin() + static_cast<ptrdiff_t>(page * 512), 512, uint8_t{9});
    changed.resize(size, 9);
    disk.put("/n1/app.db", changed);
    FaultFiles files(disk);
    auto database = *files.open_database("/n1/app.db", false);
    CHECK_TRUE(roll_back(files, path, inspect().mark, *database).is_ok());
    CHECK_TRUE(*disk.look("/n1/app.db") == old_file);
  }
}

TEST(RollbackJournal, a_flipped_byte_anywhere_in_header_or_records_is_damage_or_no_journal_of_ours) {
  CHECK_TRUE(write({1, 3, 5}).is_ok());
  const Bytes whole = *disk.look(path);
  for (size_t i = 0; i < whole.size(); i++) {
    Bytes bytes = whole;
    bytes[i] ^= 0x40;
    disk.put(path, bytes);
    JournalState state = inspect().state;
    const bool padding = i >= 76 && i < 512;
    const bool mark_magic = i >= 28 && i < 36;
    JournalState expected = i < 8        ? JournalState::kInert
                            : padding    ? JournalState::kWhole
                            : mark_magic ? JournalState::kForeign
                                         : JournalState::kDamaged;
    if (state != expected) FAIL(("byte " + std::to_string(i)).c_str());
  }
  Bytes longer = whole;
  longer.push_back(0);
  disk.put(path, longer);
  CHECK_TRUE(inspect().state == JournalState::kDamaged);
}

TEST(RollbackJournal, A9_its_header_counts_only_once_its_records_are_on_disk) {
  // At whatever call the machine stops: what is found is nothing, or everything.
  bool seen_whole = false, seen_inert = false;
  for (uint64_t seed = 0; seed < 40; seed++) {
    bool stopped = true;
    for (uint64_t call = 1; stopped; call++) {
      disk = FaultDisk(seed * 100 + call);
      disk.put(path, {});
      disk.fail_call(call, Fault::kStop);
      stopped = !write({1, 2, 3, 4, 5}).is_ok();
      disk.lose_power();
      JournalState state = inspect().state;
      CHECK_TRUE(state == JournalState::kWhole || state == JournalState::kInert);
      if (!stopped) CHECK_TRUE(state == JournalState::kWhole);
      (state == JournalState::kWhole ? seen_whole : seen_inert) = true;
    }
  }
  CHECK_TRUE(seen_whole && seen_inert);
}

TEST(RollbackJournal, refuses_to_finish_with_another_number_of_pages) {
  FaultFiles files(disk);
  auto journal = JournalWriter::create(files, path, mark_for(2));
  CHECK_TRUE(journal->add(1, image.pages[0]).is_ok());
  LONGS_EQUAL(static_cast<int>(Code::kInvalid), static_cast<int>(journal->finish().code()));
}

TEST(RollbackJournal, A9_the_journal_of_a_killed_stock_writer_is_foreign) {
  NodeDirectory directory;
  {
    StockConnection maker(directory.database());
    maker.run(
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) "
        "INSERT INTO t SELECT hex(randomblob(50)) FROM n");
  }
  StockProcess writer(directory.database());
  LONGS_EQUAL(SQLITE_OK, writer.run("PRAGMA cache_size=5; BEGIN; UPDATE t SET x=x||'!'").code);
  writer.kill();
  auto found = inspect_journal(posix_files(), directory.database() + "-journal");
  CHECK_TRUE(found.is_ok());
  CHECK_TRUE(found->state == JournalState::kForeign);
}
