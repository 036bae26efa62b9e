// A database file among stock SQLite connections: they read the last checkpoint, cannot write, and roll back
// what a killed node left behind.
#include <filesystem>
#include <thread>

#include "tests/vfs/forwarding_files.h"
#include "tests/vfs/stock_sqlite.h"
#include "vfs/database_file.h"
#include "vfs/files.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// The operating system's files, up to a call at which the process "is killed": from then on nothing happens
// any more, what was written stays, and the locks go. Syncs are left out: nobody loses power here.
class KilledFiles : public ForwardingFiles {
 public:
  explicit KilledFiles(uint64_t last_call) : left_(last_call) {}
  [[nodiscard]] bool killed() const { return killed_; }

  class KilledFile : public ForwardingFile {
   public:
    KilledFile(KilledFiles& files, std::shared_ptr<DataFile> file)
        : ForwardingFile(std::move(file)), files_(files) {}
    Status write(uint64_t offset, ByteView bytes) override {
      Status status = files_.step();
      if (status) return ForwardingFile::write(offset, bytes);
      // Half a write: a page that is half new.
      if (files_.just_killed()) (void)ForwardingFile::write(offset, bytes.first(bytes.size() / 2));
      return status;
    }
    Status truncate(uint64_t size) override {
      Status status = files_.step();
      return status ? ForwardingFile::truncate(size) : status;
    }
    Status sync() override { return files_.step(); }

   private:
    KilledFiles& files_;
  };

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override {
    return wrap(ForwardingFiles::open_database(path, create));
  }
  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    if (create) {
      if (Status status = step(); !status) return status;
    }
    return wrap(ForwardingFiles::open(path, create));
  }
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    if (Status status = step(); !status) return status;
    return wrap(ForwardingFiles::create_new(path));
  }
  Status rename(const std::string& from, const std::string& to) override {
    Status status = step();
    return status ? ForwardingFiles::rename(from, to) : status;
  }
  Status rename_new(const std::string& from, const std::string& to) override {
    Status status = step();
    return status ? ForwardingFiles::rename_new(from, to) : status;
  }
  Status remove(const std::string& path) override {
    Status status = step();
    return status ? ForwardingFiles::remove(path) : status;
  }
  Status sync_directory(const std::string&) override { return step(); }

  Status step() {
    just_killed_ = !killed_ && left_ == 0;
    if (just_killed_) killed_ = true;
    if (killed_) return {Code::kIo, "killed"};
    left_--;
    return Status::ok();
  }
  [[nodiscard]] bool just_killed() const { return just_killed_; }

 private:
  Result<std::shared_ptr<DataFile>> wrap(Result<std::shared_ptr<DataFile>> opened) {
    if (!opened) return opened;
    return std::shared_ptr<DataFile>(std::make_shared<KilledFile>(*this, std::move(*opened)));
  }

  uint64_t left_;
  bool killed_ = false;
  bool just_killed_ = false;
};

const char kOldSql[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v, w); CREATE INDEX tv ON t(v);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<600)"
    "INSERT INTO t SELECT i, i%37, zeroblob(100) FROM n";
const char kGrowSql[] =
    "UPDATE t SET v=v+1 WHERE id%3=0; INSERT INTO t SELECT id+1000, v, zeroblob(90) FROM t; CREATE TABLE "
    "u(x)";
const char kShrinkSql[] = "DELETE FROM t WHERE id>40; VACUUM";

struct Content {
  Image old_image;
  Image new_image;
};

// Two states of a real database.
Content make_content(uint32_t page_size, const std::string& change) {
  NodeDirectory directory;
  const std::string path = directory.path() + "/made.db";
  Content content;
  {
    StockConnection made(path);
    made.run("PRAGMA page_size=" + std::to_string(page_size) + ";" + kOldSql);
  }
  content.old_image = image_of(path);
  {
    StockConnection made(path);
    LONGS_EQUAL(SQLITE_OK, made.run(change).code);
  }
  content.new_image = image_of(path);
  return content;
}

}  // namespace

