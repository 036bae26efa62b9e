// Which files are replicated, which go to the host's VFS, and what is refused at an open.

#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(Open) {
  TemporaryDirectory directory;
  TemporaryDirectory plain;
  std::unique_ptr<TestNode> node;

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
  }
  void teardown() override {
    TestProvider::instance().pretend_fork(false);
    node.reset();
  }

  void refused(const std::string& parameters, const char* sentence) {
    Sql sql("file:" + directory.path() + "/app.db?vfs=dqlite" + parameters);
    CHECK_EQUAL(SQLITE_CANTOPEN, sql.open_result() & 0xff);
    STRCMP_CONTAINS(sentence, last_error(nullptr).c_str());
  }
  // A plain SQLite file with a row, made by stock.
  void make_stock(const std::string& path, const char* row) {
    Sql stock("file:" + path);
    stock.run("CREATE TABLE s(x)");
    stock.run("INSERT INTO s VALUES('" + std::string(row) + "')");
  }
  bool there(const std::string& name) {
    return std::filesystem::exists(directory.path() + "/" + name);
  }
};

TEST(Open, V_C1_attach_without_vfs_is_a_plain_file_also_beside_the_database) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  size_t before = node->cluster().proposals();
  sql.run("ATTACH 'file:" + directory.path() + "/scratch.db' AS scratch");
  sql.run("CREATE TABLE scratch.s(x); INSERT INTO scratch.s VALUES('plain')");
  CHECK_EQUAL(before, node->cluster().proposals());
  CHECK_FALSE(node->databases().knows("scratch.db"));
  sql.run("DETACH scratch");
  Sql stock(stock_uri(*node, "scratch.db"));
  STRCMP_EQUAL("plain", stock.value("SELECT x FROM s").c_str());
  stock.run("INSERT INTO s VALUES('written')");
}

TEST(Open, V_C1_vacuum_into_makes_a_plain_copy) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES('copied')");
  sql.run("VACUUM INTO '" + directory.path() + "/backup.db'");
  CHECK_FALSE(node->databases().knows("backup.db"));
  Sql stock(stock_uri(*node, "backup.db"));
  STRCMP_EQUAL("copied", stock.value("SELECT x FROM t").c_str());
  stock.run("INSERT INTO t VALUES(1)");
  sql.run("VACUUM INTO '" + plain.path() + "/elsewhere.db'");
  CHECK_TRUE(std::filesystem::exists(plain.path() + "/elsewhere.db"));
}

TEST(Open, V_C1_temporary_and_memory_databases_are_the_hosts) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  size_t before = node->cluster().proposals();
  sql.run("ATTACH '' AS empty; CREATE TABLE empty.e(x); INSERT INTO empty.e VALUES(1)");
  sql.run("ATTACH ':memory:' AS memory; CREATE TABLE memory.m(x); INSERT INTO memory.m VALUES(2)");
  sql.run("PRAGMA temp_store = FILE; CREATE TEMP TABLE p(x); INSERT INTO p VALUES(zeroblob(3000000))");
  CHECK_EQUAL(before, node->cluster().proposals());
  STRCMP_EQUAL("1|2\n", sql.rows("SELECT (SELECT x FROM e), (SELECT x FROM m)").c_str());
  // A transaction over a replicated and other databases.
  sql.run("BEGIN; INSERT INTO t VALUES(1); INSERT INTO e VALUES(1); INSERT INTO m VALUES(1); COMMIT");
  CHECK_EQUAL(before + 1, node->cluster().proposals());
}

TEST(Open, V_C1_attach_of_a_known_database_by_its_plain_name_is_the_replicated_one) {
  Sql other(*node, "other.db");
  other.run("CREATE TABLE o(x)");
  Sql sql(*node);
  sql.run("ATTACH '" + directory.path() + "/other.db' AS other; INSERT INTO other.o VALUES('seen')");
  STRCMP_EQUAL("seen", other.value("SELECT x FROM o").c_str());
}

TEST(Open, V_C1_a_second_database_attached_with_vfs_is_replicated) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  sql.run("ATTACH 'file:" + directory.path() + "/second.db?vfs=dqlite' AS second");
  sql.run("CREATE TABLE second.s(x)");
  CHECK_TRUE(node->databases().knows("second.db"));
}

TEST(Open, V_C3_immutable_and_nolock_are_refused_with_a_sentence) {
  refused("&immutable=1", "immutable=1 would read the file behind the cluster's back");
  refused("&nolock=1", "nolock=1 would read the file behind the cluster's back");
}

