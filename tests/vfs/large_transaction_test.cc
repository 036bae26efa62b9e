// A transaction that is larger than what a node keeps of it in memory.

#include <filesystem>

#include "tests/vfs/fixture.h"
#include "tests/vfs/spill_faults.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// 200 rows of about a page each, with a cache that holds hardly any.
constexpr const char* kFill =
    "PRAGMA cache_size = 5; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
    "INSERT INTO t SELECT i, hex(randomblob(1900)) FROM n";

}  // namespace

TEST_GROUP(LargeTransaction) {
  TemporaryDirectory directory;
  SpillFaults faults;
  FaultySpills files{faults};
  std::unique_ptr<TestNode> node;

  void setup() override {
    TransactionLimits limits;
    limits.memory_bytes = 3 * 4096;
    node = std::make_unique<TestNode>(directory.path(), std::vector<LogEntry>(), limits, files);
    Sql sql(*node);
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  }
  void teardown() override {
    node.reset();
  }
  static bool comes_true(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

TEST(LargeTransaction, pages_that_do_not_fit_in_memory_are_read_back_and_committed) {
  Sql sql(*node);
  sql.run("BEGIN");
  sql.run(kFill);
  CHECK(faults.writes > 100);
  STRCMP_EQUAL("200|760000", sql.rows("SELECT count(*), sum(length(x)) FROM t").substr(0, 10).c_str());
  sql.run("UPDATE t SET x = x || 'a' WHERE id % 2; COMMIT");
  Sql other(*node);
  STRCMP_EQUAL("200|760100\n", other.rows("SELECT count(*), sum(length(x)) FROM t").c_str());
  STRCMP_EQUAL("ok", other.value("PRAGMA integrity_check").c_str());
  node->checkpoint();
  STRCMP_EQUAL("200|760100\n", other.rows("SELECT count(*), sum(length(x)) FROM t").c_str());
  STRCMP_EQUAL("ok", other.value("PRAGMA integrity_check").c_str());
}

TEST(LargeTransaction, a_reader_of_before_a_checkpoint_goes_on_with_the_frames) {
  Sql sql(*node);
  sql.run(kFill);
  Sql reader(*node);
  reader.run("BEGIN");
  const std::string before = dump(reader);
  node->checkpoint();
  sql.run("UPDATE t SET x = ''");
  node->checkpoint();
  CHECK(before == dump(reader));
  reader.run("COMMIT");
  STRCMP_EQUAL("0", reader.value("SELECT sum(length(x)) FROM t").c_str());
}

TEST(LargeTransaction, savepoints_and_rollback_undo_what_was_put_aside) {
  Sql sql(*node);
  sql.run("BEGIN; INSERT INTO t VALUES(1000, 'kept'); SAVEPOINT s");
  sql.run(kFill);
  sql.run("ROLLBACK TO s");
  sql.run(kFill);
  sql.run("UPDATE t SET x = 'short'; ROLLBACK TO s; COMMIT");
  STRCMP_EQUAL("1000|kept\n", sql.rows("SELECT * FROM t").c_str());
  sql.run("BEGIN");
  sql.run(kFill);
  sql.run("ROLLBACK");
  STRCMP_EQUAL("1000|kept\n", sql.rows("SELECT * FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(LargeTransaction, a_full_disk_ends_the_transaction_and_harms_nobody) {
  Sql sql(*node);
  sql.run("INSERT INTO t VALUES(1000, 'before'); BEGIN");
  faults.full = true;
  CHECK_EQUAL(SQLITE_FULL, sql.attempt(kFill));
  STRCMP_CONTAINS("could not be put aside", sql.sentence().c_str());
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  STRCMP_EQUAL("1000|before\n", sql.rows("SELECT * FROM t").c_str());
  sql.run("INSERT INTO t VALUES(1001, 'small')");
  faults.full = false;
  sql.run(kFill);
  STRCMP_EQUAL("202", sql.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(LargeTransaction, above_its_limit_a_transaction_fails_while_it_is_written) {
  Sql sql(*node, "app.db", "&max_transaction=1");
  sql.run("PRAGMA cache_size = 5; INSERT INTO t VALUES(1000, 'before'); BEGIN");
  CHECK_EQUAL(SQLITE_FULL, sql.attempt("INSERT INTO t VALUES(1, zeroblob(1200000))"));
  STRCMP_CONTAINS("more than 1 MB of pages, which is the limit (max_transaction", sql.sentence().c_str());
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  STRCMP_EQUAL("1000|before\n", sql.rows("SELECT * FROM t").c_str());
  sql.run("INSERT INTO t VALUES(1, zeroblob(900000))");
  Sql other(*node, "app.db", "&max_transaction=2");
  other.run("INSERT INTO t VALUES(2, zeroblob(1200000))");
  for (const char* wrong : {"0", "-1", "1048577", "x", "1MB"}) {
    Sql refused("file:" + directory.path() + "/app.db?vfs=dqlite&max_transaction=" + wrong);
    CHECK_EQUAL(SQLITE_CANTOPEN, refused.open_result() & 0xff);
  }
}

TEST(LargeTransaction, A6_a_page_that_rots_before_the_commit_is_never_proposed) {
  Sql sql(*node);
  sql.run("BEGIN");
  sql.run(kFill);
  faults.rot = true;
  const size_t before = node->cluster().proposals();
  CHECK_EQUAL(SQLITE_IOERR, sql.attempt("COMMIT") & 0xff);
  STRCMP_CONTAINS("is not what was put aside", sql.sentence().c_str());
  CHECK_EQUAL(before, node->cluster().proposals());
  faults.rot = false;
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
  sql.run(kFill);
}

TEST(LargeTransaction, A6_a_page_that_rots_after_the_commit_is_not_served_and_stops_the_node) {
  Sql sql(*node);
  Sql reader(*node);
  STRCMP_EQUAL("0", reader.value("SELECT count(*) FROM t").c_str());
  sql.run(kFill);
  faults.rot = true;
  CHECK_EQUAL(SQLITE_IOERR_READ, reader.attempt("SELECT sum(length(x)) FROM t"));
  STRCMP_CONTAINS("start the node again", reader.sentence().c_str());
  CHECK(comes_true([this] { return !node->cluster().difference().empty(); }));
  STRCMP_CONTAINS("start the node again", node->cluster().difference().c_str());
}

TEST(LargeTransaction, A6_a_checkpoint_does_not_write_a_page_that_rotted) {
  Sql sql(*node);
  sql.run(kFill);
  sql.run("INSERT INTO t VALUES(1000, 'x')");
  const std::string path = directory.path() + "/app.db";
  const std::string before = file_content(path);
  faults.rot = true;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const uint64_t index = node->cluster().durable_index();
  CHECK_TRUE(node->database().checkpoint(index, deadline).status().code() == Code::kCorrupt);
  CHECK(before == file_content(path));
  faults.rot = false;
  CHECK_TRUE(node->database().checkpoint(index, deadline).is_ok());
}

// Of a table that holds more than 64 MB, all of it in the file.
TEST_GROUP_BASE(LargeCheckpoint, TEST_GROUP_CppUTestGroupLargeTransaction) {
  static constexpr const char* kUpdateAll = "UPDATE t SET x = randomblob(1000000) WHERE id < 1000";

  void setup() override {
    TEST_GROUP_CppUTestGroupLargeTransaction::setup();
    Sql sql(*node);
    sql.run(
        "PRAGMA cache_size = 2000; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
        "70) INSERT INTO t SELECT i, zeroblob(1000000) FROM n");
    node->checkpoint();
  }
  Result<DatabaseCheckpoint> checkpoint() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    return node->database().checkpoint(node->cluster().durable_index(), deadline);
  }
};

TEST(LargeCheckpoint, waits_for_a_reader_that_would_need_too_many_old_pages) {
  Sql sql(*node);
  sql.run("INSERT INTO t VALUES(1000, 'a frame')");
  Sql reader(*node);
  reader.run("BEGIN; SELECT count(*) FROM t");
  sql.run(kUpdateAll);
  CHECK_TRUE(checkpoint().status().code() == Code::kBusy);
  LONGS_EQUAL(0, node->database().versions().kept_bytes());
  reader.run("COMMIT");
  CHECK_TRUE(checkpoint().is_ok());
}

TEST(LargeCheckpoint, B3_does_not_wait_for_readers_that_began_after_it_was_refused) {
  node->databases().checkpointer().stop();
  Sql sql(*node);
  Sql first(*node);
  first.run("BEGIN; SELECT count(*) FROM t");
  sql.run(kUpdateAll);
  const uint64_t refused = node->database().committed().mark.index;
  CHECK_TRUE(checkpoint().status().code() == Code::kBusy);
  // Readers take turns, and commits go on.
  Sql second(*node);
  second.run("BEGIN; SELECT count(*) FROM t");
  sql.run("INSERT INTO t VALUES(1000, 'newer')");
  CHECK_TRUE(checkpoint().status().code() == Code::kBusy);
  first.run("COMMIT");
  Result<DatabaseCheckpoint> done = checkpoint();
  if (!done) FAIL(done.status().sentence().c_str());
  CHECK_EQUAL(refused, done->index);
  CHECK_EQUAL(refused, node->database().committed().file->record().index);
  STRCMP_EQUAL("70", second.value("SELECT count(*) FROM t").c_str());
  // What came meanwhile replaces little.
  done = checkpoint();
  CHECK_TRUE(done.is_ok());
  CHECK_EQUAL(node->cluster().durable_index(), done->index);
  LONGS_EQUAL(0, node->database().wal_frames());
  STRCMP_EQUAL("70", second.value("SELECT count(*) FROM t").c_str());
}

TEST(LargeCheckpoint, is_carried_out_in_steps_by_the_checkpoint_thread) {
  Sql sql(*node);
  Sql first(*node);
  first.run("BEGIN; SELECT count(*) FROM t");
  sql.run(kUpdateAll);
  CHECK_TRUE(checkpoint().status().code() == Code::kBusy);
  Sql second(*node);
  second.run("BEGIN; SELECT count(*) FROM t");
  sql.run("INSERT INTO t VALUES(1000, 'newer')");
  first.run("COMMIT");
  const uint64_t newest = node->database().committed().mark.index;
  CHECK(node->checkpoint().index >= newest);
  CHECK_EQUAL(newest, node->database().committed().file->record().index);
}

TEST(LargeCheckpoint, B2_does_not_wait_for_a_snapshot_that_is_being_sent) {
  Sql sql(*node);
  Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(node->databases());
  CHECK_TRUE(reader.is_ok());
  Result<Bytes> before = (*reader)->read(0, (*reader)->size_bytes());
  CHECK_TRUE(before.is_ok());
  for (int round = 0; round < 2; round++) {
    sql.run(kUpdateAll);
    CHECK_TRUE(checkpoint().is_ok());
    CHECK(node->database().versions().kept_bytes() > 0);
    CHECK(node->database().versions().kept_bytes() <= FileVersions::kMemoryLimit);
  }
  Result<Bytes> after = (*reader)->read(0, (*reader)->size_bytes());
  CHECK_TRUE(after.is_ok() && *before == *after);
  reader->reset();
  LONGS_EQUAL(0, node->database().versions().kept_bytes());
}
