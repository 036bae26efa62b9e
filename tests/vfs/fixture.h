// A node of the test's own behind the real VFS and the real SQLite, in a directory that goes with it.
#pragma once

#include <CppUTest/TestHarness.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/lib/temporary_directory.h"
#include "tests/vfs/fake_replicator.h"
#include "vfs/error_codes.h"
#include "vfs/sqlite_vfs.h"

namespace dqlite::vfs::test {

// One node: a directory, its databases and a fake cluster.
class TestNode {
 public:
  explicit TestNode(std::string directory, std::vector<LogEntry> log = {},
                    const TransactionLimits& limits = {}, Files& files = posix_files(), uint64_t dropped = 0);
  ~TestNode();

  [[nodiscard]] DatabaseSet& databases() { return *databases_; }
  [[nodiscard]] FakeReplicator& cluster() { return *replicator_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // Carries out a checkpoint of all that is committed; fails the test if it cannot.
  CheckpointReport checkpoint();
  Database& database(const std::string& name = "app.db");

 private:
  std::string directory_;
  std::unique_ptr<DatabaseSet> databases_;
  std::unique_ptr<FakeReplicator> replicator_;
};

// Gives the VFS the nodes that tests made.
class TestProvider : public NodeProvider {
 public:
  static TestProvider& instance();  // registers the VFS at its first call

  Result<OpenedNode> open(const std::string& directory, const OpenParameters& parameters,
                          bool create) override;
  DatabaseSet* find(const std::string& directory) override;
  Status database_opened(DatabaseSet& databases, Database& database,
                         const OpenParameters& parameters) override;
  bool forked() override { return forked_; }

  void add(TestNode* node);
  void remove(TestNode* node);
  void pretend_fork(bool forked) { forked_ = forked; }

 private:
  std::mutex mutex_;
  std::vector<TestNode*> nodes_;
  bool forked_ = false;
};

// A connection with the verbs tests speak in.
class Sql {
 public:
  // `uri_parameters`: appended to file:<directory>/<name>?vfs=dqlite
  explicit Sql(TestNode& node, const std::string& name = "app.db", const std::string& uri_parameters = "");
  explicit Sql(const std::string& uri);  // any URI or path, as it is
  ~Sql();
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;

  // Fails the test unless it returns SQLITE_OK.
  void run(const std::string& sql);
  // The result code (extended), without failing.
  int attempt(const std::string& sql);
  // First column of the first row as text; "" if there is no row.
  std::string value(const std::string& sql);
  // All rows, columns separated by '|', rows by newlines.
  std::string rows(const std::string& sql);

  [[nodiscard]] sqlite3* handle() { return handle_; }
  [[nodiscard]] std::string error() { return sqlite3_errmsg(handle_); }
  [[nodiscard]] int open_result() const { return open_result_; }
  // What dqlite_last_error() would say.
  [[nodiscard]] std::string sentence() { return last_error(handle_); }
  void busy_timeout(int milliseconds) { sqlite3_busy_timeout(handle_, milliseconds); }

 private:
  sqlite3* handle_ = nullptr;
  int open_result_ = SQLITE_OK;
};

// Schema and rows of every table, in an order of their own: equal for equal databases.
std::string dump(Sql& sql);
std::string file_content(const std::string& path);
// Flips a bit of the byte there.
void rot_byte(const std::string& path, long offset);
// A connection of stock SQLite to the same path, in this process.
std::string stock_uri(const TestNode& node, const std::string& name = "app.db");

}  // namespace dqlite::vfs::test