TEST(Open, V_C4_a_shared_cache_is_refused) {
  Sql sql("file:" + directory.path() + "/app.db?vfs=dqlite&cache=shared");
  CHECK_EQUAL(SQLITE_CANTOPEN, sql.open_result() & 0xff);
  STRCMP_CONTAINS("cache=shared is not possible", last_error(nullptr).c_str());
}

TEST(Open, V_C4_a_shared_cache_that_the_host_switched_on_for_all_shows_committed_rows_only) {
  sqlite3_enable_shared_cache(1);
  {
    Sql one(*node);
    Sql two(*node);
    one.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    STRCMP_EQUAL("1", two.value("SELECT count(*) FROM t").c_str());
    one.run("BEGIN IMMEDIATE; INSERT INTO t VALUES(2)");
    two.busy_timeout(0);
    CHECK_FALSE(two.attempt("INSERT INTO t VALUES(3)") == SQLITE_OK);
    one.run("COMMIT");
    two.run("INSERT INTO t VALUES(3)");
    STRCMP_EQUAL("3", one.value("SELECT count(*) FROM t").c_str());
  }
  sqlite3_enable_shared_cache(0);
  Sql sql(*node);
  STRCMP_EQUAL("3", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Open, parameters_out_of_range_are_refused_with_the_range) {
  refused("&page_size=1000", "expected a power of two from 512 to 65536");
  refused("&page_size=x", "page_size=x in the URI: expected a whole number");
  refused("&timeout=0", "timeout=0 in the URI: expected a whole number from 1");
  refused("&timeout=5s", "timeout=5s");
}

TEST(Open, a_page_size_that_differs_from_the_databases_is_refused) {
  {
    Sql sql(*node, "app.db", "&page_size=8192");
    sql.run("CREATE TABLE t(x)");
  }
  refused("&page_size=4096", "has pages of 8192 bytes");
}

TEST(Open, names_that_belong_to_sqlite_are_refused) {
  for (const char* name : {"app.db-wal", "app.db-journal"}) {
    Sql sql("file:" + directory.path() + "/" + name + "?vfs=dqlite");
    CHECK_EQUAL(SQLITE_CANTOPEN, sql.open_result() & 0xff);
    STRCMP_CONTAINS("cannot be the name of a replicated database", last_error(nullptr).c_str());
  }
}

TEST(Open, V_C3_mode_ro_reads_and_never_writes_or_creates) {
  std::string uri = "file:" + directory.path() + "/app.db?vfs=dqlite&mode=ro";
  {
    Sql missing(uri);
    CHECK_EQUAL(SQLITE_CANTOPEN, missing.open_result() & 0xff);
    CHECK_FALSE(there("app.db"));
  }
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES('seen')");
  Sql reader(uri);
  CHECK_EQUAL(SQLITE_OK, reader.open_result());
  STRCMP_EQUAL("seen", reader.value("SELECT x FROM t").c_str());
  CHECK_EQUAL(SQLITE_READONLY, reader.attempt("DELETE FROM t") & 0xff);
  sql.run("INSERT INTO t VALUES('later')");
  STRCMP_EQUAL("2", reader.value("SELECT count(*) FROM t").c_str());
}

TEST(Open, B8_a_file_with_content_becomes_the_first_state_of_a_new_cluster) {
  make_stock(directory.path() + "/app.db", "before");
  std::vector<LogEntry> log;
  {
    Sql sql(*node);
    STRCMP_EQUAL("before", sql.value("SELECT x FROM s").c_str());
    sql.run("INSERT INTO s VALUES('after')");
    log = node->cluster().log();
    CHECK(node->database().committed().file->record().index >= 1);
  }
  node.reset();
  node = std::make_unique<TestNode>(directory.path(), log);
  Sql sql(*node);
  STRCMP_EQUAL("before\nafter\n", sql.rows("SELECT x FROM s ORDER BY rowid").c_str());
  node->checkpoint();
  Sql stock(stock_uri(*node));
  STRCMP_EQUAL("before\nafter\n", stock.rows("SELECT x FROM s ORDER BY rowid").c_str());
  STRCMP_EQUAL("ok", stock.value("PRAGMA integrity_check").c_str());
}

TEST(Open, B8_a_second_file_with_content_is_refused) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  make_stock(directory.path() + "/old.db", "old");
  CHECK_FALSE(sql.attempt("ATTACH 'file:" + directory.path() + "/old.db?vfs=dqlite' AS old") == SQLITE_OK);
  STRCMP_CONTAINS("has content", last_error(nullptr).c_str());
  // It can still be read, as the plain file that it is.
  sql.run("ATTACH 'file:" + directory.path() + "/old.db?vfs=unix' AS old; INSERT INTO t SELECT x FROM old.s");
  STRCMP_EQUAL("old", sql.value("SELECT x FROM t").c_str());
}

