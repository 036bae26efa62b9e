// When a checkpoint is due, who carries it out, and what it waits for.

#include "vfs/checkpointer.h"

#include <future>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(Checkpointer) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
  }
  void teardown() override {
    node.reset();
  }

  Deadline in(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
  }
  Checkpointer& checkpointer() {
    return node->databases().checkpointer();
  }
  // At least 1000 frames in one transaction.
  void write_many(Sql & sql) {
    sql.run("PRAGMA page_size = 512; CREATE TABLE IF NOT EXISTS t(x); DELETE FROM t");
    sql.run("INSERT INTO t VALUES(zeroblob(520000))");
  }
  uint64_t in_file() {
    return node->database().committed().file->record().index;
  }
};

TEST(Checkpointer, a_thousand_frames_are_due_by_themselves) {
  Sql sql(*node);
  write_many(sql);
  uint64_t index = node->database().committed().mark.index;
  while (checkpointer().completed() == 0) std::this_thread::yield();
  CHECK(in_file() >= index);
  CHECK_EQUAL(1U, node->cluster().checkpoints());
}

TEST(Checkpointer, a_few_frames_are_not_due) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  size_t proposals = node->cluster().proposals();
  sql.run("INSERT INTO t VALUES(2)");
  node->cluster().gain_leadership();  // looks again
  sql.run("INSERT INTO t VALUES(3)");
  CHECK_EQUAL(proposals + 2, node->cluster().proposals());
  CHECK_EQUAL(0U, checkpointer().completed());
}

TEST(Checkpointer, frames_that_a_follower_holds_are_due_when_it_becomes_the_leader) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  TemporaryDirectory elsewhere;
  TestNode leader(elsewhere.path(), node->cluster().log());
  Sql on_leader(leader);
  on_leader.run("INSERT INTO t VALUES(zeroblob(6000000))");
  node->cluster().lose_leadership(false);
  for (size_t i = node->cluster().log().size(); i < leader.cluster().log().size(); i++) {
    node->cluster().commit_foreign(leader.cluster().log()[i].payload);
    node->cluster().wait_idle();
    if (node->database().wal_frames() > CheckpointSchedule::kDueFrames) break;
  }
  CHECK(node->database().wal_frames() > CheckpointSchedule::kDueFrames);
  CHECK_EQUAL(0U, checkpointer().completed());
  node->cluster().gain_leadership();
  while (checkpointer().completed() == 0) std::this_thread::yield();
  LONGS_EQUAL(0, node->database().wal_frames());
}

TEST(Checkpointer, an_entry_is_carried_out_and_reports_what_it_cost) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(100000))");
  CheckpointReport report = node->checkpoint();
  CHECK(report.pages >= 25);
  CHECK(report.bytes >= report.pages * 4096);
  CHECK(report.index >= node->database().committed().mark.index);
  report = node->checkpoint();  // nothing to do
  LONGS_EQUAL(0, report.pages);
}

TEST(Checkpointer, A2_what_is_not_durable_here_is_not_in_the_file_and_the_request_waits_for_it) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  uint64_t durable = node->database().committed().mark.index;
  node->cluster().hold_durable(durable);
  sql.run("INSERT INTO t VALUES(2)");
  uint64_t newest = node->database().committed().mark.index;
  Result<CheckpointReport> report = node->databases().checkpoint_cluster(in(std::chrono::milliseconds(100)));
  CHECK_TRUE(report.status().code() == Code::kTimeout);
  CHECK(in_file() <= durable);
  node->cluster().hold_durable(0);
  report = checkpointer().wait(newest, in(std::chrono::seconds(20)));
  CHECK_TRUE(report.is_ok());
  CHECK_EQUAL(newest, in_file());
}

TEST(Checkpointer, V_C7_a_stock_reader_is_waited_for_and_named_and_then_it_goes_on) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  node->checkpoint();
  Sql stock(stock_uri(*node));
  stock.run("BEGIN");
  STRCMP_EQUAL("1", stock.value("SELECT count(*) FROM t").c_str());
  sql.run("INSERT INTO t VALUES(2)");
  uint64_t before = in_file();
  uint64_t index = node->database().committed().mark.index;
  Result<CheckpointReport> report = node->databases().checkpoint_cluster(in(std::chrono::milliseconds(10)));
  CHECK_TRUE(report.status().code() == Code::kTimeout);
  while (checkpointer().waiting_for().empty()) std::this_thread::yield();
  CHECK_EQUAL(before, in_file());
  sql.run("INSERT INTO t VALUES(3)");  // commits and reads go on
  STRCMP_EQUAL("3", sql.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("1", stock.value("SELECT count(*) FROM t").c_str());
  stock.run("COMMIT");
  report = checkpointer().wait(index, in(std::chrono::seconds(20)));
  CHECK_TRUE(report.is_ok());
  STRCMP_EQUAL("", checkpointer().waiting_for().c_str());
  CHECK_FALSE(stock.value("SELECT count(*) FROM t") == "1");
}

TEST(Checkpointer, A2_a_request_is_not_taken_for_done_because_of_entries_that_are_not_applied_yet) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  for (int i = 0; i < 100; i++) {
    // Each wait is for all that was committed before its own entry.
    sql.run("INSERT INTO t VALUES(1)");
    uint64_t index = node->database().committed().mark.index;
    node->checkpoint();
    CHECK_EQUAL(index, in_file());
  }
}

TEST(Checkpointer, a_wait_ends_when_the_node_stops) {
  Sql sql(*node);
  sql.run("CREATE TABLE t(x)");
  auto waiting =
      std::async(std::launch::async, [&] { return checkpointer().wait(1000000, in(std::chrono::hours(1))); });
  node->cluster().stop();
  CHECK_FALSE(waiting.get().is_ok());
}
