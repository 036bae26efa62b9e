// Settings that applications make, and checkpoints that they ask for.

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(Pragma) {
  TemporaryDirectory directory;
  TemporaryDirectory plain;

  void use(TestNode & node, Sql & sql, const std::string& page_size) {
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    sql.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
        "INSERT INTO t SELECT i, hex(zeroblob(700)) FROM n");
    STRCMP_EQUAL(page_size.c_str(), sql.value("PRAGMA page_size").c_str());
    node.checkpoint();
    sql.run("DELETE FROM t WHERE id > 50");
    STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  }

  // The same in a node that replays the log, and in the file as stock finds it.
  void check_elsewhere(const std::string& where, const std::vector<LogEntry>& log, const std::string& pragma,
                       const std::string& value) {
    {
      TestNode node(where, log);
      Sql sql(node);
      STRCMP_EQUAL(value.c_str(), sql.value(pragma).c_str());
      STRCMP_EQUAL("50", sql.value("SELECT count(*) FROM t").c_str());
      sql.run("INSERT INTO t(x) VALUES('more')");
      node.checkpoint();
    }
    Sql stock("file:" + where + "/app.db");
    STRCMP_EQUAL(value.c_str(), stock.value(pragma).c_str());
    STRCMP_EQUAL("51", stock.value("SELECT count(*) FROM t").c_str());
    STRCMP_EQUAL("ok", stock.value("PRAGMA integrity_check").c_str());
  }
};

TEST(Pragma, V_C2_every_page_size_works_by_pragma_and_by_uri) {
  for (int size = 512; size <= 65536; size *= 2) {
    std::string number = std::to_string(size);
    for (bool by_uri : {false, true}) {
      TemporaryDirectory here;
      std::vector<LogEntry> log;
      {
        TestNode node(here.path());
        Sql sql(node, "app.db", by_uri ? "&page_size=" + number : "");
        if (!by_uri) sql.run("PRAGMA page_size = " + number);
        use(node, sql, number);
        log = node.cluster().log();
      }
      check_elsewhere(here.path(), log, "PRAGMA page_size", number);
    }
  }
}

TEST(Pragma, V_C2_auto_vacuum_and_encoding_work_as_ever) {
  struct {
    const char* set;
    const char* ask;
    const char* answer;
  } settings[] = {{"PRAGMA auto_vacuum = FULL", "PRAGMA auto_vacuum", "1"},
                  {"PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA auto_vacuum", "2"},
                  {"PRAGMA encoding = 'UTF-16le'", "PRAGMA encoding", "UTF-16le"},
                  {"PRAGMA application_id = 77; PRAGMA user_version = 5", "PRAGMA user_version", "5"}};
  for (const auto& setting : settings) {
    TemporaryDirectory here;
    std::vector<LogEntry> log;
    {
      TestNode node(here.path());
      Sql sql(node);
      sql.run(setting.set);
      use(node, sql, "4096");
      STRCMP_EQUAL(setting.answer, sql.value(setting.ask).c_str());
      sql.run("PRAGMA incremental_vacuum(10)");
      log = node.cluster().log();
    }
    check_elsewhere(here.path(), log, setting.ask, setting.answer);
  }
}

TEST(Pragma, V_C2_the_file_carries_the_version_bytes_of_rollback_mode) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  node.checkpoint();
  std::string file = file_content(directory.path() + "/app.db");
  CHECK_EQUAL(1, static_cast<int>(file[18]));
  CHECK_EQUAL(1, static_cast<int>(file[19]));
}

TEST(Pragma, V_C2_a_backup_into_the_database_works_and_leaves_no_version_bytes_behind) {
  {
    Sql stock("file:" + plain.path() + "/source.db");
    stock.run("PRAGMA journal_mode = WAL; CREATE TABLE s(x); INSERT INTO s VALUES('restored')");
    TestNode node(directory.path());
    Sql sql(node);
    sql.run("CREATE TABLE t(x)");
    sqlite3_backup* backup = sqlite3_backup_init(sql.handle(), "main", stock.handle(), "main");
    CHECK_TRUE(backup != nullptr);
    CHECK_EQUAL(SQLITE_DONE, sqlite3_backup_step(backup, -1));
    CHECK_EQUAL(SQLITE_OK, sqlite3_backup_finish(backup));
    STRCMP_EQUAL("restored", sql.value("SELECT x FROM s").c_str());
    sql.run("INSERT INTO s VALUES('more')");
    node.checkpoint();
    Sql other(node);
    STRCMP_EQUAL("2", other.value("SELECT count(*) FROM s").c_str());
  }
  std::string file = file_content(directory.path() + "/app.db");
  CHECK_EQUAL(1, static_cast<int>(file[18]));
  Sql reopened("file:" + directory.path() + "/app.db");
  STRCMP_EQUAL("2", reopened.value("SELECT count(*) FROM s").c_str());
}

