// The same random script on a replicated database and on stock SQLite gives the same rows, the same codes and
// a sound file; and a node that gets the log has the same file byte for byte.

#include <random>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// Random SQL whose effect depends on nothing but its text.
class Script {
 public:
  explicit Script(uint64_t seed) : random_(seed) {}

  std::string setup() {
    static const char* kSizes[] = {"512", "1024", "4096", "8192"};
    static const char* kVacuum[] = {"NONE", "FULL", "INCREMENTAL"};
    return std::string("PRAGMA page_size = ") + kSizes[pick(4)] +
           "; PRAGMA auto_vacuum = " + kVacuum[pick(3)] +
           (pick(4) == 0 ? "; PRAGMA encoding = 'UTF-16le'" : "") + "; PRAGMA recursive_triggers = ON" +
           "; PRAGMA cache_size = " + std::to_string(pick(2) == 0 ? 2 + pick(4) : 2000) +
           "; PRAGMA cache_spill = 1; CREATE TABLE t0(id INTEGER PRIMARY KEY, a, b)";
  }

  std::string next() {
    switch (pick(24)) {
      case 0:
        return "CREATE TABLE " + table() + "(id INTEGER PRIMARY KEY, a, b)";
      case 1:
        return "CREATE TABLE " + table() + "(a PRIMARY KEY, b, id) WITHOUT ROWID";
      case 2:
        return pick(3) == 0 ? "DROP TABLE " + table() : "DELETE FROM " + table();
      case 3:
        return "CREATE INDEX " + index() + " ON " + table() + "(a, b)";
      case 4:
        return "DROP INDEX " + index();
      case 5:
      case 6:
        return "BEGIN";
      case 7:
        return "COMMIT";
      case 8:
        return "ROLLBACK";
      case 9:
        return "SAVEPOINT " + savepoint();
      case 10:
      case 11:
        return "ROLLBACK TO " + savepoint();
      case 12:
        return "RELEASE " + savepoint();
      case 13:
        return pick(2) == 0 ? "VACUUM" : "PRAGMA incremental_vacuum(" + std::to_string(pick(20)) + ")";
      case 14:
        return "DELETE FROM " + table() + " WHERE id % " + std::to_string(2 + pick(3)) + " = 0";
      case 15:
        return "UPDATE " + table() + " SET b = " + value() + " WHERE id % 5 = " + std::to_string(pick(5));
      case 16:
        return "INSERT OR IGNORE INTO " + table() + " SELECT id + 1000, b, a FROM " + table() + " LIMIT 100";
      default:
        return insert();
    }
  }

