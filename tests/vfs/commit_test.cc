// What COMMIT promises: durable and published, or refused with a code that says whether it took effect.

#include <filesystem>
#include <future>

#include "codec/command.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

constexpr const char* kSchema = "CREATE TABLE t(id INTEGER PRIMARY KEY, x)";

std::future<int> attempt_on_a_thread(Sql& sql, const std::string& text) {
  return std::async(std::launch::async, [&sql, text] { return sql.attempt(text); });
}

}  // namespace

TEST_GROUP(Commit) {
  TemporaryDirectory directory;

  // COMMIT of what `sql` has open is proposed, and then another leader overwrites it.
  int commit_and_overwrite(TestNode & node, Sql & sql, const std::string& commit = "COMMIT") {
    size_t before = node.cluster().proposals();
    node.cluster().pause();
    std::future<int> code = attempt_on_a_thread(sql, commit);
    node.cluster().wait_proposed(before + 1);
    node.cluster().lose_leadership(false);
    node.cluster().resume();
    int result = code.get();
    node.cluster().gain_leadership();
    return result;
  }
};

TEST(Commit, A1_a_transaction_of_an_old_term_is_refused_and_leaves_no_trace) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES('vanished')");
  node.cluster().lose_leadership(false);
  node.cluster().gain_leadership();
  size_t before = node.cluster().proposals();
  CHECK_EQUAL(kNotCommitted, sql.attempt("COMMIT"));
  CHECK_EQUAL(before, node.cluster().proposals());
  STRCMP_CONTAINS("lost its leadership", sql.sentence().c_str());
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
  sql.run("INSERT INTO t(x) VALUES('there')");
  STRCMP_EQUAL("1|there\n", sql.rows("SELECT * FROM t").c_str());
  Sql other(node);
  STRCMP_EQUAL("1|there\n", other.rows("SELECT * FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(Commit, A1_a_proposal_that_the_log_refuses_is_certainly_not_committed) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  node.cluster().commit_foreign(nullptr);  // a new term that the databases have not heard of
  node.cluster().wait_idle();
  CHECK_EQUAL(kNotCommitted, sql.attempt("INSERT INTO t(x) VALUES('vanished')"));
  node.cluster().lose_leadership(true);
  node.cluster().gain_leadership();
  sql.run("INSERT INTO t(x) VALUES('there')");
  STRCMP_EQUAL("1|there\n", sql.rows("SELECT * FROM t").c_str());
}

TEST(Commit, A5_replay_skips_for_each_database_what_its_own_file_has) {
  std::vector<LogEntry> log;
  {
    TestNode node(directory.path());
    Sql one(node, "one.db");
    Sql two(node, "two.db");
    one.run(kSchema);
    two.run(kSchema);
    for (int i = 0; i < 10; i++) {
      one.run("INSERT INTO t(x) VALUES(" + std::to_string(i) + ")");
      two.run("INSERT INTO t(x) VALUES(" + std::to_string(i) + ")");
    }
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    CHECK_TRUE(node.database("one.db").checkpoint(node.cluster().durable_index(), deadline).is_ok());
    one.run("UPDATE t SET x = x + 100");
    two.run("UPDATE t SET x = x + 200");
    log = node.cluster().log();
  }
  TestNode node(directory.path(), log);
  Sql one(node, "one.db");
  Sql two(node, "two.db");
  STRCMP_EQUAL("10|1045", one.rows("SELECT count(*), sum(x) FROM t").substr(0, 7).c_str());
  STRCMP_EQUAL("10|2045", two.rows("SELECT count(*), sum(x) FROM t").substr(0, 7).c_str());
  one.run("INSERT INTO t(x) VALUES(1)");
  two.run("INSERT INTO t(x) VALUES(1)");
}

TEST(Commit, A7_a_write_transaction_without_changes_asks_whether_the_node_still_leads) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  size_t before = node.cluster().confirmations();
  sql.run("BEGIN IMMEDIATE; SELECT count(*) FROM t; COMMIT");
  CHECK_EQUAL(before + 1, node.cluster().confirmations());
  sql.run("INSERT INTO t VALUES(1, 'x')");
  sql.run("INSERT OR IGNORE INTO t VALUES(1, 'y')");
  CHECK_EQUAL(before + 2, node.cluster().confirmations());
  sql.run("BEGIN; SELECT * FROM t; COMMIT");  // a plain read asks nobody
  CHECK_EQUAL(before + 2, node.cluster().confirmations());
}

