// A transaction in parts takes effect with its last entry or leaves no trace, wherever leaders, nodes and checkpoints
// come in between.

#include <algorithm>
#include <future>

#include "codec/command.h"
#include "tests/vfs/fixture.h"
#include "tests/vfs/spill_faults.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

using Kinds = std::string;  // one letter for each entry

char kind_of(const LogEntry& entry) {
  if (entry.payload == nullptr) return 'n';
  const Result<codec::Command> command = codec::decode(*entry.payload);
  if (!command) return '?';
  if (std::holds_alternative<codec::TransactionPart>(*command)) return 'p';
  if (std::holds_alternative<codec::TransactionAbort>(*command)) return 'a';
  if (const auto* transaction = std::get_if<codec::Transaction>(&*command)) {
    return transaction->set != 0 ? 'c' : 't';
  }
  return std::holds_alternative<codec::CreateDatabase>(*command) ? 'd' : 'k';
}

Kinds kinds_of(const std::vector<LogEntry>& log) {
  Kinds kinds;
  for (const LogEntry& entry : log) kinds += kind_of(entry);
  return kinds;
}

constexpr const char* kSchema = "CREATE TABLE t(id INTEGER PRIMARY KEY, x)";
// About 18 pages that do not shrink: six parts.
constexpr const char* kLarge =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 17) "
    "INSERT INTO t(x) SELECT randomblob(3900) FROM n";

}  // namespace

TEST_GROUP(Parts) {
  TemporaryDirectory directory;
  TemporaryDirectory elsewhere;
  TemporaryDirectory third;
  SpillFaults faults;
  FaultySpills files{faults};
  TransactionLimits limits{.memory_bytes = 3 * 4096, .part_bytes = 9000, .parts_in_flight = 2};

  std::unique_ptr<TestNode> node_in(const TemporaryDirectory& place, std::vector<LogEntry> log = {}) {
    return std::make_unique<TestNode>(place.path(), std::move(log), limits, files);
  }
  // The log of a table and of a large transaction: ends with its closing entry.
  std::vector<LogEntry> log_with_parts() {
    auto node = node_in(directory);
    Sql sql(*node);
    sql.run(kSchema);
    sql.run("INSERT INTO t VALUES(1000, 'old')");
    sql.run(kLarge);
    return node->cluster().log();
  }
  // Entries `from` to `to` (from 1, inclusive), as a follower gets them; the test is the applier.
  static Status apply(TestNode & node, const std::vector<LogEntry>& log, size_t from, size_t to) {
    for (size_t i = from; i <= to; i++) {
      if (log[i - 1].payload != nullptr) {
        Status status = node.databases().apply(i, log[i - 1].term, *log[i - 1].payload, std::nullopt);
        if (!status) return status;
      }
      node.databases().applied(i, log[i - 1].term);
    }
    return Status::ok();
  }
  static void checkpoint(TestNode & node, const std::string& name, uint64_t index) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    const Status status = node.database(name).checkpoint(index, deadline).status();
    if (!status) FAIL(status.sentence().c_str());
  }
  static std::string rows(TestNode & node, const std::string& name = "app.db") {
    Sql sql(node, name);
    return sql.rows("SELECT count(*), sum(length(x)) FROM t");
  }
  // What is proposed waits for `commit_one`, and `sql` in COMMIT for that.
  std::future<int> commit_while_paused(TestNode & node, Sql & sql) {
    sql.run("BEGIN");
    sql.run(kLarge);
    node.cluster().pause();
    const size_t before = node.cluster().proposals();
    auto code = std::async(std::launch::async, [&sql] { return sql.attempt("COMMIT"); });
    node.cluster().wait_proposed(before + limits.parts_in_flight);
    return code;
  }
  static void check_code(int expected, std::future<int>& code) {
    const int found = code.get();
    CHECK_EQUAL(expected, found);
  }
  static void check_settled(TestNode & node) {
    CHECK_EQUAL(node.databases().applied_point().index, node.databases().settled_point().index);
  }
  // The follower of a log has the same file.
  void check_follower(TestNode & leader) {
    leader.checkpoint();
    auto follower = node_in(elsewhere, leader.cluster().log());
    follower->checkpoint();
    CHECK(file_content(leader.directory() + "/app.db") == file_content(elsewhere.path() + "/app.db"));
  }
};

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

