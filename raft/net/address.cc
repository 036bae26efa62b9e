#include "raft/net/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <uv.h>

#include <cstring>

namespace dqlite::raft::net {

namespace {

constexpr size_t kMaxHostLength = 255;  // RFC 1035, 2.3.4

Status malformed(std::string_view text) {
  return {Code::kInvalid,
          "'" + std::string(text) + "' is not host:port, for example 127.0.0.1:9001 or [::1]:9001"};
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '%';
}

bool parse_port(std::string_view text, uint16_t& port) {
  if (text.empty() || text.size() > 5) return false;
  uint32_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value > 65535) return false;
  port = static_cast<uint16_t>(value);
  return true;
}

}  // namespace

std::string Address::text() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed(text);
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kMaxHostLength) return malformed(text);
  for (char c : host) {
    if (!is_host_character(c)) return malformed(text);
  }
  const bool has_colon = host.find(':') != std::string_view::npos;
  if (has_colon != brackets) return malformed(text);
  Address address{std::string(host), 0};
  if (!parse_port(text.substr(colon + 1), address.port)) return malformed(text);
  sockaddr_storage ignored;
  if (brackets && !numeric_socket_address(address, ignored)) return malformed(text);
  return address;
}

bool numeric_socket_address(const Address& address, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof(out));
  return uv_ip4_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in*>(&out)) == 0 ||
         uv_ip6_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in6*>(&out)) == 0;
}

Result<sockaddr_storage> resolve_blocking(const Address& address) {
  sockaddr_storage result;
  if (numeric_socket_address(address, result)) return result;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0 || found == nullptr) {
    return Status(Code::kInvalid,
                  "the host name '" + address.host + "' cannot be resolved: " + gai_strerror(code));
  }
  std::memset(&result, 0, sizeof(result));
  std::memcpy(&result, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return result;
}

bool is_wildcard(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr == htonl(INADDR_ANY);
  }
  if (address.ss_family == AF_INET6) {
    return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr) != 0;
  }
  return false;
}

}  // namespace dqlite::raft::net
