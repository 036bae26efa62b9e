// One request to an address and its one answer, on a connection of its own: how a node that is member of
// nothing asks to join. Loop thread only; `done` is called exactly once, never from inside the constructor,
// unless the exchange is destroyed before.
#pragma once

#include <functional>

#include "raft/net/connection.h"
#include "raft/net/wire.h"

namespace dqlite::raft::net {

class Exchange final : private ConnectionOwner {
 public:
  using Done = std::function<void(Result<JoinReply>)>;

  Exchange(Context& context, const Address& address, unsigned choice, const Hello& hello,
           const JoinRequest& request, uint64_t timeout_ms, Done done);
  ~Exchange() override;

  void tick(uint64_t now_ms);

 private:
  void on_connected(Connection& connection) override;
  void on_frame(Connection& connection, const Frame& frame) override;
  void on_closed(Connection& connection, const Status& why) override;
  void finish(Result<JoinReply> result);

  const Hello hello_;
  const JoinRequest request_;
  const std::string target_;
  const uint64_t deadline_ms_;
  Done done_;
  Connection* connection_;
};

}  // namespace dqlite::raft::net
