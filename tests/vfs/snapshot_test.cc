// The state of one node as a byte stream, and its arrival on another.

#include "vfs/snapshot.h"

#include <filesystem>
#include <fstream>

#include "codec/checksum.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_GROUP(Snapshot) {
  TemporaryDirectory sender_directory;
  TemporaryDirectory receiver_directory;

  void checkpoint(TestNode & node) {
    Result<CheckpointReport> report =
        node.databases().checkpoint_cluster(std::chrono::steady_clock::now() + std::chrono::seconds(20));
    if (!report) FAIL(report.status().sentence().c_str());
  }

  Bytes read_all(SnapshotReader & reader, size_t chunk) {
    Bytes all;
    while (all.size() < reader.size_bytes()) {
      Result<Bytes> bytes = reader.read(all.size(), chunk);
      if (!bytes) FAIL(bytes.status().sentence().c_str());
      all.insert(all.end(), bytes->begin(), bytes->end());
    }
    return all;
  }

  Bytes snapshot_of(TestNode & node, size_t chunk = 10000) {
    Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(node.databases());
    if (!reader) FAIL(reader.status().sentence().c_str());
    return read_all(**reader, chunk);
  }

  Status arrive(TestNode & node, const Bytes& stream) {
    Result<std::unique_ptr<SnapshotWriter>> writer = SnapshotWriter::open(node.databases());
    if (!writer) FAIL(writer.status().sentence().c_str());
    if (Status status = (*writer)->write(0, stream); !status) return status;
    return (*writer)->install();
  }

  void fill(Sql & sql, int rows) {
    for (int i = 0; i < rows; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(2000))");
  }
};

TEST(Snapshot, a_copy_has_the_same_rows_and_the_same_bytes) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 40);
  checkpoint(sender);
  TestNode receiver(receiver_directory.path());
  Sql reader(receiver);
  CHECK(arrive(receiver, snapshot_of(sender)).is_ok());
  STRCMP_EQUAL(sql.rows("SELECT id, hex(x) FROM t").c_str(), reader.rows("SELECT id, hex(x) FROM t").c_str());
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
  CHECK(content_of(sender_directory.path() + "/app.db") == content_of(receiver_directory.path() + "/app.db"));
  CHECK(!std::filesystem::exists(receiver_directory.path() + "/dqlite-node/incoming"));
}

TEST(Snapshot, A5_each_database_has_its_own_index_and_skips_what_its_copy_holds) {
  TestNode sender(sender_directory.path());
  Sql first(sender, "first.db");
  Sql second(sender, "second.db");
  first.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  second.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(first, 5);
  checkpoint(sender);
  fill(second, 5);
  fill(first, 5);
  Bytes stream = snapshot_of(sender);
  TestNode receiver(receiver_directory.path());
  CHECK(arrive(receiver, stream).is_ok());
  // The whole log again: what the copies hold must not be applied twice.
  std::vector<LogEntry> log = sender.cluster().log();
  for (size_t i = 0; i < log.size(); i++) {
    if (log[i].payload == nullptr) continue;
    Status status = receiver.databases().apply(i + 1, log[i].term, *log[i].payload, std::nullopt);
    if (!status) FAIL(status.sentence().c_str());
  }
  Sql copy_of_first(receiver, "first.db");
  Sql copy_of_second(receiver, "second.db");
  STRCMP_EQUAL(first.rows("SELECT id, hex(x) FROM t").c_str(),
               copy_of_first.rows("SELECT id, hex(x) FROM t").c_str());
  STRCMP_EQUAL(second.rows("SELECT id, hex(x) FROM t").c_str(),
               copy_of_second.rows("SELECT id, hex(x) FROM t").c_str());
}

TEST(Snapshot, B2_checkpoints_go_on_while_a_copy_is_read_and_the_copy_stays_whole) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 40);
  checkpoint(sender);
  std::string before = sql.rows("SELECT id, hex(x) FROM t");
  Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(sender.databases());
  CHECK(reader.is_ok());
  for (int round = 0; round < 3; round++) {
    sql.run("UPDATE t SET x=randomblob(2000); DELETE FROM t WHERE id % 7 = 3");
    fill(sql, 3);
    checkpoint(sender);
  }
  sql.run("DELETE FROM t WHERE id < 30; VACUUM");
  checkpoint(sender);
  TestNode receiver(receiver_directory.path());
  CHECK(arrive(receiver, read_all(**reader, 4096)).is_ok());
  Sql copy(receiver);
  STRCMP_EQUAL(before.c_str(), copy.rows("SELECT id, hex(x) FROM t").c_str());
}