TEST(Commit, A7_a_deposed_leader_refuses_a_write_transaction_without_changes) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("INSERT INTO t VALUES(1, 'x')");
  node.cluster().refuse_confirmation(true);
  sql.run("BEGIN IMMEDIATE; SELECT * FROM t");
  CHECK_EQUAL(kNotCommitted, sql.attempt("COMMIT"));
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  CHECK_EQUAL(kNotCommitted, sql.attempt("INSERT OR IGNORE INTO t VALUES(1, 'y')"));
  node.cluster().refuse_confirmation(false);
  sql.run("INSERT OR IGNORE INTO t VALUES(1, 'y')");
  STRCMP_EQUAL("1|x\n", sql.rows("SELECT * FROM t").c_str());
}

TEST(Commit, A11_a_commit_of_unknown_outcome_ends_the_transaction_and_a_second_one_is_not_ok) {
  TestNode node(directory.path());
  Sql patient(node);
  patient.run(kSchema);
  Sql sql(node, "app.db", "&timeout=50");
  sql.run("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES('maybe')");
  node.cluster().pause();
  CHECK_EQUAL(kLeadershipLost, sql.attempt("COMMIT"));
  STRCMP_CONTAINS("may still be committed", sql.sentence().c_str());
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  CHECK_EQUAL(SQLITE_ERROR, sql.attempt("COMMIT"));
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
  // The turn stays taken until the outcome is known: nobody builds on what may vanish.
  sql.busy_timeout(0);
  CHECK_EQUAL(SQLITE_BUSY, sql.attempt("INSERT INTO t(x) VALUES('too early')"));
  node.cluster().resume();
  node.cluster().wait_idle();
  STRCMP_EQUAL("1|maybe\n", sql.rows("SELECT * FROM t").c_str());
  patient.run("INSERT INTO t(x) VALUES('after')");
  STRCMP_EQUAL("2", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Commit, A11_a_refused_commit_ends_the_transaction_and_a_second_one_is_not_ok) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("BEGIN; INSERT INTO t(x) VALUES('vanished')");
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite(node, sql));
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  CHECK_EQUAL(SQLITE_ERROR, sql.attempt("COMMIT"));
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Commit, A11_every_failure_at_commit_is_of_the_families_that_end_a_transaction) {
  // What a Status becomes when it reaches SQLite from COMMIT: IOERR with an extended code, or FULL.
  TestNode node(directory.path());
  Sql patient(node);
  patient.run(kSchema);
  Sql sql(node, "app.db", "&timeout=50");
  for (int way = 0; way < 4; way++) {
    sql.run("BEGIN IMMEDIATE");
    if (way != 3) sql.run("INSERT INTO t(x) VALUES('vanished')");
    int code = SQLITE_OK;
    switch (way) {
      case 0:
        code = commit_and_overwrite(node, sql);
        break;
      case 1:
        node.cluster().lose_leadership(false);
        node.cluster().wait_idle();
        code = sql.attempt("COMMIT");
        node.cluster().gain_leadership();
        break;
      case 2:
        node.cluster().pause();
        code = sql.attempt("COMMIT");
        node.cluster().lose_leadership(false);
        node.cluster().resume();
        node.cluster().gain_leadership();
        break;
      default:
        node.cluster().refuse_confirmation(true);
        code = sql.attempt("COMMIT");
        node.cluster().refuse_confirmation(false);
    }
    CHECK_EQUAL(SQLITE_IOERR, code & 0xff);
    CHECK_TRUE(code > 0xff);
    CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
    CHECK_EQUAL(SQLITE_ERROR, sql.attempt("COMMIT"));
  }
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Commit, B4_when_commit_returns_every_connection_sees_the_row_also_during_checkpoints) {
  TestNode node(directory.path());
  Sql writer(node);
  Sql reader(node);
  writer.run(kSchema);
  std::atomic<bool> stop{false};
  std::thread checkpoints([&] {
    while (!stop) {
      auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
      (void)node.databases().checkpoint_cluster(deadline);
    }
  });
  bool seen = true;
  for (int i = 1; i <= 200 && seen; i++) {
    seen = writer.attempt("INSERT INTO t(x) VALUES(randomblob(500))") == SQLITE_OK &&
           reader.value("SELECT count(*) FROM t") == std::to_string(i) &&
           writer.value("SELECT count(*) FROM t") == std::to_string(i);
  }
  stop = true;
  checkpoints.join();
  CHECK_TRUE(seen);
}

