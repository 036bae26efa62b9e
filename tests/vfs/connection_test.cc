// What an application does with one node, through the real SQLite.

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(Connection) {
  TemporaryDirectory directory;
};

TEST(Connection, a_committed_row_is_there_for_another_connection) {
  TestNode node(directory.path());
  Sql writer(node);
  writer.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t(x) VALUES('hello')");
  Sql reader(node);
  STRCMP_EQUAL("hello", reader.value("SELECT x FROM t").c_str());
  writer.run("INSERT INTO t(x) VALUES('again')");
  STRCMP_EQUAL("1|hello\n2|again\n", reader.rows("SELECT * FROM t ORDER BY id").c_str());
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
}

TEST(Connection, a_restart_replays_the_log_into_the_same_rows) {
  std::vector<LogEntry> log;
  {
    TestNode node(directory.path());
    Sql sql(node);
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t(x) VALUES('hello')");
    log = node.cluster().log();
  }
  TestNode node(directory.path(), log);
  Sql sql(node);
  STRCMP_EQUAL("hello", sql.value("SELECT x FROM t").c_str());
}

TEST(Connection, a_checkpoint_moves_the_rows_to_the_file_and_readers_go_on) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  for (int i = 0; i < 50; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(3000))");
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  dqlite::Result<CheckpointReport> report = node.databases().checkpoint_cluster(deadline);
  if (!report) FAIL(report.status().sentence().c_str());
  CHECK(report->pages > 50);
  STRCMP_EQUAL("50", sql.value("SELECT count(*) FROM t").c_str());
  sql.run("INSERT INTO t(x) VALUES('after')");
  STRCMP_EQUAL("51", sql.value("SELECT count(*) FROM t").c_str());
  Sql other(node);
  STRCMP_EQUAL("51", other.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("ok", other.value("PRAGMA integrity_check").c_str());
}