TEST(Snapshot, B10_an_installation_that_a_crash_cut_off_is_finished_at_the_next_start) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 10);
  checkpoint(sender);
  Bytes stream = snapshot_of(sender);
  std::string node_directory = receiver_directory.path() + "/dqlite-node";
  std::filesystem::create_directories(node_directory);
  std::ofstream(node_directory + "/incoming", std::ios::binary)
      .write(reinterpret_cast<const char*>(stream.data()), static_cast<std::streamsize>(stream.size()));
  TestNode receiver(receiver_directory.path());
  Sql copy(receiver);
  STRCMP_EQUAL("10", copy.value("SELECT count(*) FROM t").c_str());
  CHECK(!std::filesystem::exists(node_directory + "/incoming"));
}

TEST(Snapshot, A5_a_state_that_is_only_in_memory_is_moved_to_the_file_by_the_copy) {
  // With the copy goes the receiver's own log: what only its frames hold would be gone after a crash.
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 5);
  TestNode receiver(receiver_directory.path());
  std::vector<LogEntry> log = sender.cluster().log();
  for (size_t i = 0; i < log.size(); i++) {
    if (log[i].payload == nullptr) continue;
    CHECK(receiver.databases().apply(i + 1, log[i].term, *log[i].payload, std::nullopt).is_ok());
  }
  checkpoint(sender);
  CHECK(arrive(receiver, snapshot_of(sender)).is_ok());
  CommittedView view = receiver.database().committed();
  CHECK_EQUAL(sender.database().committed().mark.index, view.file->record().index);
  CHECK_EQUAL(view.mark.index, view.file->record().index);
}

TEST(Snapshot, A5_a_commit_without_a_changed_page_does_not_make_the_copy_newer_than_it_is) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 3);
  // SQLite writes page 1, and with what it counts there left out it is the page of before: no change travels.
  sql.run("PRAGMA user_version = 0");
  sender.cluster().wait_idle();
  // A node that applied all this from the log, and checkpointed before the last entry.
  TestNode follower(receiver_directory.path());
  std::vector<LogEntry> log = sender.cluster().log();
  Result<DatabaseCheckpoint> moved = DatabaseCheckpoint{};
  for (size_t i = 0; i < log.size(); i++) {
    if (i + 1 == log.size()) {
      moved = follower.database().checkpoint(i, std::chrono::steady_clock::now() + std::chrono::seconds(5));
    }
    if (log[i].payload != nullptr) {
      CHECK(follower.databases().apply(i + 1, log[i].term, *log[i].payload, std::nullopt).is_ok());
    }
    follower.databases().applied(i + 1, log[i].term);
  }
  CHECK(moved.is_ok());
  CHECK_EQUAL(0U, follower.database().wal_frames());
  CHECK(follower.database().committed().mark.index > follower.database().committed().file->record().index);
  Result<std::unique_ptr<SnapshotReader>> reader = SnapshotReader::open(follower.databases());
  CHECK(reader.is_ok());
  CHECK_EQUAL(follower.database().committed().file->record().index, (*reader)->last().index);
}

TEST(Snapshot, B10_an_installation_that_finds_the_file_busy_leaves_no_trace) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 5);
  checkpoint(sender);
  Bytes old_state = snapshot_of(sender);
  fill(sql, 5);
  checkpoint(sender);
  TestNode receiver(receiver_directory.path());
  CHECK(arrive(receiver, old_state).is_ok());
  Sql stock("file:" + receiver_directory.path() + "/app.db?vfs=unix-excl&mode=ro");
  sqlite3_stmt* reading = nullptr;
  sqlite3_prepare_v2(stock.handle(), "SELECT x FROM t", -1, &reading, nullptr);
  CHECK_EQUAL(SQLITE_ROW, sqlite3_step(reading));
  Status status = arrive(receiver, snapshot_of(sender));
  CHECK(status.code() == Code::kBusy);
  CHECK(!std::filesystem::exists(receiver_directory.path() + "/dqlite-node/incoming"));
  sqlite3_finalize(reading);
  Sql reader(receiver);
  STRCMP_EQUAL("5", reader.value("SELECT count(*) FROM t").c_str());
  CHECK(arrive(receiver, snapshot_of(sender)).is_ok());
  STRCMP_EQUAL("10", reader.value("SELECT count(*) FROM t").c_str());
}

