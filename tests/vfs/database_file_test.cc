#include "vfs/database_file.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/vfs/database_image.h"
#include "tests/vfs/fault_files.h"
#include "tests/vfs/stock_sqlite.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

TEST_GROUP(DatabaseFile) {
  FaultDisk disk;
  std::unique_ptr<FaultFiles> files = std::make_unique<FaultFiles>(disk);
  std::unique_ptr<DatabaseFile> file;

  Status open_unrecorded(bool create) {
    file.reset();
    auto opened = DatabaseFile::open_unrecorded(*files, "/n1", kNode, "app.db", create);
    if (opened) file = std::move(*opened);
    return opened.status();
  }

  Status open() {
    file.reset();
    auto opened = DatabaseFile::open(*files, "/n1", kNode, 7);
    if (opened) file = std::move(*opened);
    return opened.status();
  }

  void set_up(const Image& image, uint64_t index) {
    if (!image.pages.empty()) disk.put(kPath, file_of(image, 1));
    CHECK_TRUE(open_unrecorded(true).is_ok());
    CHECK_TRUE(file->establish(record_of(image, index)).is_ok());
  }

  Status checkpoint(const Image& base, const Image& next, uint64_t index) {
    return file->checkpoint(record_of(next, index), changed_pages(base, next), soon()).status();
  }

  Status replace(const Image& next, uint64_t index) {
    auto source = [&next](uint32_t number, std::span<uint8_t> out) {
      std::copy(next.pages[number - 1].begin(), next.pages[number - 1].end(), out.begin());
      return Status::ok();
    };
    return file->replace(record_of(next, index), source, soon()).status();
  }

  void check_content(const Image& image) {
    Bytes page(image.page_size);
    for (uint32_t number = 1; number <= image.pages.size(); number++) {
      Status read = file->read(number, page);
      if (!read) FAIL(read.sentence().c_str());
      CHECK_TRUE(page == image.pages[number - 1]);
    }
    CHECK_TRUE(file->read(static_cast<uint32_t>(image.pages.size()) + 1, page).is_ok());
    CHECK_TRUE(page == Bytes(image.page_size));
  }

  void check_code(Code code, const Status& status) {
    if (status.code() != code) FAIL(("another code: " + status.sentence()).c_str());
  }
};

TEST(DatabaseFile, a_new_database_is_an_empty_file_with_a_record) {
  check_code(Code::kNotFound, open_unrecorded(false));
  CHECK_TRUE(open_unrecorded(true).is_ok());
  CHECK_TRUE(file->found().empty);
  CHECK_FALSE(file->has_record());
  CheckpointRecord record = record_of(Image{}, 10);
  CHECK_TRUE(file->establish(record).is_ok());
  CHECK_TRUE(file->has_record());
  CHECK_TRUE(disk.look(kPath)->empty());
  Bytes page(512, 9);
  CHECK_TRUE(file->read(1, page).is_ok());
  CHECK_TRUE(page == Bytes(512));
  CHECK_TRUE(open().is_ok());
  CHECK_EQUAL(10U, file->record().index);
  STRCMP_EQUAL("app.db", file->record().name.c_str());
}

TEST(DatabaseFile, V_A1_each_checkpoint_stamps_page_1_though_it_did_not_change) {
  Image base = random_image(4, 1), next = base;
  next.pages[2] = random_image(3, 2).pages[2];
  set_up(base, 10);
  CHECK_TRUE(checkpoint(base, next, 20).is_ok());
  CHECK_TRUE(*disk.look(kPath) == file_of(next, 20));
  check_content(next);
}

