// Who waits for the write turn, where, and that everybody gets it.

#include <future>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// A busy handler that sleeps by itself, not through the VFS.
int sleep_ten(void* calls, int) {
  ++*static_cast<int*>(calls);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return 1;
}

}  // namespace

TEST_GROUP(Waiting) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;
  std::atomic<bool> stop{false};
  std::vector<std::thread> background;
  std::atomic<int> failures{0};

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
    Sql sql(*node);
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  }
  void teardown() override {
    stop_writers();
    node.reset();
  }
  void start_writers(int count) {
    for (int i = 0; i < count; i++) {
      background.emplace_back([this] {
        Sql sql(*node);
        while (!stop) {
          if (sql.attempt("INSERT INTO t(x) VALUES('background')") != SQLITE_OK) failures++;
        }
      });
    }
  }
  void stop_writers() {
    stop = true;
    for (std::thread& thread : background) thread.join();
    background.clear();
  }
  void wait_for_waiters(size_t count) {
    while (node->database().turn().waiting() < count) std::this_thread::yield();
  }
};

TEST(Waiting, V_B1_a_busy_timeout_of_zero_returns_while_the_turn_is_held) {
  Sql holder(*node);
  Sql other(*node);  // in the same thread: any wait for the holder would never end
  other.busy_timeout(0);
  holder.run("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(1)");
  for (int i = 0; i < 3; i++) {
    CHECK_EQUAL(SQLITE_BUSY, other.attempt("INSERT INTO t(x) VALUES(2)"));
    CHECK_EQUAL(SQLITE_BUSY, other.attempt("BEGIN IMMEDIATE"));
  }
  holder.run("COMMIT");
  other.run("INSERT INTO t(x) VALUES(2)");
  STRCMP_EQUAL("2", other.value("SELECT count(*) FROM t").c_str());
}

TEST(Waiting, V_B1_two_connections_in_one_thread_do_not_deadlock) {
  Sql holder(*node);
  Sql other(*node);
  other.busy_timeout(60);
  holder.run("BEGIN IMMEDIATE");
  CHECK_EQUAL(SQLITE_BUSY, other.attempt("INSERT INTO t(x) VALUES(2)"));
  holder.run("INSERT INTO t(x) VALUES(1); COMMIT");
  other.run("INSERT INTO t(x) VALUES(2)");
}

TEST(Waiting, V_B1_a_waiter_gets_the_turn_when_the_holder_ends) {
  Sql holder(*node);
  Sql other(*node);
  for (const char* end : {"COMMIT", "ROLLBACK"}) {
    holder.run("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(1)");
    std::future<int> code =
        std::async(std::launch::async, [&] { return other.attempt("INSERT INTO t(x) VALUES(2)"); });
    wait_for_waiters(1);
    holder.run(end);
    CHECK_EQUAL(SQLITE_OK, code.get());
  }
}

TEST(Waiting, V_B3_a_plain_begin_whose_first_statement_writes_waits_like_autocommit) {
  Sql holder(*node);
  Sql other(*node);
  holder.run("BEGIN; INSERT INTO t(x) VALUES(1)");
  std::future<int> code = std::async(
      std::launch::async, [&] { return other.attempt("BEGIN; INSERT INTO t(x) VALUES(2); COMMIT"); });
  wait_for_waiters(1);
  holder.run("COMMIT");
  CHECK_EQUAL(SQLITE_OK, code.get());
  STRCMP_EQUAL("2", other.value("SELECT count(*) FROM t").c_str());
}

TEST(Waiting, V_B3_plain_begins_all_succeed_among_writers) {
  start_writers(3);
  Sql sql(*node);
  for (int i = 0; i < 30; i++) sql.run("BEGIN; INSERT INTO t(x) VALUES('deferred'); COMMIT");
  stop_writers();
  STRCMP_EQUAL("30", sql.value("SELECT count(*) FROM t WHERE x = 'deferred'").c_str());
  CHECK_EQUAL(0, failures.load());
}

TEST(Waiting, B1_V_B2_a_transaction_that_read_too_early_has_the_turn_kept_for_its_next_attempt) {
  Sql writer(*node);
  Sql deferred(*node);
  writer.busy_timeout(0);
  deferred.run("BEGIN; SELECT count(*) FROM t");
  writer.run("INSERT INTO t(x) VALUES(1)");
  CHECK_EQUAL(SQLITE_BUSY_SNAPSHOT, deferred.attempt("INSERT INTO t(x) VALUES(2)"));
  CHECK_EQUAL(0, sqlite3_get_autocommit(deferred.handle()));
  deferred.run("ROLLBACK");
  deferred.run("BEGIN; SELECT count(*) FROM t");
  CHECK_EQUAL(SQLITE_BUSY, writer.attempt("INSERT INTO t(x) VALUES(3)"));
  deferred.run("INSERT INTO t(x) VALUES(2); COMMIT");
  writer.busy_timeout(5000);
  writer.run("INSERT INTO t(x) VALUES(3)");
  STRCMP_EQUAL("3", writer.value("SELECT count(*) FROM t").c_str());
}