TEST(Commit, B11_nothing_vanished_is_visible_in_warm_caches_of_pooled_connections) {
  TestNode node(directory.path());
  Sql one(node);
  Sql two(node);
  Sql three(node);
  one.run(kSchema);
  one.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
      "INSERT INTO t SELECT i, 'old' FROM n");
  Sql* all[] = {&one, &two, &three};
  for (Sql* sql : all) STRCMP_EQUAL("200", sql->value("SELECT count(*) FROM t WHERE x = 'old'").c_str());

  CHECK_EQUAL(kNotCommitted, commit_and_overwrite(node, one, "UPDATE t SET x = 'vanished' WHERE id = 100"));
  for (Sql* sql : all) STRCMP_EQUAL("200", sql->value("SELECT count(*) FROM t WHERE x = 'old'").c_str());

  // A state of equal shape and equal frame count: only the header's salt tells them apart.
  two.run("UPDATE t SET x = 'kept' WHERE id = 101");
  for (Sql* sql : all) {
    STRCMP_EQUAL("old\nkept\n", sql->rows("SELECT x FROM t WHERE id IN (100, 101) ORDER BY id").c_str());
  }
  // And nothing built on the vanished state.
  one.run("UPDATE t SET x = x || '!' WHERE id IN (100, 101)");
  for (Sql* sql : all) {
    STRCMP_EQUAL("old!\nkept!\n", sql->rows("SELECT x FROM t WHERE id IN (100, 101) ORDER BY id").c_str());
    STRCMP_EQUAL("ok", sql->value("PRAGMA integrity_check").c_str());
  }
}

TEST(Commit, B11_a_spilled_transaction_that_vanished_leaves_nothing_in_the_private_index) {
  TestNode node(directory.path());
  Sql one(node);
  Sql two(node);
  one.run("PRAGMA cache_size = 3");
  one.run(kSchema);
  one.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
      "INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n");
  std::string before = dump(one);
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite(node, one, "UPDATE t SET x = 'vanished'"));
  STRCMP_EQUAL(before.c_str(), dump(one).c_str());
  one.run("BEGIN; UPDATE t SET x = 'rolled back'; ROLLBACK");
  STRCMP_EQUAL(before.c_str(), dump(one).c_str());
  two.run("UPDATE t SET x = 'two' WHERE id = 7");
  STRCMP_EQUAL(dump(two).c_str(), dump(one).c_str());
  one.run("UPDATE t SET x = 'one' WHERE id = 8");
  STRCMP_EQUAL(dump(two).c_str(), dump(one).c_str());
  STRCMP_EQUAL("ok", two.value("PRAGMA integrity_check").c_str());
}