TEST(DatabaseFile, A4_pages_between_the_old_end_and_new_pages_are_zeros) {
  Image base = random_image(3, 1), next = base;
  next.pages.resize(7, Bytes(512));
  next.pages.push_back(random_image(8, 2).pages[7]);
  set_up(base, 10);
  std::vector<PageImage> pages = {shared_page(8, next.pages[7])};
  CHECK_TRUE(file->checkpoint(record_of(next, 20), pages, soon()).is_ok());
  check_content(next);
  // And after a cut, the same pages come back as zeros where the caller says so.
  Image cut = next;
  cut.pages.resize(2);
  CHECK_TRUE(checkpoint(next, cut, 30).is_ok());
  CHECK_EQUAL(1024U, disk.look(kPath)->size());
  Image regrown = cut;
  regrown.pages.resize(8, Bytes(512));
  CHECK_TRUE(file->checkpoint(record_of(regrown, 40), {}, soon()).is_ok());
  check_content(regrown);
}

TEST(DatabaseFile, A4_a_page_that_the_caller_forgot_is_found_before_anything_is_written) {
  Image base = random_image(4, 1), next = random_image(4, 2);
  set_up(base, 10);
  auto pages = changed_pages(base, next);
  pages.erase(pages.begin() + 2);
  auto cost = file->checkpoint(record_of(next, 20), pages, soon());
  check_code(Code::kCorrupt, cost.status());
  CHECK_TRUE(*disk.look(kPath) == file_of(base, 10));
  CHECK_TRUE(checkpoint(base, next, 20).is_ok());
}

TEST(DatabaseFile, a_checkpoint_costs_the_pages_it_changes_and_four_syncs) {
  Image base = random_image(200, 1), next = base;
  for (uint32_t number = 50; number < 60; number++)
    next.pages[number - 1] = random_image(60, 2).pages[number - 1];
  set_up(base, 10);
  const uint64_t syncs_before = disk.file_syncs();
  auto cost = file->checkpoint(record_of(next, 20), changed_pages(base, next), soon());
  CHECK_TRUE(cost.is_ok());
  CHECK_EQUAL(4U, disk.file_syncs() - syncs_before);
  CHECK_EQUAL(11U, cost->pages);  // with page 1
  CHECK_EQUAL(512U + 11 * (512 + 8) + 11 * 512, cost->bytes);
}

TEST(DatabaseFile, a_checkpoint_that_makes_no_sense_is_invalid_and_changes_nothing) {
  Image base = random_image(4, 1), next = random_image(4, 2);
  set_up(base, 10);
  auto pages = changed_pages(base, next);
  auto try_it = [&](CheckpointRecord record, const std::vector<PageImage>& given) {
    check_code(Code::kInvalid, file->checkpoint(record, given, soon()).status());
  };
  try_it(record_of(next, 10), pages);     // not forward
  try_it(record_of(next, 20, 8), pages);  // another database
  CheckpointRecord renamed = record_of(next, 20);
  renamed.name = "other.db";
  try_it(renamed, pages);
  try_it(record_of(random_image(4, 2, 1024), 20), {});  // another page size
  std::swap(pages[1], pages[2]);
  try_it(record_of(next, 20), pages);
  try_it(record_of(next, 20), {shared_page(5, next.pages[1])});
  try_it(record_of(next, 20), {shared_page(1, Bytes(100))});
  CHECK_TRUE(*disk.look(kPath) == file_of(base, 10));
  check_content(base);
}

TEST(DatabaseFile, A6_a_rotten_page_is_found_when_it_is_read) {
  Image image = random_image(4, 1);
  set_up(image, 10);
  Bytes rotten = *disk.look(kPath);
  rotten[512 * 2 + 100] ^= 1;
  disk.put(kPath, rotten);
  Bytes page(512);
  CHECK_TRUE(file->read(2, page).is_ok());
  Status read = file->read(3, page);
  check_code(Code::kCorrupt, read);
  STRCMP_CONTAINS("page 3 of /n1/app.db (offset 1024", read.sentence().c_str());
}

