// Rotten pages of one node's file get their content back from another's.

#include "vfs/repairer.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "codec/checksum.h"
#include "tests/vfs/bad_files.h"
#include "tests/vfs/fixture.h"
#include "vfs/backup.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(Repairer) {
  TemporaryDirectory directory;
  TemporaryDirectory other_directory;
  BadFiles files;
  std::unique_ptr<TestNode> node;
  std::unique_ptr<TestNode> other;
  std::vector<LogEntry> log;

  // Two nodes with the same file.
  void setup() override {
    {
      TestNode first(directory.path());
      Sql sql(first);
      sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
      for (int i = 0; i < 60; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(3000))");
      first.checkpoint();
      log = first.cluster().log();
      std::filesystem::copy(directory.path(), other_directory.path(),
                            std::filesystem::copy_options::recursive);
    }
    node = std::make_unique<TestNode>(directory.path(), log, TransactionLimits(), files);
    other = std::make_unique<TestNode>(other_directory.path(), log);
    node->cluster().set_other(&other->databases());
  }
  void teardown() override {
    node.reset();
    other.reset();
  }
  static std::string file_of(const TestNode& each) {
    return each.directory() + "/app.db";
  }
  static void spoil(const TestNode& each, uint32_t page_number) {
    int descriptor = ::open(file_of(each).c_str(), O_RDWR);
    CHECK_EQUAL(3, ::pwrite(descriptor, "rot", 3, 4096L * (page_number - 1) + 200));
    ::close(descriptor);
  }
  static bool comes_true(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    }
    return true;
  }
  bool is_well() const {
    return node->cluster().doubts().size() >= 2 && node->cluster().doubt().empty();
  }
  bool doubt_names(const std::string& what) const {
    return node->cluster().doubt().find(what) != std::string::npos;
  }
  bool is_healed() const {
    return file_content(file_of(*node)) == file_content(file_of(*other));
  }
};

TEST(Repairer, B9_pages_that_rotted_are_fetched_and_the_doubt_ends) {
  spoil(*node, 1);
  spoil(*node, 11);
  spoil(*node, 40);
  node->cluster().set_other(nullptr);
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return doubt_names("and so are 2 more pages"); }));
  STRCMP_CONTAINS("page 1 of ", node->cluster().doubt().c_str());
  node->cluster().set_other(&other->databases());
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(is_healed());
  CHECK(verify_copy(node->database(), [] { return Status::ok(); }).status.is_ok());
  // The next start finds nothing that another program could have changed.
  node.reset();
  node = std::make_unique<TestNode>(directory.path());
  Sql sql(*node);
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(Repairer, B9_a_read_that_meets_rot_fails_once_and_has_it_repaired) {
  spoil(*node, 11);
  Sql sql(*node);
  CHECK_EQUAL(SQLITE_IOERR_READ, sql.attempt("SELECT sum(length(x)) FROM t"));
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(is_healed());
  STRCMP_EQUAL("180000", sql.value("SELECT sum(length(x)) FROM t").c_str());
}

TEST(Repairer, a_page_that_only_newer_states_of_the_other_have_is_taken_from_below_them) {
  Sql writer(*other);
  writer.run("UPDATE t SET x = randomblob(3000)");
  spoil(*node, 11);
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(verify_copy(node->database(), [] { return Status::ok(); }).status.is_ok());
}

TEST(Repairer, B9_stays_in_doubt_while_nobody_has_the_page_and_goes_on_when_somebody_does) {
  spoil(*node, 11);
  node->cluster().set_other(nullptr);
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return !node->cluster().doubts().empty(); }));
  Result<Bytes> nothing = node->cluster().ask_others(encode_page_question({1, 11, 5}), Deadline::max());
  CHECK(nothing.status().code() == Code::kNotFound);
  STRCMP_CONTAINS("page 11 of ", node->cluster().doubt().c_str());
  CHECK_FALSE(is_healed());
  node->cluster().set_other(&other->databases());
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(is_healed());
}

