// What a connection is shown, and when it moves forward.

#include <cstring>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

constexpr int kReadLock0 = 3;  // the first of SQLite's read locks (wal.c, WAL_READ_LOCK)
constexpr int kCheckpointLock = 1;
constexpr int kShared = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED;
constexpr int kUnlockShared = SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED;

struct Header {
  uint8_t bytes[48];
  bool operator==(const Header& other) const { return std::memcmp(bytes, other.bytes, 48) == 0; }
  uint32_t change() const {
    uint32_t value = 0;
    std::memcpy(&value, bytes + 8, 4);
    return value;
  }
};

Header header_of(Connection& connection) {
  void volatile* memory = nullptr;
  connection.shm_map(0, 32768, 1, &memory);
  Header header;
  std::memcpy(header.bytes, const_cast<void*>(memory), sizeof(header));
  return header;
}

// Frames in the WAL after each commit, as SQLite counts them.
int count_frames(void* newest, sqlite3*, const char*, int frames) {
  *static_cast<int*>(newest) = frames;
  return SQLITE_OK;
}

}  // namespace

TEST_GROUP(SnapshotPoint) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
  }
  void teardown() override {
    node.reset();
  }

  void fill(Sql & sql, int rows) {
    sql.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    sql.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(rows) + ") INSERT INTO t SELECT i, 1, hex(zeroblob(400)) FROM n");
  }
};

TEST(SnapshotPoint, V_B5_the_header_moves_at_most_once_for_each_attempt_of_a_reader) {
  Sql writer(*node);
  fill(writer, 5);
  // SQLite's own attempts, by hand: it takes a read lock, finds the header changed, and comes again.
  Connection reader(node->databases(), node->database(), {});
  header_of(reader);
  for (int attempt = 0; attempt < 10; attempt++) {
    Header before = header_of(reader);
    writer.run("UPDATE t SET x = x + 1");
    CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kShared));
    Header moved = header_of(reader);
    CHECK_FALSE(before == moved);
    CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kUnlockShared));
    writer.run("UPDATE t SET x = x + 1");  // another commit in between
    CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kShared));
    CHECK_TRUE(moved == header_of(reader));  // and still it is not moved again
    CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kUnlockShared));
  }
}

TEST(SnapshotPoint, V_B5_a_reader_that_was_passed_by_a_checkpoint_is_moved_all_the_same) {
  Sql writer(*node);
  fill(writer, 5);
  Connection reader(node->databases(), node->database(), {});
  header_of(reader);
  writer.run("UPDATE t SET x = x + 1");
  CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kShared));
  CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kUnlockShared));
  Header moved = header_of(reader);
  writer.run("UPDATE t SET x = x + 1");
  node->checkpoint();
  CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kShared));
  CHECK_FALSE(moved == header_of(reader));
  CHECK_EQUAL(SQLITE_OK, reader.shm_lock(kReadLock0, 1, kUnlockShared));
}

TEST(SnapshotPoint, V_B5_readers_under_a_storm_of_commits_never_fail) {
  Sql writer(*node);
  fill(writer, 5);
  std::atomic<bool> stop{false};
  std::thread storm([&] {
    Sql sql(*node);
    while (!stop) (void)sql.attempt("UPDATE t SET x = x + 1");
  });
  Sql reader(*node);
  reader.busy_timeout(0);
  int failures = 0;
  for (int i = 0; i < 300; i++) failures += reader.attempt("SELECT sum(x) FROM t") != SQLITE_OK ? 1 : 0;
  stop = true;
  storm.join();
  CHECK_EQUAL(0, failures);
}

TEST(SnapshotPoint, V_A1_a_stock_reader_that_stays_connected_sees_whole_checkpoints) {
  Sql sql(*node);
  fill(sql, 200);
  node->checkpoint();
  Sql stock(stock_uri(*node));
  stock.run("PRAGMA cache_size = 2000");
  STRCMP_EQUAL("200", stock.value("SELECT sum(x) FROM t").c_str());
  for (int i = 2; i <= 5; i++) {
    sql.run("UPDATE t SET x = x + 1");  // touches no page 1
    std::string before = stock.value("SELECT sum(x) FROM t");
    STRCMP_EQUAL(std::to_string(200 * (i - 1)).c_str(), before.c_str());
    node->checkpoint();
    STRCMP_EQUAL(std::to_string(200 * i).c_str(), stock.value("SELECT sum(x) FROM t").c_str());
  }
  STRCMP_EQUAL("ok", stock.value("PRAGMA integrity_check").c_str());
  CHECK_EQUAL(SQLITE_BUSY, stock.attempt("DELETE FROM t"));
}