TEST(Snapshot, B10_an_installation_cut_off_between_two_databases_is_for_the_next_start) {
  TestNode sender(sender_directory.path());
  Sql first(sender, "first.db");
  Sql second(sender, "second.db");
  first.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  second.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  checkpoint(sender);
  Bytes old_state = snapshot_of(sender);
  fill(first, 5);
  fill(second, 5);
  checkpoint(sender);
  Bytes stream = snapshot_of(sender);
  {
    TestNode receiver(receiver_directory.path());
    CHECK(arrive(receiver, old_state).is_ok());
    Sql stock("file:" + receiver_directory.path() + "/second.db?vfs=unix-excl&mode=ro");
    sqlite3_stmt* reading = nullptr;
    sqlite3_prepare_v2(stock.handle(), "SELECT * FROM sqlite_schema", -1, &reading, nullptr);
    CHECK_EQUAL(SQLITE_ROW, sqlite3_step(reading));
    Status status = arrive(receiver, stream);
    CHECK(status.code() == Code::kPoisoned);
    STRCMP_CONTAINS("when the process starts again", status.sentence().c_str());
    CHECK(std::filesystem::exists(receiver_directory.path() + "/dqlite-node/incoming"));
    sqlite3_finalize(reading);
  }
  TestNode receiver(receiver_directory.path());
  Sql copy_of_first(receiver, "first.db");
  Sql copy_of_second(receiver, "second.db");
  STRCMP_EQUAL("5", copy_of_first.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("5", copy_of_second.value("SELECT count(*) FROM t").c_str());
}

TEST(Snapshot, B8_an_adopted_file_arrives_though_no_entry_ever_changed_it) {
  {
    Sql stock(sender_directory.path() + "/app.db");
    stock.run("CREATE TABLE t(x); INSERT INTO t VALUES('from before')");
  }
  TestNode sender(sender_directory.path());
  CHECK(sender.databases().open_database("app.db", true).is_ok());
  CHECK(sender.databases().adopt("app.db").is_ok());
  sender.databases().applied(1, 1);
  TestNode receiver(receiver_directory.path());
  Status arrived = arrive(receiver, snapshot_of(sender));
  if (!arrived) FAIL(arrived.sentence().c_str());
  Sql copy(receiver);
  STRCMP_EQUAL("from before", copy.value("SELECT x FROM t").c_str());
  CHECK(content_of(sender_directory.path() + "/app.db") == content_of(receiver_directory.path() + "/app.db"));
}

TEST(Snapshot, an_empty_database_arrives_too) {
  TestNode sender(sender_directory.path());
  CHECK(sender.databases().open_database("app.db", true).is_ok());
  CHECK(sender.database().create(3, 4096, 3, 1).is_ok());
  TestNode receiver(receiver_directory.path());
  Status arrived = arrive(receiver, snapshot_of(sender));
  if (!arrived) FAIL(arrived.sentence().c_str());
  UNSIGNED_LONGS_EQUAL(3, receiver.database().id());
  UNSIGNED_LONGS_EQUAL(3, receiver.database().committed().mark.index);
}

TEST(Snapshot, a_stream_with_a_flipped_bit_is_refused_and_changes_nothing) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 5);
  checkpoint(sender);
  Bytes stream = snapshot_of(sender);
  TestNode receiver(receiver_directory.path());
  for (size_t position :
       {size_t{0}, size_t{7}, size_t{20}, size_t{60}, stream.size() / 2, stream.size() - 1}) {
    Bytes flipped = stream;
    flipped[position] ^= 0x10;
    CHECK(!arrive(receiver, flipped).is_ok());
  }
  Bytes cut(stream.begin(), stream.end() - 1);
  CHECK(!arrive(receiver, cut).is_ok());
  CHECK(receiver.databases().databases().empty());
  CHECK(!std::filesystem::exists(receiver_directory.path() + "/dqlite-node/incoming.part"));
}

