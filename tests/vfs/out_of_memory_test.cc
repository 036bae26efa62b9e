// Memory that runs out at any allocation of ours: an error code, never an exception in SQLite, and an error
// means that nothing was committed.

#include "tests/vfs/failing_new.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(OutOfMemory) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;
  int rows = 0;

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
    Sql sql(*node);
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  }
  void teardown() override {
    fail_new_after(-1);
    node.reset();
  }

  bool is_memory_error(int code) {
    return code == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM;
  }

  // Repeats `text` with one more allocation granted each time, until none fails. `inserted`: by one success.
  void exhaust(Sql & sql, const std::string& text, int inserted) {
    Sql other(*node);
    for (int granted = 0;; granted++) {
      if (granted > 3000) FAIL("it never succeeds");
      // Another's commit, so that the connection has to move its snapshot.
      other.run("INSERT INTO t(x) VALUES('other')");
      rows++;
      fail_new_after(granted);
      int code = sql.attempt(text);
      bool failed = new_has_failed();
      fail_new_after(-1);
      if (code == SQLITE_OK) {
        rows += inserted;
      } else {
        CHECK_TRUE(is_memory_error(code));
        if (sqlite3_get_autocommit(sql.handle()) == 0) sql.run("ROLLBACK");
      }
      std::string count = std::to_string(rows);
      STRCMP_EQUAL(count.c_str(), sql.value("SELECT count(*) FROM t").c_str());
      STRCMP_EQUAL(count.c_str(), other.value("SELECT count(*) FROM t").c_str());
      if (!failed) break;
    }
    STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  }
};

TEST(OutOfMemory, V_A5_an_insert_fails_whole_or_succeeds) {
  Sql sql(*node);
  exhaust(sql, "INSERT INTO t(x) VALUES('mine')", 1);
}

TEST(OutOfMemory, V_A5_a_transaction_that_spills_fails_whole_or_succeeds) {
  Sql sql(*node);
  sql.run("PRAGMA cache_size = 2; PRAGMA cache_spill = 1");
  exhaust(sql,
          "BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(zeroblob(30000)); SAVEPOINT s;"
          "INSERT INTO t(x) VALUES(zeroblob(30000)); ROLLBACK TO s; INSERT INTO t(x) VALUES('c'); COMMIT",
          2);
}

TEST(OutOfMemory, a_commit_of_two_databases_fails_in_both_or_succeeds) {
  Sql sql(*node);
  sql.run("ATTACH 'file:" + directory.path() + "/two.db?vfs=dqlite' AS two; CREATE TABLE two.n(x)");
  exhaust(sql, "BEGIN; INSERT INTO main.t(x) VALUES(1); INSERT INTO two.n VALUES(1); COMMIT", 1);
  STRCMP_EQUAL("1", sql.value("SELECT count(*) FROM two.n").c_str());
}

TEST(OutOfMemory, B13_a_commit_in_parts_fails_whole_or_succeeds) {
  TemporaryDirectory here;
  const TransactionLimits limits{.memory_bytes = 8192, .part_bytes = 3000, .parts_in_flight = 2};
  node = std::make_unique<TestNode>(here.path(), std::vector<LogEntry>(), limits);
  Sql sql(*node);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x); PRAGMA cache_size = 2; PRAGMA cache_spill = 1");
  exhaust(sql, "INSERT INTO t(x) VALUES(randomblob(20000))", 1);
  node->cluster().wait_idle();
  CHECK_EQUAL(node->databases().applied_point().index, node->databases().settled_point().index);
}

TEST(OutOfMemory, a_first_read_fails_or_succeeds) {
  const std::string select = "SELECT count(*) FROM t";
  for (int granted = 0;; granted++) {
    Sql sql(*node);
    fail_new_after(granted);
    int code = sql.attempt(select);
    bool failed = new_has_failed();
    fail_new_after(-1);
    CHECK_TRUE(code == SQLITE_OK || is_memory_error(code));
    STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
    if (!failed) break;
  }
}

TEST(OutOfMemory, an_open_fails_or_succeeds) {
  std::string uri = "file:" + directory.path() + "/app.db?vfs=dqlite&timeout=1000&page_size=4096";
  for (int granted = 0;; granted++) {
    fail_new_after(granted);
    sqlite3* handle = nullptr;
    int code = sqlite3_open_v2(uri.c_str(), &handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, nullptr);
    bool failed = new_has_failed();
    fail_new_after(-1);
    sqlite3_close(handle);
    CHECK_TRUE(code == SQLITE_OK || is_memory_error(code));
    if (!failed) break;
  }
  Sql sql(*node);
  sql.run("INSERT INTO t(x) VALUES(1)");
}