TEST(SnapshotPoint, V_A2_a_checkpoint_keeps_what_an_open_snapshot_still_reads_from_the_file) {
  Sql writer(*node);
  fill(writer, 300);
  node->checkpoint();
  Sql reader(*node);
  reader.run("PRAGMA cache_size = 2; BEGIN");
  STRCMP_EQUAL("300", reader.value("SELECT sum(x) FROM t").c_str());
  for (int i = 0; i < 3; i++) {
    writer.run("UPDATE t SET x = x + 1000, y = ''");
    node->checkpoint();
    STRCMP_EQUAL("300", reader.value("SELECT sum(x) FROM t").c_str());
    STRCMP_EQUAL("240000", reader.value("SELECT sum(length(y)) FROM t").c_str());
  }
  CHECK(node->database().versions().kept_bytes() > 0);
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
  reader.run("COMMIT");
  STRCMP_EQUAL("900300", reader.value("SELECT sum(x) FROM t").c_str());
  // Idle connections, like `writer` now, keep nothing alive.
  LONGS_EQUAL(0, node->database().versions().kept_bytes());
}

TEST(SnapshotPoint, V_A2_a_snapshot_survives_a_database_that_shrinks_under_it) {
  Sql writer(*node);
  writer.run("PRAGMA auto_vacuum = FULL");
  fill(writer, 300);
  node->checkpoint();
  Sql reader(*node);
  reader.run("PRAGMA cache_size = 2; BEGIN");
  STRCMP_EQUAL("300", reader.value("SELECT sum(x) FROM t").c_str());
  writer.run("DELETE FROM t WHERE id > 10");
  node->checkpoint();
  STRCMP_EQUAL("120000|300\n", reader.rows("SELECT sum(length(y)) / 2, sum(x) FROM t").c_str());
  writer.run("INSERT INTO t SELECT id + 1000, 5, zeroblob(900) FROM t");
  node->checkpoint();
  STRCMP_EQUAL("120000|300\n", reader.rows("SELECT sum(length(y)) / 2, sum(x) FROM t").c_str());
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
  reader.run("COMMIT");
  STRCMP_EQUAL("20", reader.value("SELECT count(*) FROM t").c_str());
}

TEST(SnapshotPoint, V_D2_private_frame_numbers_start_again_before_they_overflow) {
  uint64_t usual = Connection::renumber_after.exchange(300);
  Sql sql(*node);
  Sql reader(*node);
  sql.run("CREATE TABLE t(x)");
  int frames = 0;
  int highest = 0;
  int restarts = 0;
  sqlite3_wal_hook(sql.handle(), count_frames, &frames);
  for (int i = 0; i < 30; i++) {
    int before = frames;
    sql.run("DELETE FROM t; INSERT INTO t VALUES(zeroblob(200000))");
    restarts += frames < before ? 1 : 0;
    highest = std::max(highest, frames);
    STRCMP_EQUAL("200000", reader.value("SELECT length(x) FROM t").c_str());
    node->checkpoint();
  }
  Connection::renumber_after = usual;
  CHECK(restarts >= 3);
  CHECK(highest < 600);
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
}

TEST(SnapshotPoint, V_D7_the_own_commit_keeps_the_cache_and_anothers_drops_it) {
  Sql one(*node);
  Sql two(*node);
  fill(one, 200);
  one.value("SELECT sum(x) FROM t");
  two.value("SELECT sum(x) FROM t");
  std::string version = one.value("PRAGMA data_version");
  int hits = 0;
  int misses = 0;
  int ignored = 0;
  one.run("UPDATE t SET x = 2 WHERE id = 1");
  sqlite3_db_status(one.handle(), SQLITE_DBSTATUS_CACHE_MISS, &ignored, &ignored, 1);
  STRCMP_EQUAL(version.c_str(), one.value("PRAGMA data_version").c_str());
  one.value("SELECT sum(x) FROM t");
  sqlite3_db_status(one.handle(), SQLITE_DBSTATUS_CACHE_MISS, &misses, &hits, 0);
  CHECK_EQUAL(0, misses);
  std::string other = two.value("PRAGMA data_version");
  one.run("UPDATE t SET x = 3 WHERE id = 1");
  CHECK_FALSE(other == two.value("PRAGMA data_version"));
}