TEST(Parts, A3_a_change_of_the_same_database_ends_a_set_that_nobody_aborted) {
  // The parts of one set, then a transaction that stands on the same entry.
  const std::vector<LogEntry> log = log_with_parts();
  std::vector<LogEntry> other;
  {
    auto node = node_in(third, {log.begin(), log.begin() + 4});
    Sql sql(*node);
    sql.run("UPDATE t SET x = 'new'");
    other = node->cluster().log();
  }
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 6).is_ok());
  CHECK_EQUAL(4U, follower->databases().settled_point().index);
  CHECK_TRUE(follower->databases().apply(7, log[5].term, *other.back().payload, std::nullopt).is_ok());
  follower->databases().applied(7, log[5].term);
  check_settled(*follower);
  STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
}

TEST(Parts, A3_a_crash_after_any_entry_leaves_the_old_state_and_the_rest_of_the_log_completes_it) {
  const std::vector<LogEntry> log = log_with_parts();
  for (size_t entries = 5; entries < log.size(); entries++) {
    TemporaryDirectory place;
    {
      auto follower = node_in(place);
      CHECK_TRUE(apply(*follower, log, 1, entries).is_ok());
      checkpoint(*follower, "app.db", entries);
      CHECK_EQUAL(4U, follower->databases().durable_point().index);
    }
    // It begins again behind what it said the log may lose.
    auto follower = node_in(place);
    STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
    CHECK_TRUE(apply(*follower, log, 5, log.size()).is_ok());
    STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
    CHECK_TRUE(follower->databases().files().list(place.path() + "/dqlite-node")->size() > 0);
  }
}

TEST(Parts, A3_a_checkpoint_of_another_database_between_parts_keeps_the_parts_in_the_log) {
  std::vector<LogEntry> log;
  {
    auto node = node_in(directory);
    Sql sql(*node);
    Sql other(*node, "other.db");
    sql.run(kSchema);
    other.run(kSchema);
    std::future<int> code = commit_while_paused(*node, sql);
    const size_t before = node->cluster().proposals();
    node->cluster().commit_one();
    node->cluster().commit_one();
    node->cluster().wait_proposed(before + 2);
    std::future<int> between = std::async(
        std::launch::async, [&other] { return other.attempt("INSERT INTO t VALUES(1, 'between')"); });
    node->cluster().wait_proposed(before + 3);
    node->cluster().resume();
    check_code(SQLITE_OK, between);
    check_code(SQLITE_OK, code);
    log = node->cluster().log();
  }
  const Kinds kinds = kinds_of(log);
  const size_t between = kinds.find('t', kinds.find('p')) + 1;
  const size_t before_parts = kinds.find('p');
  CHECK(between > 1 && between < log.size());
  {
    auto follower = node_in(elsewhere);
    CHECK_TRUE(apply(*follower, log, 1, between).is_ok());
    checkpoint(*follower, "other.db", between);
    checkpoint(*follower, "app.db", between);
    CHECK_EQUAL(before_parts, follower->databases().durable_point().index);
  }
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, before_parts + 1, log.size()).is_ok());
  STRCMP_EQUAL("17|66300\n", rows(*follower).c_str());
  STRCMP_EQUAL("1|7\n", rows(*follower, "other.db").c_str());
}

