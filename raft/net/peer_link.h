// The outbound connection to one member: all that this node says to it on its own account.
//
//   idle ──send──► greeting ──ack──► ready ──lost──► waiting ──back-off over──► greeting …
//
// A message for a member that cannot be reached now is dropped (Raft repeats what matters), and so is one
// that would make the queue too long; `send` says so. The back-off doubles up to a second and ends at once
// when the member connects to us. Loop thread only.
#pragma once

#include <deque>

#include "raft/net/connection.h"
#include "raft/net/wire.h"

namespace dqlite::raft::net {

class PeerLinkDelegate {
 public:
  virtual ~PeerLinkDelegate() = default;
  virtual Hello greeting_for(NodeId peer) = 0;
  // Is the node that answered the member we wanted? A failure closes the connection.
  virtual Status check_ack(NodeId peer, const Hello& answer) = 0;
  virtual void link_frame(NodeId peer, const Frame& frame) = 0;
  // What was sent and not answered may or may not have arrived.
  virtual void link_lost(NodeId peer) = 0;
};

class PeerLink final : private ConnectionOwner {
 public:
  PeerLink(Context& context, PeerLinkDelegate& delegate, NodeId peer, Address address);
  ~PeerLink() override;

  // Would a message be dropped at once? Spares its encoding.
  [[nodiscard]] bool accepts() const { return state_ != State::kWaiting && state_ != State::kClosed; }
  // False: dropped.
  bool send(Bytes frame);
  // Connects if there is no connection and no attempt under way, whatever the back-off says.
  void wake();
  // A new address closes a connection to the old one.
  void set_address(const Address& address);
  void close();  // for good
  void tick(uint64_t now_ms);

  [[nodiscard]] const Address& address() const { return address_; }
  // Why the last attempt failed, or ok.
  [[nodiscard]] const Status& last_failure() const { return last_failure_; }
  [[nodiscard]] bool is_ready() const { return state_ == State::kReady; }
  // When the peer was last seen to take or send something.
  [[nodiscard]] uint64_t progress_ms() const { return progress_ms_; }

 private:
  enum class State : uint8_t { kIdle, kGreeting, kReady, kWaiting, kClosed };

  void begin();
  void lose(const Status& why);
  void on_connected(Connection& connection) override;
  void on_frame(Connection& connection, const Frame& frame) override;
  void on_closed(Connection& connection, const Status& why) override;
  void handle_greeting_answer(const Frame& frame);
  void become_ready();
  void check_silence(uint64_t now_ms);

  Context& context_;
  PeerLinkDelegate& delegate_;
  const NodeId peer_;
  Address address_;
  State state_ = State::kIdle;
  Connection* connection_ = nullptr;
  std::deque<Bytes> queue_;  // while greeting
  size_t queue_bytes_ = 0;
  unsigned attempts_ = 0;
  uint64_t backoff_ms_ = 0;
  uint64_t retry_at_ms_ = 0;
  uint64_t began_ms_ = 0;
  // What the connection had done when it was last seen to make progress.
  uint64_t progress_ms_ = 0;
  uint64_t progress_received_ = 0;
  size_t progress_queued_ = 0;
  uint64_t next_ping_ms_ = 0;
  Status last_failure_;
};

}  // namespace dqlite::raft::net
