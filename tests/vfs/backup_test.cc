// Backups: plain files of what is committed, while commits and checkpoints go on.

#include "vfs/backup.h"

#include <fcntl.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "codec/page.h"
#include "tests/vfs/fault_files.h"
#include "tests/vfs/fixture.h"
#include "vfs/state_scan.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

Status go_on() {
  return Status::ok();
}

}  // namespace

TEST_GROUP(Backup) {
  TemporaryDirectory directory;
  TemporaryDirectory target;
  std::string path = target.path() + "/copy.db";

  uint64_t back_up(TestNode & node, const std::string& name = "app.db") {
    Result<uint64_t> index = write_backup(posix_files(), node.database(name), path, go_on);
    if (!index) FAIL(index.status().sentence().c_str());
    return *index;
  }
  std::string refusal(TestNode & node) {
    Result<uint64_t> index = write_backup(posix_files(), node.database(), path, go_on);
    CHECK_FALSE(index.is_ok());
    return index.status().sentence();
  }
  std::mutex mutex;  // guards is_scanning
  std::condition_variable changed;
  bool is_scanning = false;

  bool leaves_nothing() {
    return std::filesystem::is_empty(target.path());
  }

  void check_copy(const std::string& expected) {
    Sql stock(path);
    STRCMP_EQUAL("ok", stock.value("PRAGMA integrity_check").c_str());
    STRCMP_EQUAL(expected.c_str(), dump(stock).c_str());
    STRCMP_EQUAL("delete", stock.value("PRAGMA journal_mode").c_str());
    STRCMP_EQUAL("wal", stock.value("PRAGMA journal_mode = wal").c_str());
    stock.run("CREATE TABLE one_more(x)");
  }
};

TEST(Backup, holds_what_is_committed_in_the_file_and_above_it) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX tx ON t(x)");
  for (int i = 0; i < 50; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(1000))");
  node.checkpoint();
  sql.run("UPDATE t SET x = randomblob(500) WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0");
  CHECK_EQUAL(node.database().committed().mark.index, back_up(node));
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
  check_copy(dump(sql));
}

TEST(Backup, is_the_file_that_a_checkpoint_of_the_same_state_leaves) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  for (int i = 0; i < 20; i++) sql.run("INSERT INTO t VALUES(randomblob(3000))");
  back_up(node);
  node.checkpoint();
  CHECK(file_content(directory.path() + "/app.db") == file_content(path));
}

TEST(Backup, leaves_out_pages_that_were_cut_off) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  for (int i = 0; i < 40; i++) sql.run("INSERT INTO t VALUES(randomblob(3000))");
  node.checkpoint();
  sql.run("DELETE FROM t WHERE rowid > 5; VACUUM");
  sql.run("INSERT INTO t VALUES(randomblob(30000))");
  back_up(node);
  check_copy(dump(sql));
}

TEST(Backup, of_a_database_that_nobody_wrote_to_is_empty) {
  TestNode node(directory.path());
  Sql sql(node);
  CHECK_EQUAL(0U, back_up(node));
  Sql stock(path);
  STRCMP_EQUAL("0", stock.value("SELECT count(*) FROM sqlite_schema").c_str());
}

TEST(Backup, an_open_transaction_is_not_in_it) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  sql.run("BEGIN; INSERT INTO t VALUES(2)");
  back_up(node);
  Sql stock(path);
  STRCMP_EQUAL("1", stock.value("SELECT count(*) FROM t").c_str());
}

TEST(Backup, a_checkpoint_that_overwrites_pages_hands_them_over_first_and_keeps_none_in_memory) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  for (int i = 0; i < 400; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(3000))");
  node.checkpoint();
  sql.run("UPDATE t SET x = 'above the file' WHERE id < 3");
  const std::string before = dump(sql);
  int pauses = 0;
  Result<uint64_t> index = write_backup(posix_files(), node.database(), path, [&] {
    // With the first pause nothing was read yet, with later ones a part.
    pauses++;
    sql.run("UPDATE t SET x = randomblob(3000) WHERE id % 5 = " + std::to_string(pauses % 5));
    if (pauses == 3) sql.run("DELETE FROM t WHERE id > 300; VACUUM");
    node.checkpoint();
    CHECK_EQUAL(0U, node.database().versions().kept_bytes());
    CHECK_EQUAL(0U, node.database().wal_frames());
    return Status::ok();
  });
  if (!index) FAIL(index.status().sentence().c_str());
  CHECK(pauses > 2);
  check_copy(before);
}