TEST(Parts, A3_a_snapshot_between_parts_lets_its_receiver_get_all_of_them_from_the_log) {
  const std::vector<LogEntry> log = log_with_parts();
  auto sender = node_in(elsewhere);
  CHECK_TRUE(apply(*sender, log, 1, 7).is_ok());
  checkpoint(*sender, "app.db", 7);
  auto receiver = node_in(third);
  CHECK_TRUE(apply(*receiver, log, 1, 6).is_ok());  // its own parts are of no use behind a snapshot
  {
    auto reader = SnapshotReader::open(sender->databases());
    CHECK_TRUE(reader.is_ok());
    CHECK_EQUAL(4U, (*reader)->last().index);
    auto writer = SnapshotWriter::open(receiver->databases());
    CHECK_TRUE(writer.is_ok());
    auto bytes = (*reader)->read(0, (*reader)->size_bytes());
    CHECK_TRUE(bytes.is_ok() && (*writer)->write(0, *bytes).is_ok());
    CHECK_TRUE((*writer)->install().is_ok());
  }
  check_settled(*receiver);
  CHECK_TRUE(apply(*receiver, log, 5, log.size()).is_ok());
  STRCMP_EQUAL("18|66303\n", rows(*receiver).c_str());
}

TEST(Parts, A3_a_snapshot_that_cannot_be_installed_for_now_leaves_the_parts_that_came) {
  const std::vector<LogEntry> log = log_with_parts();
  auto sender = node_in(elsewhere);
  CHECK_TRUE(apply(*sender, log, 1, 7).is_ok());
  checkpoint(*sender, "app.db", 7);
  auto receiver = node_in(third);
  CHECK_TRUE(apply(*receiver, log, 1, 6).is_ok());
  {
    auto reader = SnapshotReader::open(sender->databases());
    auto writer = SnapshotWriter::open(receiver->databases());
    CHECK_TRUE(reader.is_ok() && writer.is_ok());
    auto bytes = (*reader)->read(0, (*reader)->size_bytes());
    CHECK_TRUE(bytes.is_ok() && (*writer)->write(0, *bytes).is_ok());
    faults.journals_full = true;
    CHECK_TRUE((*writer)->install().code() == Code::kFull);
    faults.journals_full = false;
  }
  // The node goes on from its own log.
  CHECK_EQUAL(4U, receiver->databases().settled_point().index);
  CHECK_TRUE(apply(*receiver, log, 7, log.size()).is_ok());
  STRCMP_EQUAL("18|66303\n", rows(*receiver).c_str());
}

TEST(Parts, A5_parts_of_what_is_in_the_file_are_passed_over) {
  const std::vector<LogEntry> log = log_with_parts();
  {
    auto follower = node_in(elsewhere);
    CHECK_TRUE(apply(*follower, log, 1, log.size()).is_ok());
    checkpoint(*follower, "app.db", log.size());
    CHECK_EQUAL(log.size(), follower->databases().durable_point().index);
  }
  // The tail of the log may begin with any of them.
  for (size_t begin = 5; begin <= log.size(); begin++) {
    auto follower = node_in(elsewhere);
    const size_t writes = faults.writes;
    CHECK_TRUE(apply(*follower, log, begin, log.size()).is_ok());
    CHECK_EQUAL(writes, faults.writes);
    check_settled(*follower);
    STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
  }
}

TEST(Parts, A3_a_closing_entry_without_all_of_its_parts_is_found_out) {
  const std::vector<LogEntry> log = log_with_parts();
  for (size_t missing = 5; missing < log.size(); missing++) {
    TemporaryDirectory place;
    auto follower = node_in(place);
    CHECK_TRUE(apply(*follower, log, 1, missing - 1).is_ok());
    CHECK_TRUE(apply(*follower, log, missing + 1, log.size() - 1).is_ok());
    const Status status = apply(*follower, log, log.size(), log.size());
    CHECK_TRUE(status.code() == Code::kCorrupt);
    STRCMP_CONTAINS("completes a transaction of 6 parts", status.sentence().c_str());
    STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
  }
}