TEST(Repairer, nothing_but_what_the_checkpoint_wrote_gets_into_the_file) {
  const std::string before = file_content(file_of(*node));
  Bytes page(4096, uint8_t{7});
  CHECK(node->database().repair(11, page).code() == Code::kInvalid);
  CHECK(node->database().repair(0, page).code() == Code::kInvalid);
  CHECK(node->database().repair(100000, page).code() == Code::kInvalid);
  CHECK(before == file_content(file_of(*node)));
}

TEST(Repairer, a_page_is_found_by_its_hash_in_memory_and_in_the_file) {
  DatabaseFile& file = other->database().versions().file();
  const uint64_t in_file = file.expected_hash(11);
  CHECK(other->database().find_page(11, in_file).is_ok());
  Sql writer(*other);
  writer.run("UPDATE t SET x = randomblob(3000)");
  CHECK(other->database().find_page(11, in_file).is_ok());
  Result<SharedPage> newest = other->database().newest_page(11);
  const uint64_t in_memory = codec::page_hash(11, **newest);
  CHECK(in_memory != in_file);
  CHECK(other->database().find_page(11, in_memory).is_ok());
  CHECK(other->database().find_page(11, 5).status().code() == Code::kNotFound);
}

TEST(Repairer, A6_a_copy_that_is_wrong_in_memory_stops_the_node) {
  Sql sql(*node);
  sql.run("UPDATE t SET x = 1 WHERE id = 1");
  SharedPage newest = node->database().frame(node->database().committed().mark.sequence).bytes();
  const_cast<Bytes&>(*newest)[100] ^= 1;
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return !node->cluster().difference().empty(); }));
  STRCMP_CONTAINS("so memory is not", node->cluster().difference().c_str());
  const_cast<Bytes&>(*newest)[100] ^= 1;
}

TEST(Repairer, A12_a_repair_whose_sync_failed_stops_the_node_and_ends_no_doubt) {
  spoil(*node, 11);
  files.fail_syncs();
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return !node->cluster().difference().empty(); }));
  STRCMP_CONTAINS("fsync failed on request", node->cluster().difference().c_str());
  STRCMP_CONTAINS("page 11 of ", node->cluster().doubt().c_str());
}

// --- whoever meets rot has it repaired ---

TEST(Repairer, B9_a_rotten_first_page_is_met_by_who_opens_the_database) {
  spoil(*node, 1);
  {
    Sql sql("file:" + node->directory() + "/app.db?vfs=dqlite");
    CHECK(sql.open_result() != SQLITE_OK || sql.attempt("SELECT count(*) FROM t") != SQLITE_OK);
  }
  CHECK(comes_true([this] { return is_well(); }));
  Sql sql(*node);
  STRCMP_EQUAL("60", sql.value("SELECT count(*) FROM t").c_str());
}

TEST(Repairer, B9_a_sector_that_cannot_be_read_is_rot) {
  files.make_unreadable(4096 * 10);
  Sql sql(*node);
  CHECK_EQUAL(SQLITE_IOERR_READ, sql.attempt("SELECT sum(length(x)) FROM t"));
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(files.is_readable(4096 * 10));
  STRCMP_EQUAL("180000", sql.value("SELECT sum(length(x)) FROM t").c_str());
}

TEST(Repairer, B9_a_snapshot_for_another_member_meets_rot) {
  spoil(*node, 11);
  const auto whole = [this]() -> Status {
    Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(node->databases());
    if (!reader) return reader.status();
    return (*reader)->read(0, (*reader)->size_bytes()).status();
  };
  CHECK(whole().code() == Code::kCorrupt);
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(whole().is_ok());
}

TEST(Repairer, B9_a_backup_meets_rot) {
  TemporaryDirectory target;
  spoil(*node, 11);
  const auto back_up = [&] {
    return write_backup(posix_files(), node->database(), target.path() + "/copy.db",
                        [] { return Status::ok(); })
        .status();
  };
  CHECK(back_up().code() == Code::kCorrupt);
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(back_up().is_ok());
}

