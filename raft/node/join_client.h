// A node that is member of nothing, on its way into a cluster: asks the target, follows redirects, asks
// again.
//
// It goes on until the cluster took it in, for as long as the process lives: a join once begun is resumed
// after a restart, too [B7]. `problem` says why it is not in yet. Loop thread.
#pragma once

#include <memory>

#include "raft/net/exchange.h"

namespace dqlite::raft {

class JoinClient {
 public:
  struct Events {
    // Exactly once.
    std::function<void(const net::JoinReply&)> taken_in;
    // `problem` changed.
    std::function<void()> held_up;
  };

  JoinClient(net::Context& context, const net::Address& target, const net::Hello& hello, Events events);

  void tick();
  // Why the target did not take this node in at the last attempt; ok before the first answer. kRefused (or
  // another of the caller's mistakes): asking again does not help until something is changed.
  [[nodiscard]] const Status& problem() const { return problem_; }
  [[nodiscard]] const net::Address& target() const { return target_; }
  // Whom the last answer came from.
  [[nodiscard]] const net::Address& asked() const { return asked_; }
  // True if no cluster can count this node as a member because of what was asked here: a request without an
  // answer yet may have arrived.
  [[nodiscard]] bool is_without_effect() const { return is_without_effect_ && !exchange_; }

 private:
  void ask();
  void answered(Result<net::JoinReply> reply);
  void hold_up(const Status& problem, uint64_t delay_ms);

  net::Context& context_;
  const net::Address target_;
  const net::Hello hello_;
  const Events events_;
  net::Address ask_at_;  // the target, or the leader it named
  net::Address asked_;
  int redirects_ = 0;
  unsigned attempts_ = 0;
  uint64_t next_at_ms_ = 0;
  bool done_ = false;
  bool is_without_effect_ = true;
  std::unique_ptr<net::Exchange> exchange_;
  std::unique_ptr<net::Exchange> finished_;  // its callback may still be on the stack
  Status problem_;
};

}  // namespace dqlite::raft