TEST(Parts, a_part_that_does_not_fit_this_copy_is_found_out_before_it_takes_effect) {
  const std::vector<LogEntry> log = log_with_parts();
  const auto altered = [&](size_t entry, const std::function<void(codec::TransactionPart&)>& alter) {
    TemporaryDirectory place;
    auto follower = node_in(place);
    CHECK_TRUE(apply(*follower, log, 1, entry - 1).is_ok());
    Result<codec::Command> command = codec::decode(*log[entry - 1].payload);
    alter(std::get<codec::TransactionPart>(*command));
    const Bytes payload = codec::encode(*command);
    const Status status = follower->databases().apply(entry, log[entry - 1].term, payload, std::nullopt);
    CHECK_TRUE(status.code() == Code::kCorrupt);
    return status.sentence();
  };
  STRCMP_CONTAINS("stands on entry 3", altered(5, [](auto& part) { part.change.base_index--; }).c_str());
  STRCMP_CONTAINS("checksums before",
                  altered(6, [](auto& part) { part.change.checksum_before ^= 1; }).c_str());
  STRCMP_CONTAINS("checksums after", altered(6, [](auto& part) { part.change.checksum_after ^= 1; }).c_str());
  STRCMP_CONTAINS("after page", altered(6, [](auto& part) { part.change.pages[0].page_number = 1; }).c_str());
  STRCMP_CONTAINS("does not have", altered(5, [](auto& part) { part.change.database = 77; }).c_str());
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

TEST(Parts, a_node_whose_disk_is_full_waits_for_space) {
  const std::vector<LogEntry> log = log_with_parts();
  limits.space_interval = std::chrono::milliseconds(1);
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 4).is_ok());
  faults.full = true;
  const size_t writes = faults.writes;
  auto applied = std::async(std::launch::async, [&] { return apply(*follower, log, 5, log.size()); });
  const auto is_done = [&] { return applied.wait_for(std::chrono::seconds(0)) == std::future_status::ready; };
  while (faults.writes < writes + 500 && !is_done()) std::this_thread::yield();
  STRCMP_CONTAINS("No space left", follower->databases().apply_waits_for().c_str());
  faults.full = false;
  CHECK_TRUE(applied.get().is_ok());
  STRCMP_EQUAL("", follower->databases().apply_waits_for().c_str());
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
}

TEST(Parts, a_node_that_ends_waits_for_no_space) {
  const std::vector<LogEntry> log = log_with_parts();
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 4).is_ok());
  faults.full = true;
  auto applied = std::async(std::launch::async, [&] { return apply(*follower, log, 5, log.size()); });
  while (follower->databases().apply_waits_for().empty()) std::this_thread::yield();
  follower->cluster().set_standing(Standing::kFailed);
  const bool has_ended = applied.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  faults.full = false;
  CHECK_TRUE(has_ended);
  CHECK_TRUE(applied.get().code() == Code::kFull);
  STRCMP_EQUAL("", follower->databases().apply_waits_for().c_str());
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

TEST(Parts, what_is_short_in_the_log_and_large_here_is_put_aside_too) {
  std::vector<LogEntry> log = log_with_parts();
  {
    auto node = node_in(third, log);
    Sql sql(*node);
    sql.run("UPDATE t SET x = CAST(substr(x, 1, length(x) - 1) || 'z' AS BLOB) WHERE id <> 1000");
    log = node->cluster().log();
  }
  CHECK_EQUAL('t', kinds_of(log).back());
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, log.size() - 1).is_ok());
  const size_t writes = faults.writes;
  CHECK_TRUE(apply(*follower, log, log.size(), log.size()).is_ok());
  CHECK(faults.writes > writes);
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
  Sql reader(*follower);
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
}

TEST(Parts, what_was_sent_in_parts_is_checkpointed_from_the_spill_file) {
  const std::vector<LogEntry> log = log_with_parts();
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, log.size()).is_ok());
  faults.rot = true;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const Status refused = follower->database().checkpoint(log.size(), deadline).status();
  CHECK_TRUE(refused.code() == Code::kCorrupt);
  faults.rot = false;
  checkpoint(*follower, "app.db", log.size());
  CHECK_EQUAL(0U, follower->database().wal_frames());
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
}
