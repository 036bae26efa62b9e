// Everything at once: writers of every habit, readers, checkpoints and changes of leadership, with the sum of
// all accounts and the fate of every transaction as the invariants.

#include <random>
#include <set>

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

constexpr int kAccounts = 40;
constexpr int kStart = 1000;
constexpr int kWriters = 8;
constexpr int kReaders = 2;
constexpr int kTransfers = 60;  // of each writer

enum class Fate : uint8_t { kCommitted, kRefused, kUnknown };

struct Transfer {
  int id = 0;
  int from = 0;
  int to = 0;
  int amount = 0;
};

// Complaints of threads, which must not fail the test themselves.
class Complaints {
 public:
  void add(const std::string& text) {
    std::lock_guard lock(mutex_);
    all_ += text + "\n";
  }
  std::string all() {
    std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::mutex mutex_;
  std::string all_;
};

struct Bank {
  explicit Bank(const std::string& directory) : node(directory) {
    Sql sql(node);
    sql.run(
        "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INT, note);"
        "CREATE TABLE transfer(id INTEGER PRIMARY KEY, source INT, target INT, amount INT);"
        "CREATE TABLE junk(x);"
        "CREATE TRIGGER book AFTER INSERT ON transfer BEGIN"
        "  UPDATE account SET balance = balance - new.amount, note = hex(zeroblob(new.id % 90))"
        "    WHERE id = new.source;"
        "  UPDATE account SET balance = balance + new.amount WHERE id = new.target;"
        "END");
    sql.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(kAccounts) + ") INSERT INTO account SELECT i, " + std::to_string(kStart) +
            ", hex(zeroblob(200)) FROM n");
  }

  TestNode node;
  Complaints complaints;
  std::mutex mutex;
  std::map<int, Fate> fates;  // of every transfer that was begun
  std::atomic<size_t> committed{0};
  std::atomic<size_t> unknown{0};
  std::atomic<int> writers_left{kWriters};

  void note(int id, Fate fate) {
    std::lock_guard lock(mutex);
    fates[id] = fate;
    if (fate == Fate::kCommitted) committed++;
    if (fate == Fate::kUnknown) unknown++;
  }
};

class Writer {
 public:
  Writer(Bank& bank, int number)
      : bank_(bank),
        number_(number),
        random_(static_cast<uint64_t>(number)),
        // Two of them soon give up waiting for the cluster, so that some outcomes stay unknown.
        sql_(bank.node, "app.db", number < 2 ? "&timeout=15" : "") {
    if (number % 3 == 0) sql_.run("PRAGMA cache_size = 4");
  }

  void run() {
    for (int i = 0; i < kTransfers; i++) {
      Transfer transfer{number_ * 100000 + i, pick(kAccounts) + 1, pick(kAccounts) + 1, pick(50)};
      bank_.note(transfer.id, book(transfer));
    }
    bank_.writers_left--;
  }

 private:
  int pick(int end) { return static_cast<int>(random_() % static_cast<uint64_t>(end)); }

  // Repeats what was certainly not done, as an application would.
  Fate book(const Transfer& transfer) {
    int way = pick(6);
    for (;;) {
      int code = attempt(way, transfer);
      if (sqlite3_get_autocommit(sql_.handle()) == 0) sql_.attempt("ROLLBACK");
      if (code == kLeadershipLost) return Fate::kUnknown;
      if (code == SQLITE_OK) return way == 5 ? Fate::kRefused : Fate::kCommitted;
      int primary = code & 0xff;
      if (primary != SQLITE_BUSY && code != kNotCommitted && code != kNotLeader) {
        bank_.complaints.add("a transfer failed with " + std::to_string(code) + ": " + sql_.sentence());
        return Fate::kRefused;
      }
      if (code == kNotCommitted && pick(2) == 0) return Fate::kRefused;
      std::this_thread::yield();
    }
  }

  int attempt(int way, const Transfer& transfer) {
    std::string insert = "INSERT INTO transfer VALUES(" + std::to_string(transfer.id) + "," +
                         std::to_string(transfer.from) + "," + std::to_string(transfer.to) + "," +
                         std::to_string(transfer.amount) + ");";
    switch (way) {
      case 0:
        return sql_.attempt(insert);
      case 1:
        return sql_.attempt("BEGIN IMMEDIATE;" + insert + "COMMIT");
      case 2:  // first statement writes
        return sql_.attempt("BEGIN;" + insert + "COMMIT");
      case 3:  // reads, then writes
        return sql_.attempt("BEGIN; SELECT sum(balance) FROM account;" + insert + "COMMIT");
      case 4:
        return sql_.attempt(
            "BEGIN IMMEDIATE; SAVEPOINT s; INSERT INTO junk VALUES(zeroblob(20000));"
            "UPDATE account SET balance = 0; ROLLBACK TO s; RELEASE s;" +
            insert + "COMMIT");
      default:
        return sql_.attempt("BEGIN IMMEDIATE;" + insert + "ROLLBACK");
    }
  }

  Bank& bank_;
  int number_;
  std::mt19937_64 random_;
  Sql sql_;
};

