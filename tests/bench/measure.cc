// One process of a benchmark: opens one database and does what it is told, timed.
//
//   measure EXTENSION URI        EXTENSION: path without .so, or '-' for stock SQLite
//
// Commands on standard input, one answer line each: `sql TEXT` (the first column of the first row), `insert
// COUNT` (rows of about 100 bytes, one transaction each: "rate p50 p99" with microseconds), `select COUNT`
// (point SELECTs by key: "rate"), `memory` (resident KiB), `write` (one row, tried every few milliseconds until
// it is committed here: the time then, in microseconds of the machine's monotonic clock; the next line on
// standard input ends it with "0"). The first line it prints is the milliseconds that opening and a first read
// took. Any other error ends it with a sentence on standard error and code 1: a benchmark of failures would be
// of no use.
#include <poll.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void check(sqlite3* db, int code, const std::string& what) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  std::cerr << what << ": " << (db ? sqlite3_errmsg(db) : sqlite3_errstr(code)) << " ("
            << (db ? sqlite3_extended_errcode(db) : code) << ")" << std::endl;
  std::exit(1);
}

sqlite3_stmt* prepare(sqlite3* db, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  check(db, sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr), sql);
  return statement;
}

// The first column of the last statement's first row.
std::string first_value(sqlite3* db, const std::string& sql) {
  std::string value;
  const char* rest = sql.c_str();
  while (*rest) {
    sqlite3_stmt* statement = nullptr;
    check(db, sqlite3_prepare_v2(db, rest, -1, &statement, &rest), sql);
    if (!statement) break;
    int code = sqlite3_step(statement);
    check(db, code, sql);
    value.clear();
    if (code == SQLITE_ROW && sqlite3_column_text(statement, 0)) {
      value = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    }
    while (code == SQLITE_ROW) check(db, code = sqlite3_step(statement), sql);
    sqlite3_finalize(statement);
  }
  return value;
}

void load(const std::string& extension) {
  sqlite3* loader = nullptr;
  check(loader, sqlite3_open(":memory:", &loader), "opening a memory database");
  sqlite3_db_config(loader, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, nullptr);
  char* message = nullptr;
  if (sqlite3_load_extension(loader, extension.c_str(), nullptr, &message) != SQLITE_OK) {
    std::cerr << extension << ": " << message << std::endl;
    std::exit(1);
  }
  sqlite3_close(loader);
}

void insert(sqlite3* db, int count) {
  static int64_t next = 0;
  std::vector<double> times;
  times.reserve(count);
  std::string body(100, 'x');
  sqlite3_stmt* statement = prepare(db, "INSERT INTO t(body) VALUES(?)");
  Clock::time_point start = Clock::now();
  for (int i = 0; i < count; i++) {
    std::string number = std::to_string(next++);
    std::copy(number.begin(), number.end(), body.begin());
    Clock::time_point begin = Clock::now();
    sqlite3_bind_text(statement, 1, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
    check(db, sqlite3_step(statement), "INSERT");
    check(db, sqlite3_reset(statement), "INSERT");
    times.push_back(microseconds_since(begin));
  }
  double total = microseconds_since(start);
  sqlite3_finalize(statement);
  std::sort(times.begin(), times.end());
  std::printf("%.1f %.1f %.1f\n", count / total * 1e6, times[times.size() / 2],
              times[times.size() * 99 / 100]);
}

void select(sqlite3* db, int count) {
  int64_t rows = std::stoll(first_value(db, "SELECT max(id) FROM t"));
  std::mt19937_64 random(rows);
  sqlite3_stmt* statement = prepare(db, "SELECT body FROM t WHERE id = ?");
  Clock::time_point start = Clock::now();
  for (int i = 0; i < count; i++) {
    sqlite3_bind_int64(statement, 1, static_cast<int64_t>(random() % rows) + 1);
    check(db, sqlite3_step(statement), "SELECT");
    sqlite3_reset(statement);
  }
  double total = microseconds_since(start);
  sqlite3_finalize(statement);
  std::printf("%.1f\n", count / total * 1e6);
}

// For as long as nothing comes on standard input: whoever asked has its answer from another node then.
void write_as_soon_as_possible(sqlite3* db) {
  constexpr int kTryAgainMs = 5;
  sqlite3_busy_timeout(db, 0);
  bool done = false;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  do {
    done = sqlite3_exec(db, "INSERT INTO t(body) VALUES('after')", nullptr, nullptr, nullptr) == SQLITE_OK;
  } while (!done && poll(&input, 1, kTryAgainMs) == 0);
  std::printf("%.0f\n", done ? microseconds_since(Clock::time_point()) : 0.0);
}

void print_resident_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) std::printf("%ld\n", std::atol(line.c_str() + 6));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: measure EXTENSION URI" << std::endl;
    return 2;
  }
  Clock::time_point start = Clock::now();
  if (std::string(argv[1]) != "-") load(argv[1]);
  sqlite3* db = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
  check(db, sqlite3_open_v2(argv[2], &db, flags, nullptr), argv[2]);
  first_value(db, "SELECT count(*) FROM sqlite_schema");
  std::printf("%.1f\n", microseconds_since(start) / 1000);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    size_t space = line.find(' ');
    std::string command = line.substr(0, space);
    std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (command == "sql") {
      std::printf("%s\n", first_value(db, rest).c_str());
    } else if (command == "insert") {
      insert(db, std::stoi(rest));
    } else if (command == "select") {
      select(db, std::stoi(rest));
    } else if (command == "write") {
      write_as_soon_as_possible(db);
    } else if (command == "stop") {
      std::printf("\n");  // ends a `write`, which has read nothing
    } else if (command == "memory") {
      print_resident_memory();
    } else {
      std::cerr << "unknown command: " << line << std::endl;
      return 2;
    }
    std::fflush(stdout);
  }
  sqlite3_close(db);
  return 0;
}
