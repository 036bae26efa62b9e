// Transactions over replicated databases and plain files at once.

#include <future>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(CommitBesideStock) {
  TemporaryDirectory directory;
  TemporaryDirectory plain;
  std::unique_ptr<TestNode> node;
  std::unique_ptr<Sql> sql;

  void open(int stock_attached, const std::string& timeout_ms = "5000") {
    node = std::make_unique<TestNode>(directory.path());
    {
      Sql create(*node);
      create.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    }
    sql = std::make_unique<Sql>("file:" + plain.path() + "/main.db");
    sql->run("CREATE TABLE m(x)");
    for (int i = 0; i < stock_attached; i++) {
      std::string name = "stock" + std::to_string(i);
      sql->run("ATTACH '" + plain.path() + "/" + name + ".db' AS " + name);
      sql->run("CREATE TABLE " + name + ".m(x)");
    }
    sql->run("ATTACH 'file:" + directory.path() + "/app.db?vfs=dqlite&timeout=" + timeout_ms +
             "' AS replicated");
  }
  // Main is replicated; so are `others`, attached; two plain files make SQLite use a super-journal.
  void open_replicated(const std::vector<std::string>& others) {
    node = std::make_unique<TestNode>(directory.path());
    sql = std::make_unique<Sql>(*node);
    sql->run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    for (const std::string& name : others) attach(name);
    for (const std::string name : {"stock0", "stock1"}) {
      sql->run("ATTACH 'file:" + plain.path() + "/" + name + ".db?vfs=unix' AS " + name);
      sql->run("CREATE TABLE " + name + ".m(x)");
    }
  }
  void attach(const std::string& name) {
    sql->run("ATTACH 'file:" + directory.path() + "/" + name + ".db?vfs=dqlite' AS " + name);
    sql->run("CREATE TABLE " + name + ".m(x)");
  }
  // COMMIT of what is open is proposed, and then another leader overwrites it.
  int commit_and_overwrite() {
    const size_t before = node->cluster().proposals();
    node->cluster().pause();
    std::future<int> code = std::async(std::launch::async, [this] { return sql->attempt("COMMIT"); });
    node->cluster().wait_proposed(before + 1);
    node->cluster().lose_leadership(false);
    node->cluster().resume();
    const int result = code.get();
    node->cluster().gain_leadership();
    return result;
  }
  // The rows of the tables m of these schemas, and of t in main or `replicated`.
  std::string rows_of(const std::vector<std::string>& tables) {
    std::string all;
    for (const std::string& table : tables) all += sql->value("SELECT count(*) FROM " + table) + "|";
    return all;
  }
  void insert(int stock_attached) {
    sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO replicated.t(x) VALUES(1)");
    for (int i = 0; i < stock_attached; i++) {
      sql->run("INSERT INTO stock" + std::to_string(i) + ".m VALUES(1)");
    }
  }
  std::string counts(int stock_attached) {
    std::string all =
        sql->value("SELECT count(*) FROM replicated.t") + "|" + sql->value("SELECT count(*) FROM main.m");
    for (int i = 0; i < stock_attached; i++) {
      all += "|" + sql->value("SELECT count(*) FROM stock" + std::to_string(i) + ".m");
    }
    return all;
  }
  void teardown() override {
    sql.reset();
    node.reset();
  }
};

TEST(CommitBesideStock, V_A3_a_majority_that_is_not_there_rolls_back_the_stock_files_too) {
  open(2, "50");
  insert(2);
  node->cluster().pause();
  CHECK_EQUAL(kLeadershipLost, sql->attempt("COMMIT"));
  node->cluster().lose_leadership(false);
  node->cluster().resume();
  node->cluster().gain_leadership();
  STRCMP_EQUAL("0|0|0|0", counts(2).c_str());
}

TEST(CommitBesideStock, V_A3_with_a_majority_all_of_them_commit) {
  open(2);
  insert(2);
  sql->run("COMMIT");
  STRCMP_EQUAL("1|1|1|1", counts(2).c_str());
}

TEST(CommitBesideStock, V_A3_a_refused_commit_rolls_back_a_single_stock_main_too) {
  open(0);
  insert(0);
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_EQUAL("0|0", counts(0).c_str());
  CHECK_EQUAL(SQLITE_ERROR, sql->attempt("COMMIT"));
  insert(0);
  sql->run("COMMIT");
  STRCMP_EQUAL("1|1", counts(0).c_str());
  STRCMP_EQUAL("ok", sql->value("PRAGMA replicated.integrity_check").c_str());
  // Also when nothing in the stock file changes, and by itself.
  sql->run("INSERT INTO replicated.t(x) VALUES(2)");
  STRCMP_EQUAL("2|1", counts(0).c_str());
  Sql other(*node);
  STRCMP_EQUAL("2", other.value("SELECT count(*) FROM t").c_str());
}

// --- with a replicated main, the commit point is the deletion of SQLite's super-journal ---

TEST(CommitBesideStock,
     V_A3_a_refused_commit_under_a_super_journal_rolls_back_a_replicated_main_and_the_rest) {
  open_replicated({});
  sql->run(
      "BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO stock0.m VALUES(1); INSERT INTO stock1.m VALUES(1)");
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_CONTAINS("overwritten by a new leader", sql->sentence().c_str());
  STRCMP_EQUAL("0|0|0|", rows_of({"t", "stock0.m", "stock1.m"}).c_str());
  sql->run(
      "BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO stock0.m VALUES(1); INSERT INTO stock1.m VALUES(1)");
  sql->run("COMMIT");
  STRCMP_EQUAL("1|1|1|", rows_of({"t", "stock0.m", "stock1.m"}).c_str());
  STRCMP_EQUAL("ok", sql->value("PRAGMA main.integrity_check").c_str());
  Sql other(*node);
  STRCMP_EQUAL("1", other.value("SELECT count(*) FROM t").c_str());
}

