// COMMIT in parts: the transaction takes effect with its last entry or leaves no trace, whatever leaders do in between, and
// COMMIT tells which.

#include <algorithm>
#include <future>

#include "codec/command.h"
#include "tests/vfs/parts_fixture.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP_BASE(Parts, PartsFixture){};

TEST(Parts, B13_a_large_transaction_goes_out_in_parts_and_a_small_one_in_one_entry) {
  const std::vector<LogEntry> log = log_with_parts();
  const Kinds kinds = kinds_of(log);
  STRCMP_EQUAL("ndttppppppc", kinds.c_str());
  for (const LogEntry& entry : log)
    CHECK(entry.payload == nullptr || entry.payload->size() < 9000 + 2 * 4200);
  auto follower = node_in(elsewhere, log);
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
}

TEST(Parts, readers_see_the_old_state_until_the_closing_entry) {
  const std::vector<LogEntry> log = log_with_parts();
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 4).is_ok());
  Sql reader(*follower);
  for (size_t i = 5; i < log.size(); i++) {
    CHECK_TRUE(apply(*follower, log, i, i).is_ok());
    STRCMP_EQUAL("1000|old\n", reader.rows("SELECT * FROM t").c_str());
    CHECK_EQUAL(4U, follower->databases().settled_point().index);
  }
  CHECK(faults.writes > 0);
  CHECK_TRUE(apply(*follower, log, log.size(), log.size()).is_ok());
  STRCMP_EQUAL("18|66303\n", reader.rows("SELECT count(*), sum(length(x)) FROM t").c_str());
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
  check_settled(*follower);
}

TEST(Parts, a_connection_that_committed_in_parts_goes_on_with_what_it_has) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  sql.run("INSERT INTO t VALUES(1000, 'old')");
  // A statement that is still reading when the transaction commits.
  sqlite3_stmt* open = nullptr;
  sql.run("BEGIN");
  sql.run(kLarge);
  CHECK_EQUAL(SQLITE_OK,
              sqlite3_prepare_v2(sql.handle(), "SELECT length(x) FROM t ORDER BY id", -1, &open, nullptr));
  CHECK_EQUAL(SQLITE_ROW, sqlite3_step(open));
  sql.run("COMMIT");
  int rows_read = 1;
  while (sqlite3_step(open) == SQLITE_ROW) rows_read++;
  sqlite3_finalize(open);
  CHECK_EQUAL(18, rows_read);
  sql.run(kLarge);
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  check_follower(*node);
}

TEST(Parts, A3_leadership_lost_between_any_two_parts_leaves_no_trace) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  sql.run("INSERT INTO t VALUES(1000, 'old')");
  for (int parts = 0; parts < 6; parts++) {
    std::future<int> code = commit_while_paused(*node, sql);
    for (int i = 0; i < parts; i++) node->cluster().commit_one();
    node->cluster().lose_leadership(false);
    node->cluster().resume();
    check_code(kNotCommitted, code);
    STRCMP_EQUAL("1000|old\n", sql.rows("SELECT * FROM t").c_str());
    node->cluster().gain_leadership();
    check_settled(*node);
    Sql other(*node);
    other.run("UPDATE t SET x = 'old'");
  }
  sql.run(kLarge);
  STRCMP_EQUAL("18|66303\n", rows(*node).c_str());
  check_follower(*node);
}

TEST(Parts, A3_a_new_leader_that_has_the_parts_leaves_no_trace_of_them) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  sql.run("INSERT INTO t VALUES(1000, 'old')");
  std::future<int> code = commit_while_paused(*node, sql);
  node->cluster().commit_one();
  node->cluster().commit_one();
  node->cluster().lose_leadership(true);
  node->cluster().resume();
  check_code(kNotCommitted, code);
  node->cluster().gain_leadership();
  STRCMP_EQUAL("1000|old\n", sql.rows("SELECT * FROM t").c_str());
  check_settled(*node);
  sql.run(kLarge);
  check_follower(*node);
}