TEST(Open, V_D10_stock_databases_with_a_super_journal_stay_atomic_beside_a_replicated_main) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  for (const char* name : {"one", "two"}) {
    sql.run("ATTACH 'file:" + directory.path() + "/" + name + ".db' AS " + name);
    sql.run("CREATE TABLE " + std::string(name) + ".s(x)");
  }
  sql.run("BEGIN; INSERT INTO t VALUES(1); INSERT INTO one.s VALUES(1); INSERT INTO two.s VALUES(1); COMMIT");
  STRCMP_EQUAL("1|1|1\n", sql.rows("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM one.s),"
                                   " (SELECT count(*) FROM two.s)")
                              .c_str());
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    CHECK_TRUE(entry.path().filename().string().find("-mj") == std::string::npos);
    CHECK_FALSE(entry.path().filename() == "one.db-journal");
  }
}

TEST(Open, V_D10_a_hot_journal_of_an_attached_stock_file_is_rolled_back) {
  std::string path = directory.path() + "/stock.db";
  std::string hot = directory.path() + "/hot.db";
  {
    Sql stock("file:" + path);
    stock.run("CREATE TABLE s(x); PRAGMA cache_size = 2; PRAGMA cache_spill = 1");
    stock.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
        "INSERT INTO s SELECT hex(zeroblob(500)) FROM n");
    stock.run("BEGIN; UPDATE s SET x = 'torn'");
    // As a crash in the middle leaves them.
    std::filesystem::copy_file(path, hot);
    std::filesystem::copy_file(path + "-journal", hot + "-journal");
    stock.run("ROLLBACK");
  }
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); ATTACH 'file:" + hot + "' AS hot");
  STRCMP_EQUAL("0|200\n", sql.rows("SELECT sum(x = 'torn'), count(*) FROM hot.s").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA hot.integrity_check").c_str());
  CHECK_FALSE(std::filesystem::exists(hot + "-journal"));
}

TEST(Open, V_C6_threads_that_open_one_new_name_at_once_share_one_file_and_its_guard) {
  for (int round = 0; round < 20; round++) {
    const std::string name = "pool" + std::to_string(round) + ".db";
    std::vector<std::thread> threads;
    std::atomic<int> ready{0};
    std::atomic<int> failed{0};
    for (int i = 0; i < 4; i++) {
      threads.emplace_back([&] {
        ready++;
        while (ready < 4) std::this_thread::yield();
        if (!node->databases().open_database(name, true)) failed++;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_EQUAL(0, failed.load());
    // Stock SQLite is refused as long as the node lives.
    Sql stock("file:" + directory.path() + "/" + name + "?vfs=unix");
    stock.busy_timeout(0);
    CHECK_EQUAL(SQLITE_BUSY, stock.attempt("CREATE TABLE s(x)") & 0xff);
  }
}

TEST(Open, no_wal_or_shm_file_is_ever_made) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  node->checkpoint();
  for (const char* suffix : {"-wal", "-shm", "-journal"}) CHECK_FALSE(there("app.db" + std::string(suffix)));
}

TEST(Open, B6_in_a_forked_child_every_use_gets_an_error_and_nothing_hangs) {
  auto sql = std::make_unique<Sql>(*node);
  sql->run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  sqlite3_stmt* select = nullptr;
  sqlite3_prepare_v2(sql->handle(), "SELECT x FROM t", -1, &select, nullptr);
  TestProvider::instance().pretend_fork(true);
  CHECK_EQUAL(SQLITE_IOERR, sqlite3_step(select) & 0xff);
  sqlite3_finalize(select);
  CHECK_EQUAL(SQLITE_IOERR, sql->attempt("INSERT INTO t VALUES(2)") & 0xff);
  Sql another("file:" + directory.path() + "/app.db?vfs=dqlite");
  CHECK_EQUAL(SQLITE_CANTOPEN, another.open_result() & 0xff);
  TestProvider::instance().pretend_fork(false);
  STRCMP_EQUAL("1", sql->value("SELECT count(*) FROM t").c_str());
}