TEST_GROUP(DatabaseFileStock) {
  NodeDirectory directory;
  const std::string path = directory.database();

  void make_file(const Image& image) {
    KilledFiles files(1000);  // nobody kills it: it spares the syncs
    write_whole(path, file_of(image, 1));
    auto file = DatabaseFile::open_unrecorded(files, directory.path(), directory.node(), "app.db", false);
    if (!file) FAIL(file.status().sentence().c_str());
    Status established = (*file)->establish(record_of(image, kOldIndex));
    if (!established) FAIL(established.sentence().c_str());
  }

  std::unique_ptr<DatabaseFile> open() {
    auto file = DatabaseFile::open(posix_files(), directory.path(), directory.node(), 7);
    if (!file) FAIL(file.status().sentence().c_str());
    return std::move(*file);
  }

  Status checkpoint(DatabaseFile & file, const Content& content,
                    std::chrono::steady_clock::time_point deadline) {
    auto pages = changed_pages(content.old_image, content.new_image);
    return file.checkpoint(record_of(content.new_image, kNewIndex), pages, deadline).status();
  }

  // Kills the node at each call of a checkpoint; what stock SQLite then finds is one whole state, and so is
  // what the node finds after it.
  void kill_everywhere(const Content& content) {
    bool seen_old = false, seen_new = false, seen_journal = false, killed = true;
    for (uint64_t call = 0; killed; call++) {
      std::filesystem::remove_all(directory.node());
      std::filesystem::create_directory(directory.node());
      make_file(content.old_image);
      {
        KilledFiles files(call);
        auto file = DatabaseFile::open(files, directory.path(), directory.node(), 7);
        if (file) (void)checkpoint(**file, content, soon());
        killed = files.killed();
      }
      seen_journal |= is_there(path + "-journal");
      {
        StockConnection stock(path);
        STRCMP_EQUAL("ok", stock.run("PRAGMA integrity_check").rows.c_str());
      }
      const Bytes found = read_whole(path);
      const bool is_new = found == file_of(content.new_image, kNewIndex);
      if (!is_new && found != file_of(content.old_image, kOldIndex)) {
        FAIL(("a mixture after call " + std::to_string(call)).c_str());
      }
      (is_new ? seen_new : seen_old) = true;
      auto file = open();
      CHECK_EQUAL(is_new ? kNewIndex : kOldIndex, file->record().index);
    }
    CHECK_TRUE(seen_old && seen_new && seen_journal);
  }
};

TEST(DatabaseFileStock, A9_stock_sqlite_rolls_a_killed_checkpoint_back_byte_for_byte) {
  for (uint32_t page_size : {512U, 1024U, 4096U}) kill_everywhere(make_content(page_size, kGrowSql));
}

TEST(DatabaseFileStock, A9_stock_sqlite_rolls_a_killed_checkpoint_back_with_the_largest_pages) {
  kill_everywhere(make_content(65536, kGrowSql));
}

TEST(DatabaseFileStock, A9_stock_sqlite_brings_pages_back_that_were_cut_off) {
  for (uint32_t page_size : {512U, 4096U}) kill_everywhere(make_content(page_size, kShrinkSql));
}

TEST(DatabaseFileStock, A9_stock_sqlite_empties_a_file_that_was_empty_before) {
  Content content = make_content(1024, kGrowSql);
  content.old_image.pages.clear();
  kill_everywhere(content);
}