TEST(Parts, A3_a_closing_entry_that_the_next_leader_commits_takes_effect) {
  auto node = node_in(directory);
  Sql sql(*node, "app.db", "&timeout=60000");
  sql.run(kSchema);
  std::future<int> code = commit_while_paused(*node, sql);
  const size_t before = node->cluster().proposals();
  for (int i = 0; i < 6; i++) node->cluster().commit_one();
  node->cluster().wait_proposed(before + 5);  // the rest of the parts, and the closing entry
  node->cluster().lose_leadership(true);
  node->cluster().resume();
  check_code(SQLITE_OK, code);
  node->cluster().gain_leadership();
  STRCMP_EQUAL("17|66300\n", rows(*node).c_str());
  check_follower(*node);
}

TEST(Parts, A11_only_the_closing_entry_can_be_of_unknown_fate) {
  auto node = node_in(directory);
  Sql patient(*node);
  patient.run(kSchema);
  Sql sql(*node, "app.db", "&timeout=50");
  std::future<int> code = commit_while_paused(*node, sql);
  check_code(kNotCommitted, code);
  STRCMP_CONTAINS("no majority confirmed a part of it in time", sql.sentence().c_str());
  node->cluster().resume();
  node->cluster().wait_idle();
  STRCMP_EQUAL("ndtppa", kinds_of(node->cluster().log()).c_str());
  check_settled(*node);

  Sql other(*node, "app.db", "&timeout=1000");
  code = commit_while_paused(*node, other);
  for (int i = 0; i < 6; i++) node->cluster().commit_one();
  check_code(kLeadershipLost, code);
  node->cluster().resume();
  node->cluster().wait_idle();
  STRCMP_EQUAL("17", patient.value("SELECT count(*) FROM t").c_str());
  patient.run("INSERT INTO t(x) VALUES('the turn is free')");
  check_settled(*node);
}

TEST(Parts, A11_a_node_that_fails_between_parts_has_certainly_not_committed) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  std::future<int> code = commit_while_paused(*node, sql);
  node->cluster().commit_one();
  node->databases().failed({Code::kPoisoned, "a test"});
  check_code(kNotCommitted, code);
  STRCMP_CONTAINS("a test", sql.sentence().c_str());
}

TEST(Parts, A3_a_part_that_is_refused_ends_the_set_for_everybody) {
  for (size_t number = 1; number <= 7; number++) {
    TemporaryDirectory here;
    auto node = node_in(here);
    Sql sql(*node);
    sql.run(kSchema);
    sql.run("INSERT INTO t VALUES(1000, 'old')");
    node->cluster().refuse_proposal(number);
    const int code = sql.attempt(kLarge);
    CHECK_EQUAL(kNotCommitted, code);
    STRCMP_CONTAINS("handed over", sql.sentence().c_str());
    node->cluster().wait_idle();
    check_settled(*node);
    STRCMP_EQUAL("1000|old\n", sql.rows("SELECT * FROM t").c_str());
    sql.run(kLarge);
    const std::vector<LogEntry> log = node->cluster().log();
    TemporaryDirectory there;
    auto follower = node_in(there, log);
    check_settled(*follower);
    STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
  }
}

TEST(Parts, A3_an_abort_that_is_refused_is_tried_again_with_the_next_entry) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  Sql unrelated(*node, "other.db");
  unrelated.run(kSchema);
  node->cluster().refuse_proposal(6, 2);  // the last part, and the abort
  const int code = sql.attempt(kLarge);
  CHECK_EQUAL(kNotCommitted, code);
  node->cluster().wait_idle();
  CHECK(node->databases().settled_point().index < node->databases().applied_point().index);
  unrelated.run("INSERT INTO t VALUES(1, 1)");
  node->cluster().wait_idle();
  check_settled(*node);
  CHECK_EQUAL('a', kinds_of(node->cluster().log()).back());
}

TEST(Parts, B5_a_log_that_has_no_space_for_a_part_takes_the_abort) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  std::future<int> code = commit_while_paused(*node, sql);
  node->cluster().fill_log(true);
  node->cluster().resume();
  check_code(SQLITE_FULL, code);
  node->cluster().wait_idle();
  STRCMP_EQUAL("ndtppa", kinds_of(node->cluster().log()).c_str());
  check_settled(*node);
}

