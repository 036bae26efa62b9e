// A node works through SQLite, and its machine stops at any call to its disk: what was acknowledged is there again.
//
// The log is the fake cluster's, and nothing of it is lost but what the node said it does not need any more: entries up
// to its durable point. The disk loses what was not synced, sector by sector, or the processes alone end.
// DQLITE_EVERY_CALL=1 tries every call; without it a sample.
#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

#include "tests/vfs/fault_files.h"
#include "tests/vfs/fixture.h"
#include "tests/vfs/locked_files.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// So that a few rows are a large transaction.
constexpr TransactionLimits kSmall{8 << 10, 4 << 10, 2};

// One life of a process on the machine.
class Life {
 public:
  Life(FaultDisk& disk, const std::string& directory, std::vector<LogEntry> log, uint64_t dropped = 0)
      : files_(disk), locked_(files_), node_(directory, std::move(log), kSmall, locked_, dropped) {}
  TestNode& node() { return node_; }

 private:
  FaultFiles files_;
  LockedFiles locked_;
  TestNode node_;
};

struct Ledger {
  std::set<std::string> acknowledged;
  std::set<std::string> uncertain;
};

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.insert(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// Each row says what it is, in both databases.
class Workload {
 public:
  Workload(TestNode& node, const FaultDisk& disk, Ledger& ledger)
      : node_(node), disk_(disk), ledger_(ledger) {}

  void run() {
    Sql sql(node_);
    sql.run("ATTACH 'file:" + node_.directory() + "/second.db?vfs=dqlite' AS second");
    rows(sql, 1, 8);
    checkpoint();
    rows(sql, 9, 12);
    large(sql, 100, 160);
    checkpoint();
    if (!disk_.stopped()) (void)sql.attempt("DELETE FROM filler; VACUUM");
    large(sql, 200, 230);
    checkpoint();
    rows(sql, 13, 16);
    checkpoint();
  }

 private:
  void commit(Sql& sql, const std::vector<int>& ids, const std::string& statements) {
    if (disk_.stopped()) return;
    const bool done = sql.attempt("BEGIN IMMEDIATE;" + statements + "COMMIT") == SQLITE_OK;
    for (int id : ids) (done ? ledger_.acknowledged : ledger_.uncertain).insert(std::to_string(id));
    if (!done && sqlite3_get_autocommit(sql.handle()) == 0) (void)sql.attempt("ROLLBACK");
  }
  void rows(Sql& sql, int first, int last) {
    for (int id = first; id <= last; id++) {
      const std::string value = std::to_string(id);
      commit(sql, {id},
             "INSERT INTO main.t VALUES(" + value + ", randomblob(700)); INSERT INTO second.t VALUES(" +
                 value + ", 1);");
    }
  }
  void large(Sql& sql, int first, int last) {
    std::vector<int> ids;
    std::string statements;
    for (int id = first; id <= last; id++) {
      ids.push_back(id);
      const std::string value = std::to_string(id);
      statements += "INSERT INTO main.t VALUES(" + value +
                    ", randomblob(1500)); INSERT INTO second.t VALUES(" + value +
                    ", 2); INSERT INTO filler VALUES(zeroblob(900));";
    }
    // Somebody writes to another database meanwhile and asks for checkpoints, so that both fall between the parts.
    std::atomic<bool> is_over{false};
    std::thread beside([&] {
      Sql third("file:" + node_.directory() + "/third.db?vfs=dqlite");  // the machine may be off
      while (!is_over && !disk_.stopped()) {
        (void)third.attempt("INSERT INTO t VALUES(1)");
        (void)node_.cluster().request_checkpoint(std::chrono::steady_clock::now() + std::chrono::seconds(20));
      }
    });
    commit(sql, ids, statements);
    is_over = true;
    beside.join();
  }
  // Its failure is that of the machine.
  void checkpoint() {
    if (disk_.stopped()) return;
    const Deadline end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const Result<uint64_t> asked = node_.cluster().request_checkpoint(end);
    while (asked && !disk_.stopped() && std::chrono::steady_clock::now() < end) {
      const Deadline soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
      if (node_.databases().checkpointer().wait(*asked, soon)) return;
    }
  }

  TestNode& node_;
  const FaultDisk& disk_;
  Ledger& ledger_;
};

bool every_call() {
  return std::getenv("DQLITE_EVERY_CALL") != nullptr;
}

}  // namespace