int64_t number_of(sqlite3* handle, const char* sql, int* code) {
  sqlite3_stmt* statement = nullptr;
  *code = sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr);
  int64_t value = 0;
  if (*code == SQLITE_OK) {
    *code = sqlite3_step(statement);
    if (*code == SQLITE_ROW) {
      value = sqlite3_column_int64(statement, 0);
      *code = SQLITE_OK;
    }
  }
  sqlite3_finalize(statement);
  return value;
}

void read_on(Bank& bank, bool pooled) {
  auto sql = std::make_unique<Sql>(bank.node);
  int64_t newest = 0;
  while (bank.writers_left > 0) {
    if (!pooled) sql = std::make_unique<Sql>(bank.node);  // as a web application: one for each request
    int codes[4];
    codes[0] = sql->attempt("BEGIN");
    int64_t first = number_of(sql->handle(), "SELECT sum(balance) FROM account", &codes[1]);
    int64_t count = number_of(sql->handle(), "SELECT count(*) FROM transfer", &codes[2]);
    int64_t again = number_of(sql->handle(), "SELECT sum(balance) FROM account", &codes[3]);
    for (int code : codes) {
      if (code != SQLITE_OK) bank.complaints.add("a read failed with " + std::to_string(code));
    }
    if (sql->attempt("COMMIT") != SQLITE_OK) bank.complaints.add("COMMIT of a read failed");
    if (first != kAccounts * kStart || again != first) bank.complaints.add("a read saw a torn state");
    if (count < newest) bank.complaints.add("reads went backwards");
    newest = count;
  }
}

void checkpoint_on(Bank& bank) {
  while (bank.writers_left > 0) {
    // Refused while nobody leads.
    (void)bank.node.databases().checkpoint_cluster(std::chrono::steady_clock::now() +
                                                   std::chrono::seconds(10));
    std::this_thread::yield();
  }
}

// Takes leadership away again and again: with the entries that wait, without them, and after a pause.
void disturb(Bank& bank) {
  FakeReplicator& cluster = bank.node.cluster();
  for (int round = 0; bank.writers_left > 0; round++) {
    size_t committed = bank.committed;
    size_t unknown = bank.unknown;
    while (bank.writers_left > 0 && bank.committed < committed + 20) std::this_thread::yield();
    if (bank.writers_left == 0) return;
    cluster.pause();
    if (round % 3 == 2) {
      // Until somebody has given up, or nobody is left who would.
      for (int i = 0; i < 100 && bank.writers_left > 0 && bank.unknown == unknown; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    cluster.lose_leadership(round % 2 == 0);
    cluster.resume();
    // In order behind the loss. Nobody waits for an empty queue: refused requests for checkpoints keep
    // coming.
    cluster.gain_leadership();
  }
}

}  // namespace

TEST_GROUP(Stress) {
  TemporaryDirectory directory;
  TemporaryDirectory elsewhere;

  void check_fates(Bank & bank, Sql & sql) {
    std::set<int> present;
    std::istringstream ids(sql.rows("SELECT id FROM transfer"));
    for (int id = 0; ids >> id;) present.insert(id);
    for (const auto& [id, fate] : bank.fates) {
      bool found = present.erase(id) > 0;
      if (fate == Fate::kCommitted && !found) FAIL("an acknowledged transaction is lost");
      if (fate == Fate::kRefused && found) FAIL("a refused transaction is there");
    }
    CHECK_TRUE(present.empty());
    // Whole or absent: the balances are what the transfers that are there make them.
    STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM account a WHERE balance <> " + std::to_string(kStart) +
                                " - (SELECT ifnull(sum(amount), 0) FROM transfer WHERE source = a.id)"
                                " + (SELECT ifnull(sum(amount), 0) FROM transfer WHERE target = a.id)")
                          .c_str());
    STRCMP_EQUAL("0", sql.value("SELECT count(*) FROM junk").c_str());
    STRCMP_EQUAL("ok", sql.value("PRAGMA integrity_check").c_str());
  }
};

TEST(Stress, writers_readers_checkpoints_and_lost_leadership_keep_every_promise) {
  Bank bank(directory.path());
  {
    std::vector<std::unique_ptr<Writer>> writers;
    for (int i = 0; i < kWriters; i++) writers.push_back(std::make_unique<Writer>(bank, i));
    std::vector<std::thread> threads;
    for (auto& writer : writers) threads.emplace_back([&] { writer->run(); });
    for (int i = 0; i < kReaders; i++) threads.emplace_back([&bank, i] { read_on(bank, i == 0); });
    threads.emplace_back([&] { checkpoint_on(bank); });
    threads.emplace_back([&] { disturb(bank); });
    for (std::thread& thread : threads) thread.join();
  }
  STRCMP_EQUAL("", bank.complaints.all().c_str());
  bank.node.cluster().gain_leadership();
  Sql sql(bank.node);
  sql.run("DELETE FROM junk");
  check_fates(bank, sql);

  TestNode follower(elsewhere.path(), bank.node.cluster().log());
  Sql on_follower(follower);
  STRCMP_EQUAL(dump(sql).c_str(), dump(on_follower).c_str());
  bank.node.checkpoint();
  follower.checkpoint();
  CHECK_TRUE(file_content(bank.node.directory() + "/app.db") ==
             file_content(follower.directory() + "/app.db"));
}