TEST(DatabaseFileStock, stock_connections_read_the_last_checkpoint_and_cannot_write) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  auto file = open();
  StockProcess other(path);
  StockConnection own(path);
  for (int round = 0; round < 2; round++) {
    const char* count = round == 0 ? "600" : "1200";
    STRCMP_EQUAL(count, other.run("SELECT count(*) FROM t").rows.c_str());
    STRCMP_EQUAL(count, own.run("SELECT count(*) FROM t").rows.c_str());
    for (const char* write : {"INSERT INTO t(v) VALUES(1)", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "VACUUM",
                              "PRAGMA user_version=3", "CREATE TABLE z(x)"}) {
      LONGS_EQUAL(SQLITE_BUSY, other.run(write).code);
      LONGS_EQUAL(SQLITE_BUSY, own.run(write).code);
    }
    for (const char* mode : {"wal", "persist", "truncate", "delete"}) {
      other.run(std::string("PRAGMA journal_mode=") + mode);
      own.run(std::string("PRAGMA journal_mode=") + mode);
      LONGS_EQUAL(SQLITE_BUSY, other.run("INSERT INTO t(v) VALUES(1)").code);
      LONGS_EQUAL(SQLITE_BUSY, own.run("INSERT INTO t(v) VALUES(1)").code);
      CHECK_FALSE(is_there(path + "-wal"));
    }
    if (round == 0) CHECK_TRUE(checkpoint(*file, content, soon()).is_ok());
  }
  CHECK_TRUE(read_whole(path) == file_of(content.new_image, kNewIndex));
}

TEST(DatabaseFileStock, V_A1_a_warm_stock_reader_sees_the_new_checkpoint) {
  // Without page 1 among the pages: the stamp alone makes it drop its cache.
  Content content = make_content(1024, "UPDATE t SET v=v+1000 WHERE id<300");
  content.new_image.pages[0] = content.old_image.pages[0];
  make_file(content.old_image);
  auto file = open();
  StockProcess other(path);
  StockConnection own(path);
  const std::string sum = "SELECT sum(v) FROM t NOT INDEXED";
  const std::string before = own.run(sum).rows;
  STRCMP_EQUAL(before.c_str(), other.run(sum).rows.c_str());
  CHECK_TRUE(checkpoint(*file, content, soon()).is_ok());
  const std::string after = std::to_string(std::stoi(before) + 299 * 1000);
  STRCMP_EQUAL(after.c_str(), own.run(sum).rows.c_str());
  STRCMP_EQUAL(after.c_str(), other.run(sum).rows.c_str());
}

TEST(DatabaseFileStock, C6_V_C7_a_stock_reader_in_a_transaction_makes_a_checkpoint_busy_until_it_ends) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  auto file = open();
  StockProcess other(path);
  LONGS_EQUAL(SQLITE_OK, other.run("BEGIN; SELECT count(*) FROM t").code);
  Status busy = checkpoint(*file, content, soon());
  LONGS_EQUAL(static_cast<int>(Code::kBusy), static_cast<int>(busy.code()));
  STRCMP_CONTAINS(("pid " + std::to_string(other.pid())).c_str(), busy.sentence().c_str());
  // Nothing has changed, and readers come and go as before.
  CHECK_TRUE(read_whole(path) == file_of(content.old_image, kOldIndex));
  CHECK_FALSE(is_there(path + "-journal"));
  StockConnection own(path);
  STRCMP_EQUAL("600", own.run("SELECT count(*) FROM t").rows.c_str());
  LONGS_EQUAL(SQLITE_OK, other.run("COMMIT").code);
  CHECK_TRUE(checkpoint(*file, content, soon()).is_ok());
  STRCMP_EQUAL("1200", own.run("SELECT count(*) FROM t").rows.c_str());
}

TEST(DatabaseFileStock, V_C7_while_a_checkpoint_waits_for_readers_no_new_ones_get_in) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  auto file = open();
  StockProcess other(path);
  LONGS_EQUAL(SQLITE_OK, other.run("BEGIN; SELECT count(*) FROM t").code);
  StockConnection own(path);
  Status moved;
  std::thread waiting([&] {
    moved = checkpoint(*file, content, std::chrono::steady_clock::now() + std::chrono::seconds(60));
  });
  while (own.run("SELECT count(*) FROM t").code != SQLITE_BUSY) std::this_thread::yield();
  // The reader that was there first reads on, and the checkpoint follows it.
  STRCMP_EQUAL("600", other.run("SELECT count(*) FROM t").rows.c_str());
  LONGS_EQUAL(SQLITE_OK, other.run("COMMIT").code);
  waiting.join();
  CHECK_TRUE(moved.is_ok());
  STRCMP_EQUAL("1200", own.run("SELECT count(*) FROM t").rows.c_str());
}