TEST(Snapshot, S3_what_came_of_a_stream_that_was_cut_off_is_held_by_the_next) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 40);
  checkpoint(sender);
  const Bytes stream = snapshot_of(sender);
  TestNode receiver(receiver_directory.path());
  constexpr size_t kPiece = 10000;
  {
    Result<std::unique_ptr<SnapshotWriter>> cut_off = SnapshotWriter::open(receiver.databases());
    CHECK(cut_off.is_ok());
    LONGS_EQUAL(0, (*cut_off)->held(kPiece)->size());  // an empty node has nothing to offer
    CHECK((*cut_off)->write(0, ByteView(stream).first(3 * kPiece)).is_ok());
    (*cut_off)->keep();
  }
  Result<std::unique_ptr<SnapshotWriter>> next = SnapshotWriter::open(receiver.databases());
  CHECK(next.is_ok());
  const std::vector<uint64_t> held = *(*next)->held(kPiece);
  LONGS_EQUAL(3, held.size());
  for (size_t i = 0; i < held.size(); i++) {
    CHECK(held[i] == codec::checksum(ByteView(stream).subspan(i * kPiece, kPiece)));
  }
  CHECK((*next)->write(3 * kPiece, ByteView(stream).subspan(3 * kPiece)).is_ok());
  CHECK((*next)->install().is_ok());
  Sql reader(receiver);
  STRCMP_EQUAL("40", reader.value("SELECT count(*) FROM t").c_str());
}

TEST(Snapshot, a_stream_begins_as_the_nodes_own_state_so_that_only_what_differs_must_come) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 100);
  checkpoint(sender);
  TestNode receiver(receiver_directory.path());
  CHECK(arrive(receiver, snapshot_of(sender)).is_ok());
  sql.run("UPDATE t SET x = zeroblob(2000) WHERE id = 50");
  checkpoint(sender);
  const Bytes stream = snapshot_of(sender);
  Result<std::unique_ptr<SnapshotWriter>> writer = SnapshotWriter::open(receiver.databases());
  CHECK(writer.is_ok());
  constexpr size_t kPiece = 4096;
  const std::vector<uint64_t> held = *(*writer)->held(kPiece);
  size_t written = 0;
  for (size_t i = 0; i * kPiece < stream.size(); i++) {
    const ByteView piece = ByteView(stream).subspan(i * kPiece, std::min(kPiece, stream.size() - i * kPiece));
    if (i < held.size() && held[i] == codec::checksum(piece)) continue;
    CHECK((*writer)->write(i * kPiece, piece).is_ok());
    written++;
  }
  CHECK(written > 0 && written < 6);  // the header, page 1, and what the row touches
  CHECK((*writer)->install().is_ok());
  Sql reader(receiver);
  STRCMP_EQUAL(sql.rows("SELECT id, hex(x) FROM t").c_str(), reader.rows("SELECT id, hex(x) FROM t").c_str());
}

TEST(Snapshot, a_stream_that_nobody_goes_on_with_can_be_discarded) {
  TestNode receiver(receiver_directory.path());
  const std::string part = receiver_directory.path() + "/dqlite-node/incoming.part";
  {
    Result<std::unique_ptr<SnapshotWriter>> cut_off = SnapshotWriter::open(receiver.databases());
    CHECK((*cut_off)->write(0, Bytes(100, 1)).is_ok());
    (*cut_off)->keep();
  }
  CHECK(std::filesystem::exists(part));
  CHECK(finish_installation(receiver.databases()).is_ok());  // a start of the node leaves it
  CHECK(std::filesystem::exists(part));
  CHECK(discard_kept_stream(receiver.databases()).is_ok());
  CHECK(!std::filesystem::exists(part));
}

TEST(Snapshot, a_reader_of_the_replaced_copy_gets_an_error_and_then_the_new_rows) {
  TestNode sender(sender_directory.path());
  Sql sql(sender);
  sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  fill(sql, 10);
  checkpoint(sender);
  Bytes early = snapshot_of(sender);
  fill(sql, 200);
  checkpoint(sender);
  Bytes late = snapshot_of(sender);
  TestNode receiver(receiver_directory.path());
  CHECK(arrive(receiver, early).is_ok());
  Sql reader(receiver);
  reader.run("BEGIN");
  STRCMP_EQUAL("10", reader.value("SELECT count(*) FROM t").c_str());
  reader.run("PRAGMA cache_size=1; PRAGMA shrink_memory");
  CHECK(arrive(receiver, late).is_ok());
  LONGS_EQUAL(SQLITE_IOERR, reader.attempt("SELECT sum(length(x)) FROM t") & 0xff);
  reader.attempt("ROLLBACK");
  STRCMP_EQUAL("210", reader.value("SELECT count(*) FROM t").c_str());
}