TEST(Backup, C7_a_target_that_hangs_keeps_no_checkpoint_waiting_and_costs_bounded_memory) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("PRAGMA page_size = 65536; CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  const int pages = static_cast<int>(StateScan::kQueueLimit / 65536) + 10;
  sql.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
          std::to_string(pages) + ") INSERT INTO t(x) SELECT zeroblob(60000) FROM n");
  node.checkpoint();
  std::mutex hanging;  // held by the target, in the midst of a write
  std::unique_lock hangs(hanging);
  Status ended;
  std::thread scanning([&] {
    StateScan scan(node.database(), [&](uint32_t, ByteView, const Status&) {
      std::lock_guard until_it_goes_on(hanging);
      return Status::ok();
    });
    Status begun = scan.begin();
    {
      std::lock_guard lock(mutex);
      is_scanning = true;
      changed.notify_all();
    }
    ended = begun ? scan.run(go_on) : begun;
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_scanning; });
  }
  sql.run("UPDATE t SET x = x || 'a'");
  node.checkpoint();
  hangs.unlock();
  scanning.join();
  CHECK(ended.code() == Code::kBusy);
  STRCMP_CONTAINS("faster than they could be put aside", ended.sentence().c_str());
}

TEST(Backup, taken_while_others_write_and_checkpoint_is_always_one_state) {
  TestNode node(directory.path());
  Sql setup(node);
  setup.run("CREATE TABLE a(id INTEGER PRIMARY KEY, x, pad); CREATE TABLE b(id INTEGER PRIMARY KEY, x, pad)");
  for (int i = 0; i < 100; i++) {
    setup.run(
        "BEGIN; INSERT INTO a(x, pad) VALUES(0, randomblob(2000)); "
        "INSERT INTO b(x, pad) VALUES(0, randomblob(2000)); COMMIT");
  }
  std::atomic<bool> stop{false};
  std::atomic<bool> failed{false};
  std::thread writer([&] {
    Sql sql(node);
    sql.busy_timeout(5000);
    for (int i = 0; !stop; i++) {
      const std::string id = std::to_string(1 + i * 37 % 100);
      const std::string other = std::to_string(1 + i * 53 % 100);
      if (sql.attempt("BEGIN IMMEDIATE; UPDATE a SET x = x + 1, pad = randomblob(2000) WHERE id = " + id +
                      "; UPDATE b SET x = x - 1, pad = randomblob(2000) WHERE id = " + other + "; COMMIT") !=
          SQLITE_OK) {
        failed = true;
      }
    }
  });
  std::thread checkpoints([&] {
    while (!stop) {
      if (!node.databases().checkpoint_cluster(std::chrono::steady_clock::now() + std::chrono::seconds(20)))
        failed = true;
    }
  });
  for (int i = 0; i < 20; i++) {
    const std::string each = path + std::to_string(i);
    Result<uint64_t> index = write_backup(posix_files(), node.database(), each, go_on);
    if (!index) {
      failed = true;
      break;
    }
    Sql stock(each);
    if (stock.value("PRAGMA integrity_check") != "ok") failed = true;
    if (stock.value("SELECT (SELECT sum(x) FROM a) + (SELECT sum(x) FROM b)") != "0") failed = true;
  }
  stop = true;
  writer.join();
  checkpoints.join();
  CHECK_FALSE(failed);
}

TEST(Backup, replaces_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  for (const char* suffix : {"", ".part", "-journal", "-wal"}) {
    {
      Sql other(path + suffix);
      other.run("CREATE TABLE theirs(x)");
    }
    const std::string before = file_content(path + suffix);
    STRCMP_CONTAINS((path + suffix + " is there already").c_str(), refusal(node).c_str());
    CHECK(before == file_content(path + suffix));
    std::filesystem::remove(path + suffix);
    CHECK(leaves_nothing());
  }
}

TEST(Backup, a_file_that_appears_meanwhile_stays) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x)");
  Result<uint64_t> index = write_backup(posix_files(), node.database(), path, [&] {
    if (!std::filesystem::exists(path)) {
      Sql other(path);
      other.run("CREATE TABLE theirs(x)");
    }
    return Status::ok();
  });
  CHECK(index.status().code() == Code::kRefused);
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
  Sql other(path);
  STRCMP_EQUAL("theirs", other.value("SELECT name FROM sqlite_schema").c_str());
}

TEST(Backup, that_is_interrupted_leaves_nothing) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(1000000))");
  int left = 3;
  Result<uint64_t> index = write_backup(posix_files(), node.database(), path, [&]() -> Status {
    return --left > 0 ? Status::ok() : Status(Code::kBusy, "interrupted");
  });
  STRCMP_EQUAL("interrupted", index.status().sentence().c_str());
  CHECK(leaves_nothing());
}

