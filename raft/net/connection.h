// One TCP connection that carries frames, on a libuv loop.
//
// Made by `connect` (outbound) or `accept` (inbound); owned by itself: it lives until libuv has closed its
// handle. The owner holds a plain pointer, which ends with its own call of `close` or `close_when_sent`, or
// with `on_closed`; after any of them the connection never calls the owner again. Loop thread only; no call
// blocks.
#pragma once

#include <uv.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/descriptors.h"
#include "raft/net/address.h"
#include "raft/net/frame.h"

namespace dqlite::raft::net {

class Connection;

// What all connections of one loop share.
struct Context {
  uv_loop_t* loop = nullptr;
  Descriptors descriptors;
  std::vector<Connection*> unflushed;  // have frames that wait for `flush_all`
  std::vector<char> read_buffer = std::vector<char>(256 << 10);

  // Sends what every connection has collected since the last call: one system call each.
  void flush_all();
};

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_connected(Connection&) {}
  // May close the connection.
  virtual void on_frame(Connection& connection, const Frame& frame) = 0;
  // Bytes arrived and the last frame, of `type`, is still not whole.
  virtual void on_partial(Connection&, FrameType /*type*/) {}
  virtual void on_closed(Connection& connection, const Status& why) = 0;
};

class Connection {
 public:
  // A name may have several addresses: `choice` counts the attempts and picks them in turn.
  static Connection* connect(Context& context, ConnectionOwner& owner, const Address& address,
                             unsigned choice);
  // Takes the next connection that waits at `listener`; null if there is none after all.
  static Connection* accept(Context& context, ConnectionOwner& owner, uv_stream_t* listener);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(Bytes frame);  // leaves with the next flush
  void flush();
  void close();  // at once; frames that were not sent are dropped
  // After what was given to `send`, or a few seconds if the other side does not take it; nothing is read any
  // more.
  void close_when_sent();

  void set_max_body(uint32_t max_body) { reader_.set_max_body(max_body); }
  // Not yet taken by the operating system.
  [[nodiscard]] size_t queued_bytes() const;
  // Counts every byte that arrived: tells progress from silence.
  [[nodiscard]] uint64_t received_bytes() const { return received_bytes_; }
  // uv_now of the creation.
  [[nodiscard]] uint64_t began_ms() const { return began_ms_; }
  [[nodiscard]] std::string peer_text() const { return peer_text_; }

 private:
  struct WriteRequest;
  struct ResolveRequest;

  Connection(Context& context, ConnectionOwner& owner);
  ~Connection() = default;

  void resolve(const Address& address, unsigned choice);
  void begin_connect(const sockaddr* address);
  void begin_reading();
  void received(ByteView bytes);
  void deliver_frames();
  void fail(const Status& why);
  void fail_later(const Status& why);
  void note_descriptor();
  void begin_patience();
  void release();

  Context& context_;
  ConnectionOwner* owner_;
  uv_tcp_t handle_{};
  uv_connect_t connect_request_{};
  uv_timer_t patience_{};  // of `close_when_sent`
  bool has_patience_ = false;
  int references_ = 1;  // the handle, the timer, and a resolver that still runs
  int descriptor_ = -1;
  bool closing_ = false;
  bool close_when_sent_ = false;
  FrameReader reader_{kMaxStrangerBody};
  std::vector<Bytes> pending_;
  size_t pending_bytes_ = 0;
  size_t writes_under_way_ = 0;
  uint64_t received_bytes_ = 0;
  uint64_t began_ms_ = 0;
  std::string peer_text_;
};

}  // namespace dqlite::raft::net
