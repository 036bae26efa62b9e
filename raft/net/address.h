// Where a node listens or is reached: host:port, as people write it.
//
// A host is a name, an IPv4 address or an IPv6 address in brackets. Names are resolved again at every
// connect, since they may move; numeric addresses never touch a resolver (and so not the thread pool of the
// host process). Pure but for `resolve_blocking`, which asks the resolver and must not be called from the
// loop thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "codec/status.h"

namespace dqlite::raft::net {

struct Address {
  std::string host;  // without brackets
  uint16_t port = 0;

  // As written by people and parsed by `parse_address`.
  [[nodiscard]] std::string text() const;
  bool operator==(const Address&) const = default;
};

// kInvalid with a sentence that shows an example.
Result<Address> parse_address(std::string_view text);

// True, and `out` is filled, if the host is an IPv4 or IPv6 address.
bool numeric_socket_address(const Address& address, sockaddr_storage& out);

// The first address the resolver gives for it. Blocks.
Result<sockaddr_storage> resolve_blocking(const Address& address);

// 0.0.0.0 and [::]: good for listening, but no other node can reach anything there.
bool is_wildcard(const sockaddr_storage& address);

}  // namespace dqlite::raft::net