TEST(DatabaseFile, A6_a_rotten_page_is_found_by_a_reader_after_a_restart_too) {
  Image image = random_image(4, 1);
  set_up(image, 10);
  file.reset();
  // Rot does not change the ctime, so the open does not look.
  auto raw = *files->open_database(kPath, false);
  const int64_t before = raw->stamp()->changed_ns;
  Bytes rotten = *disk.look(kPath);
  rotten[512 * 2 + 100] ^= 1;
  disk.put(kPath, rotten);
  disk.set_changed(kPath, before);
  CHECK_TRUE(open().is_ok());
  Bytes page(512);
  CHECK_TRUE(file->read(2, page).is_ok());
  check_code(Code::kCorrupt, file->read(3, page));
}

TEST(DatabaseFile, A6_lost_page_sums_are_made_anew_from_a_file_that_adds_up) {
  Image image = random_image(4, 1);
  set_up(image, 10);
  disk.put("/n1/dqlite-node/db-7.sums", Bytes(32));
  CHECK_TRUE(open().is_ok());
  check_content(image);
  CHECK_TRUE(*disk.look("/n1/dqlite-node/db-7.sums") != Bytes(32));
}

TEST(DatabaseFile, B10_a_copy_that_arrived_replaces_the_content_in_place) {
  Image base = random_image(6, 1), next = base;
  next.pages[3] = random_image(6, 2).pages[3];
  next.pages.resize(5);
  set_up(base, 10);
  auto cost = file->replace(
      record_of(next, 20),
      [&](uint32_t number, std::span<uint8_t> out) {
        std::copy(next.pages[number - 1].begin(), next.pages[number - 1].end(), out.begin());
        return Status::ok();
      },
      soon());
  CHECK_TRUE(cost.is_ok());
  CHECK_EQUAL(2U, cost->pages);  // the changed one, and page 1 for its stamp
  CHECK_TRUE(*disk.look(kPath) == file_of(next, 20));
  check_content(next);
  CHECK_TRUE(open().is_ok());
  CHECK_EQUAL(20U, file->record().index);
}

TEST(DatabaseFile, B9_a_replacement_heals_a_page_that_rotted) {
  Image base = random_image(6, 1);
  set_up(base, 10);
  Bytes rotten = *disk.look(kPath);
  rotten[512 * 2 + 100] ^= 1;
  disk.put(kPath, rotten);
  CHECK_TRUE(replace(base, 20).is_ok());
  check_content(base);
  CHECK_TRUE(*disk.look(kPath) == file_of(base, 20));
}

TEST(DatabaseFile, B10_a_source_that_fails_or_changes_leaves_the_content_as_it_was) {
  Image base = random_image(6, 1), next = random_image(6, 2);
  set_up(base, 10);
  for (int good : {2, 7, 9}) {  // the first pass has six
    for (bool fails : {true, false}) {
      int asked = 0;
      auto source = [&](uint32_t number, std::span<uint8_t> out) {
        std::copy(next.pages[number - 1].begin(), next.pages[number - 1].end(), out.begin());
        if (++asked <= good) return Status::ok();
        out[200] ^= 1;
        return fails ? Status(Code::kNotFound, "gone") : Status::ok();
      };
      check_code(fails ? Code::kNotFound : Code::kCorrupt,
                 file->replace(record_of(next, 20), source, soon()).status());
      CHECK_TRUE(*disk.look(kPath) == file_of(base, 10));
      check_content(base);
    }
  }
  CHECK_TRUE(replace(next, 20).is_ok());
  check_content(next);
}

TEST(DatabaseFile, a_file_that_is_no_database_is_refused_with_a_sentence) {
  struct Case {
    Bytes bytes;
    const char* sentence;
  };
  Bytes good = file_of(random_image(2, 1), 1);
  Bytes cut(good.begin(), good.end() - 1);
  Bytes future = good;
  future[19] = 3;
  Bytes odd_size = good;
  odd_size[17] = 7;
  for (const Case& each :
       {Case{Bytes(5000, 'x'), "does not begin with"}, Case{Bytes(20), "does not begin with"},
        Case{cut, "1023 bytes"}, Case{future, "format versions"}, Case{odd_size, "page size"}}) {
    disk = FaultDisk();
    files = std::make_unique<FaultFiles>(disk);
    disk.put(kPath, each.bytes);
    Status refused = open_unrecorded(true);
    check_code(Code::kRefused, refused);
    STRCMP_CONTAINS(each.sentence, refused.sentence().c_str());
    STRCMP_CONTAINS(kPath, refused.sentence().c_str());
    CHECK_TRUE(*disk.look(kPath) == each.bytes);
  }
}