TEST(Commit, B11_V_A6_a_failed_commit_beside_an_open_select_shows_nothing_of_itself) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("INSERT INTO t(x) VALUES('a'), ('b'), ('c')");
  sqlite3_stmt* select = nullptr;
  sqlite3_prepare_v2(sql.handle(), "SELECT x FROM t ORDER BY id", -1, &select, nullptr);
  CHECK_EQUAL(SQLITE_ROW, sqlite3_step(select));
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite(node, sql, "UPDATE t SET x = 'vanished'"));
  int code = sqlite3_step(select);
  if (code == SQLITE_ROW) {
    STRCMP_EQUAL("b", reinterpret_cast<const char*>(sqlite3_column_text(select, 0)));
  } else {
    CHECK_TRUE(code != SQLITE_DONE && code != SQLITE_OK);  // an error, not an early end
  }
  sqlite3_finalize(select);
  STRCMP_EQUAL("a\nb\nc\n", sql.rows("SELECT x FROM t ORDER BY id").c_str());
  sql.run("INSERT INTO t(x) VALUES('d')");
  STRCMP_EQUAL("4", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Commit, an_open_select_goes_on_across_the_own_commit_and_a_checkpoint) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("PRAGMA cache_size = 2");
  sql.run(kSchema);
  sql.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
      "INSERT INTO t SELECT i, hex(zeroblob(100)) FROM n");
  node.checkpoint();
  sqlite3_stmt* select = nullptr;
  sqlite3_prepare_v2(sql.handle(), "SELECT id FROM t ORDER BY id", -1, &select, nullptr);
  int rows = 0;
  while (sqlite3_step(select) == SQLITE_ROW) {
    rows++;
    if (rows % 50 == 0) {
      sql.run("UPDATE t SET x = hex(zeroblob(99)) WHERE id > 290");
      node.checkpoint();
    }
  }
  sqlite3_finalize(select);
  CHECK_EQUAL(300, rows);
}

// --- one entry for several databases ---

TEST_GROUP_BASE(CommitOfSeveral, TEST_GROUP_CppUTestGroupCommit) {
  std::unique_ptr<TestNode> node;
  std::unique_ptr<Sql> sql;

  void open(const std::string& main, const std::string& attached) {
    node = std::make_unique<TestNode>(directory.path());
    sql = std::make_unique<Sql>(*node, main);
    attach(*sql, attached);
    sql->run("CREATE TABLE main.m(x); CREATE TABLE two.n(x)");
  }
  void attach(Sql & to, const std::string& name) {
    to.run("ATTACH 'file:" + directory.path() + "/" + name + "?vfs=dqlite' AS two");
  }
  std::string counts() {
    return sql->rows("SELECT (SELECT count(*) FROM main.m), (SELECT count(*) FROM two.n)");
  }
  void teardown() override {
    sql.reset();
    node.reset();
  }
};

TEST(CommitOfSeveral, B14_two_databases_go_into_one_entry_in_either_order) {
  for (bool swapped : {false, true}) {
    open(swapped ? "b.db" : "a.db", swapped ? "a.db" : "b.db");
    size_t before = node->cluster().proposals();
    sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1); COMMIT");
    sql->run("BEGIN; INSERT INTO two.n VALUES(2); INSERT INTO main.m VALUES(2); COMMIT");
    CHECK_EQUAL(before + 2, node->cluster().proposals());
    STRCMP_EQUAL("2|2\n", counts().c_str());
    sql->run("DROP TABLE main.m; DROP TABLE two.n");
    teardown();
    std::filesystem::remove_all(directory.path());
    std::filesystem::create_directory(directory.path());
  }
}