TEST_GROUP(MachineCrash) {
  TemporaryDirectory directory;
  TemporaryDirectory other_directory;

  void check_equal(TestNode & one, TestNode & other) {
    for (const char* name : {"app.db", "second.db", "third.db"}) {
      Sql left(one, name);
      Sql right(other, name);
      STRCMP_EQUAL(dump(left).c_str(), dump(right).c_str());
      STRCMP_EQUAL("ok", left.value("PRAGMA integrity_check").c_str());
      CHECK_TRUE(one.database(name).committed().mark.checksum ==
                 other.database(name).committed().mark.checksum);
    }
  }

  // False: the workload was through before that call.
  bool stops_at(uint64_t call, bool power) {
    FaultDisk disk(call);
    std::vector<LogEntry> log;
    uint64_t durable = 0;
    Ledger ledger;
    bool in_time = false;
    {
      Life life(disk, directory.path(), {});
      {
        Sql sql(life.node());
        sql.run("PRAGMA page_size=1024; CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE filler(x)");
        Sql second(life.node(), "second.db");
        second.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
        Sql third(life.node(), "third.db");
        third.run("CREATE TABLE t(x)");
      }
      disk.fail_call(call, Fault::kStop);
      Workload(life.node(), disk, ledger).run();
      life.node().cluster().wait_idle();
      in_time = disk.stopped();
      log = life.node().cluster().log();
      durable = life.node().cluster().droppable();
    }
    power ? disk.lose_power() : disk.kill_processes();
    {
      Life life(disk, directory.path(), log, durable);
      FaultDisk calm;
      Life reference(calm, other_directory.path(), log);
      check_equal(life.node(), reference.node());
      Sql sql(life.node());
      const std::set<std::string> found = lines_of(sql.rows("SELECT id FROM t"));
      for (const std::string& id : ledger.acknowledged) CHECK_TRUE(found.contains(id));
      for (const std::string& id : found) {
        CHECK_TRUE(ledger.acknowledged.contains(id) || ledger.uncertain.contains(id));
      }
      // And it goes on.
      sql.run("INSERT INTO t VALUES(1000, 'later')");
      life.node().checkpoint();
    }
    return in_time;
  }
};

TEST(MachineCrash, A12_B12_all_that_was_acknowledged_is_there_after_a_stop_at_any_call) {
  const uint64_t step = every_call() ? 1 : 7;
  for (const bool power : {true, false}) {
    uint64_t call = power ? 1 : 4;
    while (stops_at(call, power)) call += step;
    CHECK(call > 100);
  }
}

TEST(MachineCrash, B10_an_installation_stopped_at_any_call_leaves_a_node_that_takes_it_again) {
  TestNode sender(other_directory.path());
  {
    Sql sql(sender);
    sql.run("PRAGMA page_size=1024; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    Sql second(sender, "second.db");
    second.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    Sql third(sender, "third.db");
    third.run("CREATE TABLE t(x)");
    for (int i = 1; i <= 30; i++) {
      sql.run("INSERT INTO t VALUES(" + std::to_string(i) + ", randomblob(500))");
      second.run("INSERT INTO t VALUES(" + std::to_string(i) + ", 1)");
    }
  }
  const std::vector<LogEntry> old_log = sender.cluster().log();
  {
    Sql sql(sender);
    sql.run("UPDATE t SET x = randomblob(900); INSERT INTO t SELECT id + 100, x FROM t");
    Sql second(sender, "second.db");
    second.run("DELETE FROM t WHERE id % 2");
  }
  sender.checkpoint();
  Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(sender.databases());
  CHECK_TRUE(reader.is_ok());
  Result<Bytes> stream = (*reader)->read(0, (*reader)->size_bytes());
  CHECK_TRUE(stream.is_ok());
  const auto install = [&](TestNode& node) -> Status {
    Result<std::unique_ptr<SnapshotWriter>> writer = SnapshotWriter::open(node.databases());
    if (!writer) return writer.status();
    if (Status status = (*writer)->write(0, *stream); !status) return status;
    return (*writer)->install();
  };
  bool in_time = true;
  size_t stops = 0;
  for (uint64_t call = 1; in_time; call += every_call() ? 1 : 3) {
    FaultDisk disk(call);
    {
      Life life(disk, directory.path(), old_log);
      life.node().checkpoint();
      disk.fail_call(call, Fault::kStop);
      const Status installed = install(life.node());
      in_time = disk.stopped();
      if (in_time) stops++;
      CHECK_TRUE(in_time || installed.is_ok());
    }
    call % 2 == 0 ? disk.kill_processes() : disk.lose_power();
    Life life(disk, directory.path(), {});
    const Status again = install(life.node());
    if (!again) FAIL(again.sentence().c_str());
    check_equal(life.node(), sender);
  }
  CHECK(stops > 20);
}