TEST(DatabaseFileStock, V_C6_the_hosts_stock_connections_and_the_node_do_not_drop_each_others_locks) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  auto file = open();
  StockProcess other(path);
  // Closing the host's connection leaves our RESERVED.
  {
    StockConnection own(path);
    STRCMP_EQUAL("600", own.run("SELECT count(*) FROM t").rows.c_str());
  }
  LONGS_EQUAL(SQLITE_BUSY, other.run("BEGIN IMMEDIATE").code);
  // And closing ours leaves the host's SHARED.
  StockConnection own(path);
  LONGS_EQUAL(SQLITE_OK, own.run("BEGIN; SELECT count(*) FROM t").code);
  file.reset();
  LONGS_EQUAL(SQLITE_BUSY, other.run("BEGIN EXCLUSIVE").code);
  LONGS_EQUAL(SQLITE_OK, other.run("BEGIN IMMEDIATE; ROLLBACK").code);
  LONGS_EQUAL(SQLITE_OK, own.run("COMMIT").code);
  LONGS_EQUAL(SQLITE_OK, other.run("BEGIN EXCLUSIVE; ROLLBACK").code);
}

TEST(DatabaseFileStock, a_stock_writer_at_work_makes_an_open_busy_and_is_named) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  StockProcess other(path);
  LONGS_EQUAL(SQLITE_OK, other.run("BEGIN IMMEDIATE").code);
  auto file = DatabaseFile::open(posix_files(), directory.path(), directory.node(), 7);
  LONGS_EQUAL(static_cast<int>(Code::kBusy), static_cast<int>(file.status().code()));
  STRCMP_CONTAINS(std::to_string(other.pid()).c_str(), file.status().sentence().c_str());
  other.kill();
  open();
}

TEST(DatabaseFileStock, A9_a_write_of_a_stock_program_while_no_node_ran_is_refused) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  {
    StockConnection own(path);
    LONGS_EQUAL(SQLITE_OK, own.run("INSERT INTO t(v) VALUES(5)").code);
  }
  auto file = DatabaseFile::open(posix_files(), directory.path(), directory.node(), 7);
  LONGS_EQUAL(static_cast<int>(Code::kRefused), static_cast<int>(file.status().code()));
  STRCMP_CONTAINS("another program changed", file.status().sentence().c_str());
}

TEST(DatabaseFileStock, V_C8_a_stock_writer_killed_after_a_spill_is_refused) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  StockProcess writer(path);
  LONGS_EQUAL(SQLITE_OK, writer.run("PRAGMA cache_size=5; BEGIN; UPDATE t SET w=zeroblob(99)").code);
  writer.kill();
  CHECK_TRUE(is_there(path + "-journal"));
  auto file = DatabaseFile::open(posix_files(), directory.path(), directory.node(), 7);
  LONGS_EQUAL(static_cast<int>(Code::kRefused), static_cast<int>(file.status().code()));
  STRCMP_CONTAINS("rollback journal of another program", file.status().sentence().c_str());
  // Once stock SQLite has undone it, the pages are compared and all is well.
  {
    StockConnection own(path);
    STRCMP_EQUAL("600", own.run("SELECT count(*) FROM t").rows.c_str());
  }
  open();
}

TEST(DatabaseFileStock, V_C8_a_stock_wal_beside_the_file_is_refused) {
  Content content = make_content(1024, kGrowSql);
  make_file(content.old_image);
  StockProcess writer(path);
  LONGS_EQUAL(SQLITE_OK, writer.run("PRAGMA journal_mode=WAL; INSERT INTO t(v) VALUES(5)").code);
  writer.kill();
  auto file = DatabaseFile::open(posix_files(), directory.path(), directory.node(), 7);
  LONGS_EQUAL(static_cast<int>(Code::kRefused), static_cast<int>(file.status().code()));
  STRCMP_CONTAINS("app.db-wal", file.status().sentence().c_str());
}