TEST(CommitBesideStock, V_A3_B14_under_a_super_journal_several_replicated_databases_are_one_entry) {
  open_replicated({"two"});
  const std::string insert_all =
      "BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO two.m VALUES(1);"
      "INSERT INTO stock0.m VALUES(1); INSERT INTO stock1.m VALUES(1)";
  sql->run(insert_all);
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_EQUAL("0|0|0|0|", rows_of({"t", "two.m", "stock0.m", "stock1.m"}).c_str());
  const size_t before = node->cluster().proposals();
  sql->run(insert_all + "; COMMIT");
  CHECK_EQUAL(before + 1, node->cluster().proposals());
  STRCMP_EQUAL("1|1|1|1|", rows_of({"t", "two.m", "stock0.m", "stock1.m"}).c_str());
}

TEST(CommitBesideStock, V_A3_a_rollback_that_meets_an_old_super_journal_commits_nothing) {
  open_replicated({});
  sql->run(
      "BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO stock0.m VALUES(1); INSERT INTO stock1.m VALUES(1)");
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  const size_t before = node->cluster().proposals();
  sql->run("BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO stock0.m VALUES(1); ROLLBACK");
  CHECK_EQUAL(before, node->cluster().proposals());
  STRCMP_EQUAL("0|0|0|", rows_of({"t", "stock0.m", "stock1.m"}).c_str());
}

TEST(CommitBesideStock, V_A3_a_refused_commit_under_a_super_journal_shows_nothing_beside_an_open_select) {
  open_replicated({"two"});
  sql->run("INSERT INTO t(x) VALUES(0); INSERT INTO two.m VALUES(0), (0)");
  sqlite3_stmt* selects[2] = {};
  sqlite3_prepare_v2(sql->handle(), "SELECT x FROM t", -1, &selects[0], nullptr);
  sqlite3_prepare_v2(sql->handle(), "SELECT x FROM two.m", -1, &selects[1], nullptr);
  for (sqlite3_stmt* select : selects) CHECK_EQUAL(SQLITE_ROW, sqlite3_step(select));
  sql->run("BEGIN; INSERT INTO t(x) VALUES(1); INSERT INTO two.m VALUES(1)");
  sql->run("INSERT INTO stock0.m VALUES(1); INSERT INTO stock1.m VALUES(1)");
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_EQUAL("1|2|0|0|", rows_of({"t", "two.m", "stock0.m", "stock1.m"}).c_str());
  for (sqlite3_stmt* select : selects) sqlite3_finalize(select);
  STRCMP_EQUAL("1|2|0|0|", rows_of({"t", "two.m", "stock0.m", "stock1.m"}).c_str());
}

// --- two replicated databases under another main ---

TEST(CommitBesideStock, B14_two_replicated_databases_beside_a_main_in_memory_are_one_entry) {
  node = std::make_unique<TestNode>(directory.path());
  sql = std::make_unique<Sql>("file::memory:");
  sql->run("CREATE TABLE m(x)");
  attach("one");
  attach("two");
  const std::string insert_all =
      "BEGIN; INSERT INTO m VALUES(1); INSERT INTO one.m VALUES(1); INSERT INTO two.m VALUES(1)";
  sql->run(insert_all);
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_EQUAL("0|0|", rows_of({"one.m", "two.m"}).c_str());
  const size_t before = node->cluster().proposals();
  sql->run(insert_all + "; COMMIT");
  CHECK_EQUAL(before + 1, node->cluster().proposals());
  STRCMP_EQUAL("1|1|", rows_of({"one.m", "two.m"}).c_str());
}

TEST(CommitBesideStock, B14_two_replicated_databases_beside_a_plain_main_are_one_entry) {
  open(0);
  attach("two");
  const std::string insert_all =
      "BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO replicated.t(x) VALUES(1); INSERT INTO two.m "
      "VALUES(1)";
  sql->run(insert_all);
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite());
  STRCMP_EQUAL("0|0|", rows_of({"replicated.t", "two.m"}).c_str());
  const size_t before = node->cluster().proposals();
  sql->run(insert_all + "; COMMIT");
  CHECK_EQUAL(before + 1, node->cluster().proposals());
  STRCMP_EQUAL("1|1|", rows_of({"replicated.t", "two.m"}).c_str());
}

TEST(CommitBesideStock, V_A3_several_plain_files_and_several_replicated_ones_are_refused_together) {
  open(1);
  attach("two");
  const size_t before = node->cluster().proposals();
  sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO stock0.m VALUES(1)");
  sql->run("INSERT INTO replicated.t(x) VALUES(1); INSERT INTO two.m VALUES(1)");
  CHECK_EQUAL(kNotCommitted, sql->attempt("COMMIT"));
  STRCMP_CONTAINS("open a replicated database as main", sql->sentence().c_str());
  CHECK_EQUAL(before, node->cluster().proposals());
  STRCMP_EQUAL("0|0|0|0|", rows_of({"main.m", "stock0.m", "replicated.t", "two.m"}).c_str());
  sql->run("BEGIN; INSERT INTO replicated.t(x) VALUES(1); INSERT INTO two.m VALUES(1); COMMIT");
  STRCMP_EQUAL("1|1|", rows_of({"replicated.t", "two.m"}).c_str());
}
