#include "tests/vfs/fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace dqlite::vfs::test {
namespace {

// The table of routines comes to an extension at load; here an automatic extension of no other use fetches
// it.
int take_api(sqlite3*, char**, const sqlite3_api_routines* api) {
  set_sqlite_api(api);
  return SQLITE_OK;
}

void fetch_api() {
#undef sqlite3_auto_extension
#undef sqlite3_open
#undef sqlite3_close
#undef sqlite3_cancel_auto_extension
  auto entry = reinterpret_cast<void (*)(void)>(reinterpret_cast<void*>(&take_api));
  sqlite3_auto_extension(entry);
  sqlite3* handle = nullptr;
  sqlite3_open(":memory:", &handle);
  sqlite3_close(handle);
  sqlite3_cancel_auto_extension(entry);
}

}  // namespace

TestNode::TestNode(std::string directory, std::vector<LogEntry> log, const TransactionLimits& limits,
                   Files& files, uint64_t dropped)
    : directory_(std::move(directory)) {
  TestProvider::instance();
  std::string node_directory = directory_ + "/dqlite-node";
  std::filesystem::create_directories(node_directory);
  Result<std::unique_ptr<DatabaseSet>> databases = DatabaseSet::open(files, {directory_, node_directory});
  if (!databases) FAIL(databases.status().sentence().c_str());
  databases_ = std::move(*databases);
  databases_->limits() = limits;
  replicator_ = std::make_unique<FakeReplicator>(*databases_, std::move(log), dropped);
  databases_->begin_reading();
  TestProvider::instance().add(this);
}

TestNode::~TestNode() {
  TestProvider::instance().remove(this);
  databases_->stop_reading();
  replicator_->stop();
}

CheckpointReport TestNode::checkpoint() {
  Result<CheckpointReport> report =
      databases_->checkpoint_cluster(std::chrono::steady_clock::now() + std::chrono::seconds(30));
  if (!report) FAIL(report.status().sentence().c_str());
  return *report;
}

Database& TestNode::database(const std::string& name) {
  Result<Database*> found = databases_->open_database(name, false);
  if (!found) FAIL(found.status().sentence().c_str());
  return **found;
}

TestProvider& TestProvider::instance() {
  static TestProvider& instance = *new TestProvider;
  static bool registered = [] {
    fetch_api();
    return register_vfs(instance) == SQLITE_OK;
  }();
  (void)registered;
  return instance;
}

void TestProvider::add(TestNode* node) {
  std::lock_guard lock(mutex_);
  nodes_.push_back(node);
}

void TestProvider::remove(TestNode* node) {
  std::lock_guard lock(mutex_);
  std::erase(nodes_, node);
}

Result<OpenedNode> TestProvider::open(const std::string& directory, const OpenParameters& parameters, bool) {
  DatabaseSet* databases = find(directory);
  if (databases == nullptr) return Status(Code::kNotFound, "no test node in " + directory);
  return OpenedNode{databases, parameters.timeout_ms.value_or(5000)};
}

DatabaseSet* TestProvider::find(const std::string& directory) {
  std::lock_guard lock(mutex_);
  auto found = std::find_if(nodes_.begin(), nodes_.end(),
                            [&](TestNode* node) { return node->directory() == directory; });
  return found == nodes_.end() ? nullptr : &(*found)->databases();
}

Status TestProvider::database_opened(DatabaseSet& databases, Database& database, const OpenParameters&) {
  if (database.id() != 0 || database.versions().file().found().empty) return Status::ok();
  if (databases.replicator().standing() != Standing::kNew) {
    return {Code::kRefused, database.name() + " has content and the node belongs to a cluster already"};
  }
  if (Status status = databases.adopt(database.name()); !status) return status;
  return databases.replicator().bootstrap(true, std::chrono::steady_clock::now() + std::chrono::seconds(5));
}

Sql::Sql(TestNode& node, const std::string& name, const std::string& uri_parameters)
    : Sql("file:" + node.directory() + "/" + name + "?vfs=dqlite" + uri_parameters) {
  if (open_result_ != SQLITE_OK) FAIL(sqlite3_errmsg(handle_));
  sqlite3_busy_timeout(handle_, 5000);
}

Sql::Sql(const std::string& uri) {
  TestProvider::instance();  // brings the table of SQLite's routines
  open_result_ = sqlite3_open_v2(uri.c_str(), &handle_,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, nullptr);
  sqlite3_extended_result_codes(handle_, 1);
}

Sql::~Sql() {
  forget_errors(handle_);  // as the extension does
  sqlite3_close(handle_);
}

void Sql::run(const std::string& sql) {
  char* message = nullptr;
  int rc = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &message);
  if (rc != SQLITE_OK) {
    std::string sentence = sql + ": " + std::to_string(rc) + " " + (message != nullptr ? message : "");
    sqlite3_free(message);
    FAIL(sentence.c_str());
  }
}

int Sql::attempt(const std::string& sql) {
  return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
}

std::string Sql::rows(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  std::string result;
  if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
    FAIL(sqlite3_errmsg(handle_));
  int rc = SQLITE_ROW;
  while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
      result += (i > 0 ? "|" : "") + std::string(text != nullptr ? text : "");
    }
    result += '\n';
  }
  if (rc != SQLITE_DONE) {
    std::string sentence = sql + ": " + sqlite3_errmsg(handle_);
    sqlite3_finalize(statement);
    FAIL(sentence.c_str());
  }
  sqlite3_finalize(statement);
  return result;
}

std::string Sql::value(const std::string& sql) {
  std::string all = rows(sql);
  return all.substr(0, all.find_first_of("|\n"));
}

std::string dump(Sql& sql) {
  std::string all = sql.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
  std::istringstream names(sql.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"));
  for (std::string name; std::getline(names, name);) {
    std::istringstream columns(sql.rows("SELECT name FROM pragma_table_info('" + name + "')"));
    std::string list;
    for (std::string column; std::getline(columns, column);) {
      list += (list.empty() ? "quote(\"" : ", quote(\"") + column + "\")";
    }
    all += name + "\n" + sql.rows("SELECT " + list + " FROM \"" + name + "\" ORDER BY " + list);
  }
  return all;
}

std::string file_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void rot_byte(const std::string& path, long offset) {
  int descriptor = ::open(path.c_str(), O_RDWR);
  char byte = 0;
  CHECK_EQUAL(1, ::pread(descriptor, &byte, 1, offset));
  byte = static_cast<char>(byte ^ 1);
  CHECK_EQUAL(1, ::pwrite(descriptor, &byte, 1, offset));
  ::close(descriptor);
}

std::string stock_uri(const TestNode& node, const std::string& name) {
  return "file:" + node.directory() + "/" + name;
}

}  // namespace dqlite::vfs::test