TEST(DatabaseFile, a_first_record_that_does_not_speak_of_the_file_is_invalid) {
  Image image = random_image(4, 1);
  disk.put(kPath, file_of(image, 1));
  CHECK_TRUE(open_unrecorded(false).is_ok());
  CheckpointRecord record = record_of(image, 10);
  record.page_count = 3;
  check_code(Code::kInvalid, file->establish(record));
  record = record_of(image, 10);
  record.checksum++;
  check_code(Code::kInvalid, file->establish(record));
  check_code(Code::kInvalid, file->establish(record_of(image, 0)));
  CHECK_TRUE(*disk.look(kPath) == file_of(image, 1));
  CHECK_TRUE(file->establish(record_of(image, 10)).is_ok());
  check_code(Code::kInvalid, file->establish(record_of(image, 10)));
}

TEST(DatabaseFile, a_database_without_a_record_is_not_found) {
  check_code(Code::kNotFound, open());
}

TEST(DatabaseFile, several_databases_of_a_node_are_listed_and_opened_apart) {
  for (uint64_t id : {5, 9}) {
    auto opened = DatabaseFile::open_unrecorded(*files, "/n1", kNode, "db" + std::to_string(id), true);
    CheckpointRecord record = record_of(Image{}, id, id);
    record.name = "db" + std::to_string(id);
    CHECK_TRUE((*opened)->establish(record).is_ok());
  }
  CHECK_TRUE(*DatabaseFile::list(*files, kNode) == std::vector<uint64_t>({5, 9}));
  auto opened = DatabaseFile::open(*files, "/n1", kNode, 9);
  STRCMP_EQUAL("/n1/db9", (*opened)->path().c_str());
}

TEST(DatabaseFile, A4_the_lock_byte_page_is_never_written_nor_journalled) {
  // On a real, sparse file: page 16385 of 65536 bytes begins at 0x40000000.
  NodeDirectory directory;
  const uint32_t page_size = 65536, lock_page = 16385, page_count = 16387;
  std::mt19937_64 random(1);
  Bytes first = random_page(1, page_size, random);
  Bytes below = random_page(2, page_size, random), above = random_page(2, page_size, random);
  CheckpointRecord record;
  record.database = 7;
  record.name = "app.db";
  record.page_size = page_size;
  record.index = 10;
  auto opened =
      DatabaseFile::open_unrecorded(posix_files(), directory.path(), directory.node(), "app.db", true);
  CHECK_TRUE((*opened)->establish(record).is_ok());
  auto move_to = [&](uint64_t index, const Bytes& low, const Bytes& high) {
    record.index = index;
    record.page_count = page_count;
    record.checksum = codec::page_hash(1, first) ^ codec::page_hash(lock_page - 1, low) ^
                      codec::page_hash(lock_page + 1, high);
    // A caller that brings the lock-byte page too does no harm.
    std::vector<PageImage> pages = {shared_page(1, first), shared_page(lock_page - 1, low),
                                    shared_page(lock_page, below), shared_page(lock_page + 1, high)};
    auto cost = (*opened)->checkpoint(record, pages, soon());
    if (!cost) FAIL(cost.status().sentence().c_str());
    CHECK_EQUAL(3U, cost->pages);
    return cost->bytes;
  };
  CHECK_EQUAL(512U + 3 * page_size, move_to(20, below, above));
  CHECK_EQUAL(512U + 3 * (page_size + 8) + 3 * page_size, move_to(30, above, below));
  Bytes page(page_size);
  CHECK_TRUE((*opened)->read(lock_page, page).is_ok());
  CHECK_TRUE(page == Bytes(page_size));
  CHECK_TRUE((*opened)->read(lock_page + 1, page).is_ok());
  CHECK_TRUE(page == below);
  CHECK_EQUAL(uint64_t{page_count} * page_size, std::filesystem::file_size(directory.database()));
}