TEST(SnapshotPoint, V_D8_a_write_after_a_checkpoint_keeps_its_snapshot_and_its_pin) {
  Sql sql(*node);
  fill(sql, 300);
  sql.run("PRAGMA cache_size = 2");
  node->checkpoint();
  // All is in the file: SQLite reads with lock 0, and changes to another one at the first write.
  sql.run("BEGIN");
  STRCMP_EQUAL("300", sql.value("SELECT sum(x) FROM t").c_str());
  sql.run("UPDATE t SET x = 2 WHERE id = 1");
  node->checkpoint();
  STRCMP_EQUAL("301", sql.value("SELECT sum(x) FROM t").c_str());
  sql.run("UPDATE t SET x = x + 1");
  sql.run("COMMIT");
  node->checkpoint();
  STRCMP_EQUAL("601", sql.value("SELECT sum(x) FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}

TEST(SnapshotPoint, V_D11_the_checkpoint_lock_is_never_shared) {
  Sql sql(*node);
  fill(sql, 1);
  Connection connection(node->databases(), node->database(), {});
  header_of(connection);
  CHECK_EQUAL(SQLITE_BUSY, connection.shm_lock(kCheckpointLock, 1, kShared));
  CHECK_EQUAL(SQLITE_BUSY, connection.shm_lock(2, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE));
}

TEST(SnapshotPoint, A2_after_a_restart_a_read_waits_for_a_leader_and_then_shows_what_is_known) {
  Sql patient(*node);
  fill(patient, 3);
  Sql sql(*node, "app.db", "&timeout=20");
  node->cluster().set_caught_up(false);
  STRCMP_EQUAL("3", sql.value("SELECT count(*) FROM t").c_str());
  std::thread later([&] { node->cluster().set_caught_up(true); });
  STRCMP_EQUAL("3", sql.value("SELECT count(*) FROM t").c_str());
  later.join();
}

TEST(SnapshotPoint, A2_without_a_leader_a_node_waits_once_and_not_at_every_attempt_of_a_refused_write) {
  Sql sql(*node, "app.db", "&timeout=40");
  fill(sql, 1);
  node->cluster().set_caught_up(false);
  node->cluster().lose_leadership(false);
  node->cluster().set_standing(Standing::kLeaderless);
  sql.busy_timeout(40);
  CHECK_EQUAL(kNoQuorum, sql.attempt("INSERT INTO t(x) VALUES(9)"));
  STRCMP_EQUAL("1", sql.value("SELECT count(*) FROM t").c_str());
  CHECK_EQUAL(1, node->cluster().waits());
}

TEST(SnapshotPoint, A2_with_a_leader_each_read_waits_until_the_node_knows_what_it_knew) {
  Sql sql(*node, "app.db", "&timeout=20");
  fill(sql, 1);
  node->cluster().set_caught_up(false);
  node->cluster().lose_leadership(false);
  node->cluster().set_standing(Standing::kFollower);
  STRCMP_EQUAL("1", sql.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("1", sql.value("SELECT count(*) FROM t").c_str());
  CHECK_EQUAL(2, node->cluster().waits());
}

TEST(SnapshotPoint, an_empty_database_is_read_before_and_after_its_creation) {
  Sql one(*node);
  Sql two(*node);
  STRCMP_EQUAL("0", one.value("SELECT count(*) FROM sqlite_schema").c_str());
  one.run("BEGIN");
  STRCMP_EQUAL("0", one.value("SELECT count(*) FROM sqlite_schema").c_str());
  two.run("CREATE TABLE t(x)");
  STRCMP_EQUAL("0", one.value("SELECT count(*) FROM sqlite_schema").c_str());
  node->checkpoint();
  STRCMP_EQUAL("0", one.value("SELECT count(*) FROM sqlite_schema").c_str());
  CHECK_EQUAL(SQLITE_BUSY_SNAPSHOT, one.attempt("CREATE TABLE u(x)"));
  one.run("COMMIT");
  STRCMP_EQUAL("1", one.value("SELECT count(*) FROM sqlite_schema").c_str());
  one.run("CREATE TABLE u(x)");
}

TEST(SnapshotPoint, two_connections_that_find_it_empty_create_it_once) {
  Sql one(*node);
  Sql two(*node);
  one.run("BEGIN IMMEDIATE");
  two.busy_timeout(0);
  CHECK_EQUAL(SQLITE_BUSY, two.attempt("CREATE TABLE t(x)"));
  one.run("ROLLBACK");
  two.run("CREATE TABLE t(x)");
  one.run("CREATE TABLE u(x)");
  STRCMP_EQUAL("2", two.value("SELECT count(*) FROM sqlite_schema").c_str());
}

TEST(SnapshotPoint, a_first_transaction_that_fails_leaves_an_empty_database_that_works) {
  Sql one(*node);
  Sql two(*node);
  one.run("CREATE TABLE other(x); DROP TABLE other");
  TemporaryDirectory fresh;
  TestNode empty(fresh.path());
  Sql sql(empty);
  Sql neighbour(empty);
  sql.run("BEGIN IMMEDIATE; CREATE TABLE t(x)");
  empty.cluster().lose_leadership(false);
  empty.cluster().gain_leadership();
  CHECK_EQUAL(kNotCommitted, sql.attempt("COMMIT"));
  STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM sqlite_schema").c_str());
  sql.run("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  STRCMP_EQUAL("1", neighbour.value("SELECT count(*) FROM t").c_str());
  STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
}
