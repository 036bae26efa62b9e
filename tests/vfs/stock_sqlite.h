// Stock SQLite as a neighbour of the node: a connection in this process, or one in a process of its own.
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include <string>

#include "tests/lib/temporary_directory.h"
#include "tests/vfs/database_image.h"

namespace dqlite::vfs {

// Where a node and its database would be. In memory: nobody loses power here.
class NodeDirectory : public TemporaryDirectory {
 public:
  NodeDirectory() : TemporaryDirectory(Place::kMemory) { std::filesystem::create_directory(node()); }
  [[nodiscard]] std::string node() const { return path() + "/dqlite-node"; }
  [[nodiscard]] std::string database() const { return path() + "/app.db"; }
};

// What one or more statements gave.
struct StockAnswer {
  int code = SQLITE_OK;  // the primary result code
  std::string rows;      // values separated by '|', rows by '\n'
};

class StockConnection {
 public:
  explicit StockConnection(const std::string& path);
  ~StockConnection();
  StockConnection(const StockConnection&) = delete;
  StockAnswer run(const std::string& sql);

 private:
  sqlite3* handle_ = nullptr;
};

// A forked child with a connection. Make it before this process opens a stock connection of its own to the
// same file: the child inherits SQLite's memory of the parent's locks.
class StockProcess {
 public:
  explicit StockProcess(const std::string& path);
  ~StockProcess();  // kills it
  StockProcess(const StockProcess&) = delete;
  StockAnswer run(const std::string& sql);
  void kill();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int requests_ = -1;
  int answers_ = -1;
};

Bytes read_whole(const std::string& path);
void write_whole(const std::string& path, const Bytes& bytes);
bool is_there(const std::string& path);

// The canonical pages of a real database file.
Image image_of(const std::string& path);

}  // namespace dqlite::vfs