TEST(DatabaseFile, C7_a_read_that_a_checkpoint_overtakes_gives_the_new_page) {
  Image base = random_image(4, 1), next = random_image(4, 2);
  set_up(base, 10);
  disk.at_next_read([&] { CHECK_TRUE(checkpoint(base, next, 20).is_ok()); });
  Bytes page(512);
  CHECK_TRUE(file->read(3, page).is_ok());
  CHECK_TRUE(page == next.pages[2]);
}

TEST(DatabaseFile, C7_readers_go_on_while_checkpoints_run) {
  NodeDirectory directory;
  const uint32_t page_count = 64;
  Image image = random_image(page_count, 1, 1024);
  write_whole(directory.database(), file_of(image, 1));
  auto opened =
      DatabaseFile::open_unrecorded(posix_files(), directory.path(), directory.node(), "app.db", false);
  CHECK_TRUE((*opened)->establish(record_of(image, 10)).is_ok());
  DatabaseFile& shared = **opened;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> reads{0}, wrong{0};
  // Even pages never change, odd ones do all the time: their content is the caller's affair, but never an
  // error.
  auto reader = [&] {
    Bytes page(1024);
    while (!done) {
      for (uint32_t number = 1; number <= page_count; number++) {
        Status read = shared.read(number, page);
        if (!read || (number % 2 == 0 && page != image.pages[number - 1])) wrong++;
        reads++;
      }
    }
  };
  std::thread one(reader), two(reader);
  Image base = image;
  for (uint64_t index = 20; index < 60; index++) {
    Image next = base;
    std::mt19937_64 random(index);
    for (uint32_t number = 1; number <= page_count; number += 2)
      next.pages[number - 1] = random_page(number, 1024, random);
    auto cost = shared.checkpoint(record_of(next, index), changed_pages(base, next), soon());
    if (!cost) wrong++;
    base = next;
  }
  while (reads < 1000) std::this_thread::yield();
  done = true;
  one.join();
  two.join();
  CHECK_EQUAL(0U, wrong.load());
}

TEST(DatabaseFile, A12_a_repair_whose_sync_failed_is_not_believed) {
  const Image image = random_image(6, 1);
  bool has_failed = false;
  for (uint64_t call = 1;; call++) {
    file.reset();
    disk = FaultDisk(call);
    files = std::make_unique<FaultFiles>(disk);
    set_up(image, 5);
    disk.rot(kPath, 2 * 512 + 200);
    const uint64_t syncs = disk.file_syncs();
    disk.fail_call(call, Fault::kError);
    const Status repaired = file->repair(3, image.pages[2]);
    if (repaired) break;
    disk.forgive();
    Bytes page(512);
    // The table, the mark, the page: whoever finds it in the cache must not take it for repaired.
    const bool is_in_cache = file->read(3, page).is_ok();
    LONGS_EQUAL(is_in_cache, !file->failure().is_ok());
    has_failed = has_failed || is_in_cache;
    if (is_in_cache) {
      CHECK_EQUAL(2U, disk.file_syncs() - syncs);
      STRCMP_EQUAL(repaired.sentence().c_str(), file->repair(3, image.pages[2]).sentence().c_str());
      STRCMP_EQUAL(repaired.sentence().c_str(), checkpoint(image, image, 6).sentence().c_str());
    } else {
      CHECK_TRUE(file->repair(3, image.pages[2]).is_ok());
    }
  }
  CHECK_TRUE(has_failed);
}
