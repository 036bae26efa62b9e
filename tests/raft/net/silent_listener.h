// A listener on loopback that takes connections, and says and reads nothing.
#pragma once

// clang-format off
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include <CppUTest/TestHarness.h>
// clang-format on

namespace dqlite::raft {

class SilentListener {
 public:
  SilentListener() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    name_.sin_family = AF_INET;
    name_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name_);
    CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&name_), size) == 0 && listen(socket_, 8) == 0);
    CHECK(getsockname(socket_, reinterpret_cast<sockaddr*>(&name_), &size) == 0);
  }
  ~SilentListener() { close(socket_); }
  SilentListener(const SilentListener&) = delete;
  SilentListener& operator=(const SilentListener&) = delete;

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(ntohs(name_.sin_port)); }

 private:
  const int socket_;
  sockaddr_in name_{};
};

}  // namespace dqlite::raft