TEST(Parts, B14_several_databases_take_effect_together_or_not_at_all) {
  auto node = node_in(directory);
  Sql sql(*node);
  Sql two(*node, "two.db");
  sql.run(kSchema);
  two.run(kSchema);
  sql.run("ATTACH 'file:" + directory.path() + "/two.db?vfs=dqlite' AS two");
  const std::string both =
      "BEGIN; " + std::string(kLarge) + "; DELETE FROM two.t; INSERT INTO two.t SELECT * FROM main.t; COMMIT";
  sql.run(both);
  STRCMP_EQUAL("17|66300\n", rows(*node).c_str());
  STRCMP_EQUAL("17|66300\n", rows(*node, "two.db").c_str());
  // A small change beside a large one goes in the same set.
  sql.run("BEGIN; " + std::string(kLarge) + "; INSERT INTO two.t(x) VALUES('small'); COMMIT");
  const std::string one_before = rows(*node);
  const std::string two_before = rows(*node, "two.db");
  node->cluster().refuse_proposal(10);
  const int code = sql.attempt(both);
  CHECK_EQUAL(kNotCommitted, code);
  if (sqlite3_get_autocommit(sql.handle()) == 0) sql.run("ROLLBACK");
  STRCMP_EQUAL(one_before.c_str(), rows(*node).c_str());
  STRCMP_EQUAL(two_before.c_str(), rows(*node, "two.db").c_str());
  sql.run("INSERT INTO t(x) VALUES(1)");
  two.run("INSERT INTO t(x) VALUES(1)");
  const std::vector<LogEntry> log = node->cluster().log();
  const Kinds kinds = kinds_of(log);
  CHECK_EQUAL(2, std::count(kinds.begin(), kinds.end(), 'c'));

  // One of them is in its file already, the other is not.
  {
    auto follower = node_in(elsewhere);
    CHECK_TRUE(apply(*follower, log, 1, kinds.find('c') + 1).is_ok());
    checkpoint(*follower, "two.db", log.size());
    CHECK(follower->databases().durable_point().index < kinds.find('p') + 1);
  }
  auto follower = node_in(elsewhere, log);
  STRCMP_EQUAL(rows(*node).c_str(), rows(*follower).c_str());
  STRCMP_EQUAL(rows(*node, "two.db").c_str(), rows(*follower, "two.db").c_str());
}

TEST(Parts, A4_vacuum_in_parts_cuts_the_database_on_every_node) {
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  for (int i = 0; i < 5; i++) sql.run(kLarge);
  node->checkpoint();
  sql.run("DELETE FROM t WHERE id % 2");
  sql.run("VACUUM");
  CHECK_EQUAL('c', kinds_of(node->cluster().log()).back());
  STRCMP_EQUAL("42|163800\n", rows(*node).c_str());
  check_follower(*node);
}

TEST(Parts, B5_space_is_left_for_the_checkpoint_of_what_is_on_its_way) {
  constexpr uint64_t kPages = uint64_t{17} * 4096;  // at least
  auto node = node_in(directory);
  Sql sql(*node);
  sql.run(kSchema);
  node->checkpoint();
  const uint64_t before = node->databases().checkpoint_space();
  std::future<int> code = commit_while_paused(*node, sql);
  CHECK(node->databases().checkpoint_space() >= before + 2 * kPages);
  node->cluster().lose_leadership(false);
  node->cluster().resume();
  check_code(kNotCommitted, code);
  CHECK_EQUAL(before, node->databases().checkpoint_space());
  node->cluster().gain_leadership();
  sql.run(kLarge);
  CHECK(node->databases().checkpoint_space() >= before + 2 * kPages);
  const std::vector<LogEntry> log = node->cluster().log();

  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, log.size() - 1).is_ok());
  checkpoint(*follower, "app.db", log.size() - 1);
  CHECK(follower->databases().checkpoint_space() >= before + 2 * kPages);
  CHECK_TRUE(apply(*follower, log, log.size(), log.size()).is_ok());
  CHECK(follower->databases().checkpoint_space() >= before + 2 * kPages);
  checkpoint(*follower, "app.db", log.size());
  CHECK_EQUAL(before, follower->databases().checkpoint_space());
}
