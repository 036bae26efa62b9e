// A log of a node that commits in parts, and followers that apply it entry by entry.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "codec/command.h"
#include "tests/vfs/fixture.h"
#include "tests/vfs/spill_faults.h"

namespace dqlite::vfs::test {

using Kinds = std::string;  // one letter for each entry

inline char kind_of(const LogEntry& entry) {
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

inline Kinds kinds_of(const std::vector<LogEntry>& log) {
  Kinds kinds;
  for (const LogEntry& entry : log) kinds += kind_of(entry);
  return kinds;
}

inline constexpr const char* kSchema = "CREATE TABLE t(id INTEGER PRIMARY KEY, x)";
// About 18 pages that do not shrink: six parts.
inline constexpr const char* kLarge =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 17) "
    "INSERT INTO t(x) SELECT randomblob(3900) FROM n";

// The base of test groups.
class PartsFixture : public Utest {
 public:
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
  static Status apply(TestNode& node, const std::vector<LogEntry>& log, size_t from, size_t to) {
    for (size_t i = from; i <= to; i++) {
      if (log[i - 1].payload != nullptr) {
        Status status = node.databases().apply(i, log[i - 1].term, *log[i - 1].payload, std::nullopt);
        if (!status) return status;
      }
      node.databases().applied(i, log[i - 1].term);
    }
    return Status::ok();
  }
  static void checkpoint(TestNode& node, const std::string& name, uint64_t index) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    const Status status = node.database(name).checkpoint(index, deadline).status();
    if (!status) FAIL(status.sentence().c_str());
  }
  static std::string rows(TestNode& node, const std::string& name = "app.db") {
    Sql sql(node, name);
    return sql.rows("SELECT count(*), sum(length(x)) FROM t");
  }
  // What is proposed waits for `commit_one`, and `sql` in COMMIT for that.
  std::future<int> commit_while_paused(TestNode& node, Sql& sql) {
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
  static void check_settled(TestNode& node) {
    CHECK_EQUAL(node.databases().applied_point().index, node.databases().settled_point().index);
  }
  // The follower of a log has the same file.
  void check_follower(TestNode& leader) {
    leader.checkpoint();
    auto follower = node_in(elsewhere, leader.cluster().log());
    follower->checkpoint();
    CHECK(file_content(leader.directory() + "/app.db") == file_content(elsewhere.path() + "/app.db"));
  }
};

}  // namespace dqlite::vfs::test
