// A connection that somebody made to this node, from its first bytes on. Part of the transport; loop thread
// only.
#pragma once

#include "raft/net/transport.h"

namespace dqlite::raft::net {

class Transport::Inbound final : public ConnectionOwner {
 public:
  Inbound(Transport& transport, ConnectionId id) : transport_(transport), id_(id) {}
  ~Inbound() override;

  void attach(Connection* connection) { connection_ = connection; }
  // May drop the connection.
  void send(Bytes frame);
  void close();
  // Ends the connection after telling why.
  void refuse(const Status& reason);
  void tick(uint64_t now_ms);
  [[nodiscard]] ConnectionId id() const { return id_; }
  // 0: not greeted yet, or member of nothing.
  [[nodiscard]] NodeId node_id() const { return hello_.node_id; }
  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] bool is_open() const { return connection_ != nullptr; }
  [[nodiscard]] uint64_t arrived_ms() const { return arrived_ms_; }  // the newest frame, or part of one

 private:
  void on_frame(Connection& connection, const Frame& frame) override;
  void on_partial(Connection& connection, FrameType type) override;
  void on_closed(Connection& connection, const Status& why) override;

  void handle_hello(const Frame& frame);
  void handle_member_frame(const Frame& frame);
  void handle_join(const Frame& frame);
  void check_silence(uint64_t now_ms);

  Transport& transport_;
  const ConnectionId id_;
  Connection* connection_ = nullptr;
  bool greeted_ = false;
  Hello hello_;
  uint64_t arrived_ms_ = 0;
  // Of a stranger: when it was last seen to have said something.
  uint64_t heard_ms_ = 0;
  uint64_t heard_bytes_ = 0;
};

}  // namespace dqlite::raft::net