TEST(Pragma, a_backup_out_of_the_database_is_a_plain_copy) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES('saved')");
  Sql stock("file:" + plain.path() + "/copy.db");
  sqlite3_backup* backup = sqlite3_backup_init(stock.handle(), "main", sql.handle(), "main");
  CHECK_EQUAL(SQLITE_DONE, sqlite3_backup_step(backup, -1));
  CHECK_EQUAL(SQLITE_OK, sqlite3_backup_finish(backup));
  STRCMP_EQUAL("saved", stock.value("SELECT x FROM t").c_str());
}

TEST(Pragma, V_D1_every_mode_of_wal_checkpoint_moves_the_rows_to_the_file) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  for (const char* mode : {"PASSIVE", "FULL", "RESTART", "TRUNCATE"}) {
    sql.run("INSERT INTO t VALUES(1)");
    uint64_t index = node.database().committed().mark.index;
    STRCMP_EQUAL("0", sql.value("PRAGMA wal_checkpoint(" + std::string(mode) + ")").c_str());
    CHECK_EQUAL(index, node.database().committed().file->record().index);
    sql.run("INSERT INTO t VALUES(2)");
    STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  }
  Sql other(node);
  STRCMP_EQUAL("8", other.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("8", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Pragma, V_D1_the_c_call_checkpoints_in_every_mode_also_right_after_a_commit) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  for (int mode : {SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE,
                   SQLITE_CHECKPOINT_PASSIVE}) {
    sql.run("INSERT INTO t VALUES(1)");
    uint64_t index = node.database().committed().mark.index;
    if (mode == SQLITE_CHECKPOINT_PASSIVE) sql.value("SELECT 1 FROM t");  // else taken for the automatic one
    int frames = 0;
    int moved = 0;
    CHECK_EQUAL(SQLITE_OK, sqlite3_wal_checkpoint_v2(sql.handle(), "main", mode, &frames, &moved));
    CHECK_EQUAL(frames, moved);
    CHECK_EQUAL(index, node.database().committed().file->record().index);
  }
  sql.run("INSERT INTO t VALUES(1)");
  STRCMP_EQUAL("5", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Pragma, V_D1_parsing_a_checkpoint_does_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  size_t before = node.cluster().proposals();
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(sql.handle(), "PRAGMA wal_checkpoint(FULL)", -1, &statement, nullptr);
  sqlite3_finalize(statement);
  sql.run("EXPLAIN PRAGMA wal_checkpoint(FULL)");
  CHECK_EQUAL(before, node.cluster().proposals());
}

TEST(Pragma, V_D1_automatic_requests_after_a_thousand_frames_cost_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("PRAGMA page_size = 512; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  sql.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
      "INSERT INTO t SELECT i, hex(zeroblob(700)) FROM n");  // more than 1000 frames
  STRCMP_EQUAL("1000", sql.value("PRAGMA wal_autocheckpoint").c_str());
  sql.value("SELECT sum(length(x)) FROM t");
  int misses = 0;
  int ignored = 0;
  sqlite3_db_status(sql.handle(), SQLITE_DBSTATUS_CACHE_MISS, &misses, &ignored, 1);
  size_t before = node.cluster().proposals();
  for (int i = 0; i < 100; i++) sql.run("UPDATE t SET x = x WHERE id = 7");
  sql.value("SELECT sum(length(x)) FROM t");
  sqlite3_db_status(sql.handle(), SQLITE_DBSTATUS_CACHE_MISS, &misses, &ignored, 0);
  CHECK_EQUAL(0, misses);
  CHECK(node.cluster().proposals() <= before + 100 + 3);  // and no checkpoint for each of them
}

TEST(Pragma, V_D1_a_checkpoint_inside_a_transaction_is_refused_as_ever) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1)");
  CHECK_EQUAL(SQLITE_LOCKED, sql.attempt("PRAGMA wal_checkpoint") & 0xff);
  sql.run("COMMIT");
}