TEST(CommitOfSeveral, B14_a_failure_rolls_back_both) {
  for (bool swapped : {false, true}) {
    open(swapped ? "b.db" : "a.db", swapped ? "a.db" : "b.db");
    sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1)");
    CHECK_EQUAL(kNotCommitted, commit_and_overwrite(*node, *sql));
    STRCMP_CONTAINS("overwritten by a new leader", sql->sentence().c_str());
    STRCMP_EQUAL("0|0\n", counts().c_str());
    CHECK_EQUAL(SQLITE_ERROR, sql->attempt("COMMIT"));
    sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1); COMMIT");
    STRCMP_EQUAL("1|1\n", counts().c_str());
    STRCMP_EQUAL("ok", sql->value("PRAGMA main.integrity_check").c_str());
    STRCMP_EQUAL("ok", sql->value("PRAGMA two.integrity_check").c_str());
    teardown();
    std::filesystem::remove_all(directory.path());
    std::filesystem::create_directory(directory.path());
  }
}

TEST(CommitOfSeveral, B14_a_failure_beside_an_open_select_shows_nothing_of_itself_in_any_database) {
  open("a.db", "b.db");
  sql->run("INSERT INTO main.m VALUES(0); INSERT INTO two.n VALUES(0), (0), (0)");
  sqlite3_stmt* select = nullptr;
  sqlite3_prepare_v2(sql->handle(), "SELECT x FROM two.n", -1, &select, nullptr);
  CHECK_EQUAL(SQLITE_ROW, sqlite3_step(select));
  sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1)");
  CHECK_EQUAL(kNotCommitted, commit_and_overwrite(*node, *sql));
  // The snapshot of the open SELECT lasts.
  STRCMP_EQUAL("3", sql->value("SELECT count(*) FROM two.n").c_str());
  sqlite3_finalize(select);
  STRCMP_EQUAL("1|3\n", counts().c_str());
  sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1); COMMIT");
  STRCMP_EQUAL("2|4\n", counts().c_str());
  STRCMP_EQUAL("ok", sql->value("PRAGMA two.integrity_check").c_str());
}

TEST(CommitOfSeveral, B14_a_commit_that_changed_one_of_two_locked_databases_is_not_refused_afterwards) {
  for (bool change_main : {true, false}) {
    open("a.db", "b.db");
    node->cluster().refuse_confirmation(true);
    sql->run("BEGIN IMMEDIATE");  // takes WRITE on both
    sql->run(change_main ? "INSERT INTO main.m VALUES(1)" : "INSERT INTO two.n VALUES(1)");
    CHECK_EQUAL(SQLITE_OK, sql->attempt("COMMIT"));
    STRCMP_EQUAL(change_main ? "1|0\n" : "0|1\n", counts().c_str());
    node->cluster().refuse_confirmation(false);
    teardown();
    std::filesystem::remove_all(directory.path());
    std::filesystem::create_directory(directory.path());
  }
}

TEST(CommitOfSeveral, A1_B14_a_database_locked_in_an_old_term_refuses_the_commit_also_unchanged) {
  open("a.db", "b.db");
  sql->run("BEGIN; UPDATE two.n SET x = 1");  // WRITE on `two`, nothing changed
  node->cluster().lose_leadership(false);
  node->cluster().gain_leadership();
  sql->run("INSERT INTO main.m SELECT count(*) FROM two.n");
  CHECK_EQUAL(kNotCommitted, sql->attempt("COMMIT"));
  STRCMP_EQUAL("0|0\n", counts().c_str());
}

TEST(CommitOfSeveral, B14_two_connections_that_want_each_others_turn_end_with_busy) {
  open("a.db", "b.db");
  Sql other(*node, "b.db");
  attach(other, "a.db");
  other.busy_timeout(30);
  sql->busy_timeout(30);
  sql->run("BEGIN; INSERT INTO main.m VALUES(1)");
  other.run("BEGIN; INSERT INTO main.n VALUES(1)");
  CHECK_EQUAL(SQLITE_BUSY, sql->attempt("INSERT INTO two.n VALUES(1)") & 0xff);
  other.run("ROLLBACK");
  sql->run("INSERT INTO two.n VALUES(1)");
  sql->run("COMMIT");
  STRCMP_EQUAL("1|1\n", counts().c_str());
}