TEST(DatabaseFileStock, B8_a_wal_mode_database_is_adopted_and_becomes_a_plain_file) {
  {
    StockConnection own(path);
    own.run(std::string("PRAGMA journal_mode=WAL;") + kOldSql);
    // While it is open its rows are in the WAL.
    auto refused =
        DatabaseFile::open_unrecorded(posix_files(), directory.path(), directory.node(), "app.db", false);
    LONGS_EQUAL(static_cast<int>(Code::kRefused), static_cast<int>(refused.status().code()));
    STRCMP_CONTAINS("PRAGMA journal_mode=DELETE", refused.status().sentence().c_str());
  }
  auto file =
      DatabaseFile::open_unrecorded(posix_files(), directory.path(), directory.node(), "app.db", false);
  if (!file) FAIL(file.status().sentence().c_str());
  CHECK_FALSE((*file)->found().empty);
  CHECK_EQUAL(4096U, (*file)->found().page_size);
  const Image image = image_of(path);
  CHECK_EQUAL(image.pages.size(), (*file)->found().page_count);
  auto checksum = (*file)->compute_checksum();
  CHECK_EQUAL(record_of(image, 1).checksum, *checksum);
  CHECK_TRUE((*file)->establish(record_of(image, kOldIndex)).is_ok());
  CHECK_TRUE(read_whole(path) == file_of(image, kOldIndex));
  StockConnection own(path);
  STRCMP_EQUAL("delete", own.run("PRAGMA journal_mode").rows.c_str());
  STRCMP_EQUAL("ok", own.run("PRAGMA integrity_check").rows.c_str());
  STRCMP_EQUAL("600", own.run("SELECT count(*) FROM t").rows.c_str());
  LONGS_EQUAL(SQLITE_BUSY, own.run("BEGIN IMMEDIATE").code);
}

TEST(DatabaseFileStock, B8_a_stock_connection_in_wal_mode_keeps_a_database_from_being_adopted) {
  StockProcess other(path);
  other.run(std::string("PRAGMA journal_mode=WAL;") + kOldSql + "; PRAGMA wal_checkpoint(TRUNCATE)");
  auto file =
      DatabaseFile::open_unrecorded(posix_files(), directory.path(), directory.node(), "app.db", false);
  if (!file) FAIL(file.status().sentence().c_str());
  const Image image = image_of(path);
  Status busy = (*file)->establish(record_of(image, kOldIndex));
  LONGS_EQUAL(static_cast<int>(Code::kBusy), static_cast<int>(busy.code()));
  other.kill();
  CHECK_TRUE((*file)->establish(record_of(image, kOldIndex)).is_ok());
  CHECK_FALSE(is_there(path + "-wal"));
}

TEST(DatabaseFileStock, B8_an_adoption_cut_off_is_undone_by_stock_sqlite_or_the_next_open) {
  const Image image = make_content(1024, kGrowSql).old_image;
  for (bool by_stock : {true, false}) {
    bool seen_journal = false, killed = true;
    for (uint64_t call = 0; killed; call++) {
      std::filesystem::remove_all(directory.node());
      std::filesystem::create_directory(directory.node());
      write_whole(path, file_of(image, 1));
      {
        KilledFiles files(call);
        auto file = DatabaseFile::open_unrecorded(files, directory.path(), directory.node(), "app.db", false);
        CHECK_TRUE(file.is_ok());
        (void)(*file)->establish(record_of(image, kOldIndex));
        killed = files.killed();
      }
      seen_journal |= is_there(path + "-journal");
      if (by_stock) STRCMP_EQUAL("ok", StockConnection(path).run("PRAGMA integrity_check").rows.c_str());
      if (DatabaseFile::list(posix_files(), directory.node())->empty()) {
        KilledFiles files(1000);
        auto file = DatabaseFile::open_unrecorded(files, directory.path(), directory.node(), "app.db", false);
        if (!file) FAIL(file.status().sentence().c_str());
        CHECK_TRUE((*file)->establish(record_of(image, kOldIndex)).is_ok());
      }
      CHECK_TRUE(read_whole(path) == file_of(image, kOldIndex));
      open();
    }
    CHECK_TRUE(seen_journal);
  }
}