TEST(Pragma, V_D1_a_checkpoint_on_a_node_without_a_leader_says_busy) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  node.cluster().lose_leadership(false);
  STRCMP_EQUAL("1", sql.value("PRAGMA wal_checkpoint(FULL)").c_str());
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Pragma, V_D4_settings_of_start_up_blocks_are_answered_and_change_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  for (int round = 0; round < 2; round++) {
    STRCMP_EQUAL("wal", sql.value("PRAGMA journal_mode").c_str());
    STRCMP_EQUAL("wal", sql.value("PRAGMA journal_mode = DELETE").c_str());
    STRCMP_EQUAL("wal", sql.value("PRAGMA main.journal_mode = MEMORY").c_str());
    STRCMP_EQUAL("normal", sql.value("PRAGMA locking_mode = EXCLUSIVE").c_str());
    STRCMP_EQUAL("0", sql.value("PRAGMA mmap_size = 268435456").c_str());
    sql.run("PRAGMA synchronous = OFF; PRAGMA busy_timeout = 1000; PRAGMA foreign_keys = ON");
    sql.run("CREATE TABLE t" + std::to_string(round) + "(x); INSERT INTO t" + std::to_string(round) +
            " VALUES(1)");
  }
  Sql other(node);
  STRCMP_EQUAL("1", other.value("SELECT count(*) FROM t0").c_str());
}

TEST(Pragma, V_D5_settings_without_a_schema_reach_an_attached_database_and_fail_closed) {
  TestNode node(directory.path());
  {
    Sql create(node);
    create.run("CREATE TABLE t(x)");
  }
  for (const char* setting : {"PRAGMA journal_mode = DELETE", "PRAGMA locking_mode = EXCLUSIVE"}) {
    Sql stock("file:" + plain.path() + "/main.db");
    stock.run("CREATE TABLE IF NOT EXISTS m(x)");
    stock.run("ATTACH 'file:" + directory.path() + "/app.db?vfs=dqlite' AS replicated");
    (void)stock.attempt(setting);
    int code = stock.attempt("INSERT INTO replicated.t VALUES(1)");
    CHECK_TRUE(code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY);
    // Whatever it answered: what it wrote is replicated, and others go on.
    Sql other(node);
    std::string count = other.value("SELECT count(*) FROM t");
    other.run("DELETE FROM t");
    STRCMP_EQUAL(code == SQLITE_OK ? "1" : "0", count.c_str());
  }
  Sql sql(node);
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(Pragma, V_D9_file_controls_that_would_reach_the_real_file_are_not_known) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  node.checkpoint();
  size_t size = file_content(directory.path() + "/app.db").size();
  int number = 1 << 20;
  CHECK_EQUAL(SQLITE_NOTFOUND, sqlite3_file_control(sql.handle(), "main", SQLITE_FCNTL_CHUNK_SIZE, &number));
  CHECK_EQUAL(SQLITE_NOTFOUND,
              sqlite3_file_control(sql.handle(), "main", SQLITE_FCNTL_LOCK_TIMEOUT, &number));
  sqlite3_int64 large = 1 << 20;
  CHECK_EQUAL(SQLITE_NOTFOUND, sqlite3_file_control(sql.handle(), "main", SQLITE_FCNTL_SIZE_HINT, &large));
  CHECK_EQUAL(SQLITE_NOTFOUND, sqlite3_file_control(sql.handle(), "main", SQLITE_FCNTL_MMAP_SIZE, &large));
  sql.run("INSERT INTO t VALUES(1)");
  node.checkpoint();
  CHECK_EQUAL(size, file_content(directory.path() + "/app.db").size());
}

TEST(Pragma, vacuum_rewrites_the_whole_database) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  sql.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
      "INSERT INTO t SELECT i, hex(zeroblob(500)) FROM n");
  node.checkpoint();
  sql.run("DELETE FROM t WHERE id > 20");
  size_t before = file_content(directory.path() + "/app.db").size();
  sql.run("VACUUM");
  Sql other(node);
  STRCMP_EQUAL("20", other.value("SELECT count(*) FROM t").c_str());
  node.checkpoint();
  CHECK(file_content(directory.path() + "/app.db").size() < before / 4);
  STRCMP_EQUAL("ok", other.value("PRAGMA integrity_check").c_str());
}