TEST(Backup, A6_a_rotten_page_does_not_get_into_it) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(100000))");
  node.checkpoint();
  rot_byte(directory.path() + "/app.db", 4096 * 10 + 17);
  STRCMP_CONTAINS("page 11 of ", refusal(node).c_str());
  CHECK(leaves_nothing());
}

TEST(Backup, ends_when_the_whole_copy_is_replaced) {
  TestNode node(directory.path());
  Sql sql(node);
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(1000000))");
  node.checkpoint();
  int pauses = 0;
  Result<uint64_t> index = write_backup(posix_files(), node.database(), path, [&] {
    if (pauses++ != 2) return Status::ok();
    // A newer copy arrives, with the same pages but for page 1.
    CheckpointRecord next = node.database().versions().file().record();
    next.index++;
    auto copy = std::make_shared<std::string>(file_content(directory.path() + "/app.db"));
    return node.database().replace(
        next,
        [copy, next](uint32_t number, std::span<uint8_t> out) {
          std::copy_n(copy->begin() + static_cast<long>(number - 1) * next.page_size, out.size(),
                      out.begin());
          if (number == 1) codec::make_canonical_page1(out);
          return Status::ok();
        },
        std::chrono::steady_clock::now() + std::chrono::seconds(5));
  });
  CHECK(index.status().code() == Code::kBusy);
  STRCMP_CONTAINS("was replaced by a newer one meanwhile", index.status().sentence().c_str());
  CHECK(leaves_nothing());
}

// --- disks that fail ---

TEST_GROUP(BackupFaults) {
  TemporaryDirectory directory;
  TestNode node{directory.path()};
  FaultDisk disk{7};
  const std::string path = "/backup/copy.db";

  void setup() override {
    Sql sql(node);
    sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(30000))");
    node.checkpoint();
    sql.run("INSERT INTO t VALUES(randomblob(5000))");
  }
  Result<uint64_t> back_up() {
    FaultFiles files(disk);
    return write_backup(files, node.database(), path, go_on);
  }
  std::string whole_backup() {
    FaultDisk good;
    FaultFiles files(good);
    CHECK(write_backup(files, node.database(), path, go_on).is_ok());
    Bytes bytes = *good.look(path);
    return {bytes.begin(), bytes.end()};
  }
};

TEST(BackupFaults, a_full_disk_or_an_error_at_any_call_leaves_nothing) {
  bool was_full = false;
  for (Fault fault : {Fault::kNoSpace, Fault::kError}) {
    for (uint64_t call = 1;; call++) {
      disk.fail_call(call, fault);
      Result<uint64_t> index = back_up();
      const bool was_reached = disk.calls() >= call;
      disk.forgive();
      if (index) {
        disk.erase(path);
        if (!was_reached) break;
        continue;
      }
      CHECK(index.status().code() == (fault == Fault::kNoSpace ? Code::kFull : Code::kRefused));
      was_full = was_full || fault == Fault::kNoSpace;
      STRCMP_CONTAINS(path.c_str(), index.status().sentence().c_str());
      CHECK(disk.paths().empty());
    }
  }
  CHECK(was_full);
}

TEST(BackupFaults, B12_a_machine_that_stops_at_any_call_leaves_no_half_file_under_the_name) {
  const std::string whole = whole_backup();
  bool was_whole = false;
  for (uint64_t call = 1;; call++) {
    disk = FaultDisk(call);
    disk.fail_call(call, Fault::kStop);
    Result<uint64_t> index = back_up();
    const bool was_stopped = disk.stopped();
    disk.lose_power();
    std::optional<Bytes> found = disk.look(path);
    if (found) CHECK(std::string(found->begin(), found->end()) == whole);
    was_whole = was_whole || found.has_value();
    if (index) CHECK(found.has_value());
    if (!was_stopped) break;
  }
  CHECK(was_whole);
}

TEST(BackupFaults, a_directory_that_cannot_be_synced_keeps_its_backup) {
  struct Unsyncable : FaultFiles {
    using FaultFiles::FaultFiles;
    Code code = Code::kUnsupported;
    Status sync_directory(const std::string&) override { return {code, "not here"}; }
  };
  const std::string whole = whole_backup();
  for (Code code : {Code::kUnsupported, Code::kRefused, Code::kIo}) {
    disk = FaultDisk(1);
    Unsyncable files(disk);
    files.code = code;
    const Status written = write_backup(files, node.database(), path, go_on).status();
    CHECK_EQUAL(code != Code::kIo, written.is_ok());
    CHECK_EQUAL(code != Code::kIo, disk.look(path).has_value());
  }
}