TEST(Repairer, B9_a_checkpoint_meets_rot_in_what_a_reader_still_needs) {
  Sql reader(*node);
  reader.run("BEGIN");
  STRCMP_EQUAL("60", reader.value("SELECT count(*) FROM t").c_str());
  Sql writer(*node);
  writer.run("UPDATE t SET x = randomblob(3000)");
  spoil(*node, 11);
  node->checkpoint();
  CHECK(comes_true([this] { return is_well(); }));
  STRCMP_EQUAL("180000", reader.value("SELECT sum(length(x)) FROM t").c_str());
}

TEST(Repairer, a_checkpoint_heals_pages_that_cannot_be_read_and_waits_for_the_repair_of_page_1_alone) {
  Sql sql(*node);
  sql.run("UPDATE t SET x = randomblob(3000)");
  files.make_unreadable(4096 * 10);
  files.make_unreadable(4096 * 12);
  files.make_unreadable(0);
  node->checkpoint();
  CHECK(node->database().versions().file().failure().is_ok());
  CHECK(files.is_readable(4096 * 10) && files.is_readable(4096 * 12) && files.is_readable(0));
  STRCMP_CONTAINS("page 1 of ", node->cluster().doubts().front().c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  CHECK(verify_copy(node->database(), [] { return Status::ok(); }).status.is_ok());
}

TEST(Repairer, a_copy_that_arrives_heals_pages_that_cannot_be_read) {
  CheckpointRecord next = node->database().versions().file().record();
  next.index++;
  files.make_unreadable(4096 * 10);
  DatabaseFile& good = other->database().versions().file();
  Status replaced = node->database().replace(
      next, [&](uint32_t number, std::span<uint8_t> out) { return good.read(number, out); },
      std::chrono::steady_clock::now() + std::chrono::seconds(5));
  if (!replaced) FAIL(replaced.sentence().c_str());
  CHECK(files.is_readable(4096 * 10));
}

TEST(Repairer, B9_the_doubt_begins_with_the_first_read_whatever_the_verifier_is_at) {
  std::mutex busy;
  std::unique_lock is_busy(busy);
  node->databases().verifier().ask(encode_page_question({1, 1, 5}),
                                   [&](const Result<Bytes>&) { std::lock_guard until_it_may_go_on(busy); });
  spoil(*node, 11);
  Sql sql(*node);
  CHECK_EQUAL(SQLITE_IOERR_READ, sql.attempt("SELECT sum(length(x)) FROM t"));
  STRCMP_CONTAINS("page 11 of ", node->cluster().doubts().front().c_str());
  CHECK(comes_true([this] { return is_well(); }));
  CHECK(is_healed());
  is_busy.unlock();
  node->databases().stop_reading();
}

TEST(Repairer, who_polls_a_page_that_nobody_has_lets_the_file_be_read_once) {
  node->cluster().set_other(nullptr);
  spoil(*node, 11);
  Sql sql(*node);
  for (int i = 0; i < 500; i++) {
    CHECK_EQUAL(SQLITE_IOERR_READ, sql.attempt("SELECT sum(length(x)) FROM t"));
  }
  CHECK(comes_true([this] { return files.readings() == 1; }));
  for (int i = 0; i < 500; i++) {
    CHECK_EQUAL(SQLITE_IOERR_READ, sql.attempt("SELECT sum(length(x)) FROM t"));
  }
  LONGS_EQUAL(1, files.readings());
}

TEST(Repairer, a_doubt_is_told_again_while_it_lasts) {
  node->cluster().set_other(nullptr);
  spoil(*node, 11);
  node->databases().verifier().suspect();
  CHECK(comes_true([this] { return node->cluster().doubts().size() >= 3; }));
  for (const std::string& each : node->cluster().doubts()) STRCMP_CONTAINS("page 11 of ", each.c_str());
}