 private:
  int pick(int end) { return static_cast<int>(random_() % static_cast<uint64_t>(end)); }
  std::string table() { return "t" + std::to_string(pick(4)); }
  std::string index() { return "i" + std::to_string(pick(3)); }
  std::string savepoint() { return "s" + std::to_string(pick(3)); }
  std::string value() {
    int size = pick(8) == 0 ? pick(3000) : pick(200);
    return "substr(hex(zeroblob(" + std::to_string(size) + ")), 1 + " + std::to_string(pick(9)) + ") || '" +
           std::to_string(random_()) + "'";
  }
  std::string insert() {
    std::string rows = std::to_string(1 + pick(40));
    return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + rows +
           ") INSERT OR REPLACE INTO " + table() + "(id, a, b) SELECT i * " + std::to_string(1 + pick(40)) +
           ", i || " + value() + ", " + value() + " FROM n";
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_GROUP(Differential) {
  TemporaryDirectory directory;
  TemporaryDirectory elsewhere;
  TemporaryDirectory plain;
  TransactionLimits limits;

  void compare(Sql & left, Sql & right, const std::string& where) {
    std::string ours = dump(left);
    std::string theirs = dump(right);
    if (ours != theirs) FAIL(("different rows " + where).c_str());
    STRCMP_EQUAL("ok", left.value("PRAGMA integrity_check").c_str());
  }

  void run_script(uint64_t seed, int statements) {
    std::string name = "seed " + std::to_string(seed);
    auto node = std::make_unique<TestNode>(directory.path(), std::vector<LogEntry>(), limits);
    auto ours = std::make_unique<Sql>(*node);
    Sql stock("file:" + plain.path() + "/app.db");
    stock.run("PRAGMA synchronous = OFF");
    Script script(seed);
    std::string setup = script.setup();
    ours->run(setup);
    stock.run(setup);
    for (int i = 0; i < statements; i++) {
      std::string sql = script.next();
      std::string where = name + ", statement " + std::to_string(i) + ": " + sql.substr(0, 60);
      int code = stock.attempt(sql);
      int our_code = ours->attempt(sql);
      if (code != our_code) {
        FAIL((where + ": stock " + std::to_string(code) + ", ours " + std::to_string(our_code) + " " +
              ours->sentence())
                 .c_str());
      }
      CHECK_EQUAL(sqlite3_get_autocommit(stock.handle()), sqlite3_get_autocommit(ours->handle()));
      if (i % 30 == 0) compare(*ours, stock, "after " + where);
      if (i % 37 == 0) node->checkpoint();
    }
    if (sqlite3_get_autocommit(stock.handle()) == 0) {
      ours->run("COMMIT");
      stock.run("COMMIT");
    }
    compare(*ours, stock, "at the end of " + name);
    node->checkpoint();
    std::vector<LogEntry> log = node->cluster().log();
    ours.reset();
    node.reset();

    // The file is plain SQLite.
    Sql reopened("file:" + directory.path() + "/app.db");
    compare(reopened, stock, "in the file after " + name);
    // A follower decodes what the leader encoded.
    TestNode follower(elsewhere.path(), log, limits);
    follower.checkpoint();
    CHECK_TRUE(file_content(directory.path() + "/app.db") == file_content(elsewhere.path() + "/app.db"));
  }
};

TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_1) {
  run_script(1, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_2) {
  run_script(2, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_3) {
  run_script(3, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_4) {
  run_script(4, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_5) {
  run_script(5, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_6) {
  run_script(6, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_7) {
  run_script(7, 120);
}
TEST(Differential, V_D3_a_random_script_gives_what_stock_gives_8) {
  run_script(8, 120);
}

TEST(Differential, B13_a_random_script_gives_what_stock_gives_with_hardly_any_memory_1) {
  limits.memory_bytes = 5000;
  run_script(11, 120);
}
TEST(Differential, B13_a_random_script_gives_what_stock_gives_with_hardly_any_memory_2) {
  limits.memory_bytes = 0;
  run_script(12, 120);
}

TEST(Differential, B13_a_random_script_gives_what_stock_gives_with_small_parts_1) {
  limits = {.memory_bytes = 5000, .part_bytes = 500, .parts_in_flight = 3};
  run_script(21, 120);
}
TEST(Differential, B13_a_random_script_gives_what_stock_gives_with_small_parts_2) {
  limits = {.memory_bytes = 0, .part_bytes = 1, .parts_in_flight = 1};
  run_script(22, 120);
}
TEST(Differential, B13_a_random_script_gives_what_stock_gives_with_small_parts_3) {
  limits = {.memory_bytes = 100000, .part_bytes = 5000, .parts_in_flight = 4};
  run_script(23, 120);
}

TEST(Differential, V_D3_savepoints_spills_and_rewritten_checksums_end_in_the_same_rows) {
  TestNode node(directory.path());
  Sql ours(node);
  Sql stock("file:" + plain.path() + "/app.db");
  stock.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  for (Sql* sql : {&ours, &stock}) {
    for (int cache = 2; cache <= 5; cache++) {
      std::string size = std::to_string(cache);
      sql->run("PRAGMA cache_size = " + size + "; PRAGMA cache_spill = 1");
      sql->run("CREATE TABLE c" + size + "(id INTEGER PRIMARY KEY, x)");
      std::string table = "c" + size;
      std::string fill =
          "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 40) "
          "INSERT INTO " +
          table + " SELECT NULL, hex(zeroblob(300)) || value FROM n";
      // Spilled pages change again in place; after ROLLBACK TO the same frame numbers come with other pages.
      sql->run("BEGIN");
      for (int i = 0; i < 4; i++) {
        sql->run(fill);
        sql->run("UPDATE " + table + " SET x = x || 'a'");
        sql->run("SAVEPOINT s");
        sql->run("UPDATE " + table + " SET x = 'lost' || id");
        sql->run(fill);
        sql->run("ROLLBACK TO s");
        sql->run("UPDATE " + table + " SET x = x || 'b' WHERE id % 3 = 0");
        if (i % 2 == 0) sql->run("RELEASE s");
      }
      sql->run("COMMIT");
    }
  }
  compare(ours, stock, "with tiny caches");
  Sql other(node);
  compare(other, stock, "on another connection");
  TestNode follower(elsewhere.path(), node.cluster().log());
  Sql on_follower(follower);
  compare(on_follower, stock, "on a follower");
}