TEST(CommitOfSeveral, an_entry_of_two_databases_reaches_a_restarted_node_whole) {
  open("a.db", "b.db");
  for (int i = 0; i < 5; i++) {
    sql->run("BEGIN; INSERT INTO main.m VALUES(1); INSERT INTO two.n VALUES(1); COMMIT");
  }
  std::vector<LogEntry> log = node->cluster().log();
  teardown();
  node = std::make_unique<TestNode>(directory.path(), log);
  sql = std::make_unique<Sql>(*node, "a.db");
  attach(*sql, "b.db");
  STRCMP_EQUAL("5|5\n", counts().c_str());
}

// --- a node that does not lead ---

TEST(Commit, a_write_on_a_follower_fails_at_once_and_changes_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  node.cluster().lose_leadership(false);
  node.cluster().wait_idle();
  CHECK_EQUAL(kNotLeader, sql.attempt("INSERT INTO t(x) VALUES(1)"));
  STRCMP_EQUAL("attempt to write a readonly database", sql.error().c_str());
  STRCMP_CONTAINS("127.0.0.1:9999", sql.sentence().c_str());
  CHECK_EQUAL(kNotLeader, sql.attempt("BEGIN IMMEDIATE"));
  CHECK_EQUAL(1, sqlite3_get_autocommit(sql.handle()));
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM t").c_str());
  node.cluster().set_standing(Standing::kLeaderless);
  sql.busy_timeout(0);
  CHECK_EQUAL(kNoQuorum, sql.attempt("INSERT INTO t(x) VALUES(1)"));
  node.cluster().set_standing(Standing::kFailed);
  CHECK_EQUAL(kNodeFailed, sql.attempt("INSERT INTO t(x) VALUES(1)"));
  node.cluster().set_standing(Standing::kJoining);
  CHECK_EQUAL(kNoQuorum, sql.attempt("INSERT INTO t(x) VALUES(1)"));
  node.cluster().gain_leadership();
  sql.run("INSERT INTO t(x) VALUES(1)");
}

TEST(Commit, an_entry_of_another_leader_is_seen_by_every_connection) {
  // The other leader: a node fed with the same log that goes on by itself.
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("INSERT INTO t(x) VALUES('ours')");
  TemporaryDirectory elsewhere;
  TestNode leader(elsewhere.path(), node.cluster().log());
  Sql on_leader(leader);
  on_leader.run("INSERT INTO t(x) VALUES('theirs')");
  std::vector<LogEntry> log = leader.cluster().log();
  node.cluster().lose_leadership(false);
  STRCMP_EQUAL("1", sql.value("SELECT count(*) FROM t").c_str());
  node.cluster().commit_foreign(log[log.size() - 2].payload);
  node.cluster().commit_foreign(log.back().payload);
  node.cluster().wait_idle();
  STRCMP_EQUAL("ours\ntheirs\n", sql.rows("SELECT x FROM t ORDER BY id").c_str());
  node.cluster().gain_leadership();
  sql.run("INSERT INTO t(x) VALUES('ours again')");
  STRCMP_EQUAL("3", sql.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(Commit, an_update_that_changes_no_byte_is_an_entry_like_any_other) {
  TemporaryDirectory elsewhere;
  TestNode node(directory.path());
  Sql sql(node);
  sql.run(kSchema);
  sql.run("INSERT INTO t(x) VALUES('same')");
  {
    TestNode follower(elsewhere.path(), node.cluster().log());
    follower.checkpoint();
  }
  sql.run("UPDATE t SET x = 'same'");
  uint64_t index = node.database().committed().mark.index;
  node.checkpoint();
  TestNode follower(elsewhere.path(), node.cluster().log());
  CHECK_EQUAL(index, follower.database().committed().mark.index);
  follower.checkpoint();
  CHECK_EQUAL(index, follower.database().committed().file->record().index);
  CHECK_TRUE(file_content(node.directory() + "/app.db") == file_content(follower.directory() + "/app.db"));
}
