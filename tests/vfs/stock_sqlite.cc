#include "tests/vfs/stock_sqlite.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "vfs/files.h"

namespace dqlite::vfs {
namespace {

bool read_all(int descriptor, void* out, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = ::read(descriptor, static_cast<char*>(out) + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool write_all(int descriptor, const void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = ::write(descriptor, static_cast<const char*>(bytes) + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool send_text(int descriptor, const std::string& text) {
  uint32_t size = static_cast<uint32_t>(text.size());
  return write_all(descriptor, &size, sizeof size) && write_all(descriptor, text.data(), text.size());
}

bool receive_text(int descriptor, std::string& text) {
  uint32_t size = 0;
  if (!read_all(descriptor, &size, sizeof size)) return false;
  text.resize(size);
  return read_all(descriptor, text.data(), size);
}

[[noreturn]] void serve(const std::string& path, int requests, int answers) {
  posix_files().close_after_fork();
  {
    StockConnection connection(path);
    std::string sql;
    while (receive_text(requests, sql)) {
      StockAnswer answer = connection.run(sql);
      if (!write_all(answers, &answer.code, sizeof answer.code) || !send_text(answers, answer.rows)) break;
    }
  }
  ::_exit(0);
}

}  // namespace

StockConnection::StockConnection(const std::string& path) {
  if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) std::abort();
}

StockConnection::~StockConnection() {
  sqlite3_close(handle_);
}

StockAnswer StockConnection::run(const std::string& sql) {
  StockAnswer answer;
  auto collect = [](void* out, int count, char** values, char**) {
    std::string& rows = *static_cast<std::string*>(out);
    if (!rows.empty()) rows += '\n';
    for (int i = 0; i < count; i++)
      rows += std::string(i == 0 ? "" : "|") + (values[i] == nullptr ? "" : values[i]);
    return 0;
  };
  answer.code = sqlite3_exec(handle_, sql.c_str(), collect, &answer.rows, nullptr) & 0xff;
  return answer;
}

StockProcess::StockProcess(const std::string& path) {
  int to_child[2], to_parent[2];
  if (::pipe(to_child) != 0 || ::pipe(to_parent) != 0) std::abort();
  pid_ = ::fork();
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    ::close(to_child[1]);
    ::close(to_parent[0]);
    serve(path, to_child[0], to_parent[1]);
  }
  ::close(to_child[0]);
  ::close(to_parent[1]);
  requests_ = to_child[1];
  answers_ = to_parent[0];
}

StockProcess::~StockProcess() {
  kill();
}

void StockProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(requests_);
  ::close(answers_);
  pid_ = -1;
}

StockAnswer StockProcess::run(const std::string& sql) {
  StockAnswer answer;
  answer.code = SQLITE_INTERNAL;
  if (send_text(requests_, sql) && read_all(answers_, &answer.code, sizeof answer.code)) {
    receive_text(answers_, answer.rows);
  }
  return answer;
}

Bytes read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void write_whole(const std::string& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

bool is_there(const std::string& path) {
  return std::filesystem::exists(path);
}

Image image_of(const std::string& path) {
  Bytes bytes = read_whole(path);
  Image image;
  image.page_size = uint32_t{bytes[16]} << 8 | bytes[17];
  if (image.page_size == 1) image.page_size = 65536;
  codec::make_canonical_page1(bytes);
  for (size_t at = 0; at < bytes.size(); at += image.page_size) {
    auto first = bytes.begin() + static_cast<ptrdiff_t>(at);
    image.pages.emplace_back(first, first + image.page_size);
  }
  return image;
}

}  // namespace dqlite::vfs