TEST(Waiting, B1_V_B2_transactions_that_read_and_then_write_do_not_starve) {
  start_writers(4);
  Sql sql(*node);
  int attempts = 0;
  int done = 0;
  while (done < 20 && attempts < 200) {
    attempts++;
    int code = sql.attempt("BEGIN; SELECT count(*) FROM t; INSERT INTO t(x) VALUES('deferred'); COMMIT");
    if (code == SQLITE_OK) {
      done++;
      continue;
    }
    CHECK_EQUAL(SQLITE_BUSY, code & 0xff);
    sql.run("ROLLBACK");
  }
  stop_writers();
  CHECK_EQUAL(20, done);
  CHECK_TRUE(attempts <= 80);  // two each, were the reservation never missed
  CHECK_EQUAL(0, failures.load());
}

TEST(Waiting, B1_a_transaction_that_only_reads_after_a_refusal_does_not_keep_the_turn) {
  Sql writer(*node);
  Sql deferred(*node);
  deferred.run("BEGIN; SELECT count(*) FROM t");
  writer.run("INSERT INTO t(x) VALUES(1)");
  CHECK_EQUAL(SQLITE_BUSY_SNAPSHOT, deferred.attempt("INSERT INTO t(x) VALUES(2)"));
  deferred.run("ROLLBACK");
  deferred.run("BEGIN; SELECT count(*) FROM t");  // has the turn, and does not use it
  writer.busy_timeout(0);
  CHECK_EQUAL(SQLITE_BUSY, writer.attempt("INSERT INTO t(x) VALUES(1)"));
  deferred.run("COMMIT");
  for (int i = 0; i < 5; i++) {
    deferred.run("BEGIN; SELECT count(*) FROM t; COMMIT");
    writer.run("INSERT INTO t(x) VALUES(1)");
  }
}

TEST(Waiting, V_B4_a_busy_handler_that_sleeps_by_itself_gets_through) {
  start_writers(4);
  Sql sql(*node);
  int calls = 0;
  sqlite3_busy_handler(sql.handle(), sleep_ten, &calls);
  for (int i = 0; i < 15; i++) sql.run("INSERT INTO t(x) VALUES('patient')");
  stop_writers();
  CHECK_TRUE(calls <= 150);
  CHECK_EQUAL(0, failures.load());
}

TEST(Waiting, V_B4_a_writer_whose_main_database_is_on_another_vfs_gets_through) {
  start_writers(3);
  Sql sql(":memory:");
  sql.busy_timeout(5000);
  sql.run("ATTACH 'file:" + directory.path() + "/app.db?vfs=dqlite' AS replicated");
  for (int i = 0; i < 15; i++) sql.run("INSERT INTO replicated.t(x) VALUES('attached')");
  stop_writers();
  CHECK_EQUAL(0, failures.load());
}

TEST(Waiting, A10_a_select_after_a_refused_insert_sees_committed_rows_only) {
  Sql holder(*node);
  Sql other(*node);
  other.busy_timeout(0);
  holder.run("INSERT INTO t(x) VALUES(1)");
  holder.run("BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(2)");
  CHECK_EQUAL(SQLITE_BUSY, other.attempt("INSERT INTO t(x) VALUES(3)"));
  STRCMP_EQUAL("1", other.value("SELECT count(*) FROM t").c_str());
  // Proposed and not yet committed is not committed either.
  size_t before = node->cluster().proposals();
  node->cluster().pause();
  std::future<int> code = std::async(std::launch::async, [&] { return holder.attempt("COMMIT"); });
  node->cluster().wait_proposed(before + 1);
  CHECK_EQUAL(SQLITE_BUSY, other.attempt("INSERT INTO t(x) VALUES(3)"));
  STRCMP_EQUAL("1", other.value("SELECT count(*) FROM t").c_str());
  node->cluster().resume();
  CHECK_EQUAL(SQLITE_OK, code.get());
  STRCMP_EQUAL("2", other.value("SELECT count(*) FROM t").c_str());
}

TEST(Waiting, V_A4_nothing_that_is_not_committed_shows_in_constraints_or_locked_reads) {
  Sql holder(*node);
  Sql other(*node);
  other.busy_timeout(0);
  size_t before = node->cluster().proposals();
  node->cluster().pause();
  std::future<int> code =
      std::async(std::launch::async, [&] { return holder.attempt("INSERT INTO t VALUES(7, 'maybe')"); });
  node->cluster().wait_proposed(before + 1);
  CHECK_EQUAL(SQLITE_BUSY, other.attempt("BEGIN IMMEDIATE"));
  CHECK_EQUAL(SQLITE_BUSY, other.attempt("INSERT INTO t VALUES(7, 'other')"));
  node->cluster().lose_leadership(false);
  node->cluster().resume();
  CHECK_EQUAL(kNotCommitted, code.get());
  node->cluster().gain_leadership();
  other.run("INSERT INTO t VALUES(7, 'other')");
  STRCMP_EQUAL("other", holder.value("SELECT x FROM t WHERE id = 7").c_str());
}

TEST(Waiting, lost_leadership_wakes_those_in_line_and_each_is_told) {
  Sql holder(*node);
  holder.run("BEGIN IMMEDIATE");
  std::vector<std::unique_ptr<Sql>> others;
  std::vector<std::future<int>> codes;
  for (int i = 0; i < 3; i++) {
    others.push_back(std::make_unique<Sql>(*node));
    others.back()->busy_timeout(600000);
    codes.push_back(std::async(std::launch::async, [sql = others.back().get()] {
      return sql->attempt("INSERT INTO t(x) VALUES(2)");
    }));
  }
  wait_for_waiters(3);
  node->cluster().lose_leadership(false);
  for (std::future<int>& code : codes) CHECK_EQUAL(kNotLeader, code.get());
  holder.run("ROLLBACK");
}
