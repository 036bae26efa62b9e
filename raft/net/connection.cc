#include "raft/net/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace dqlite::raft::net {

namespace {

constexpr unsigned kKeepAliveSeconds = 30;
constexpr uint64_t kLastFramesMs = 3000;  // for the other side to take what is left when we close

Connection& of(uv_handle_t* handle) {
  return *static_cast<Connection*>(handle->data);
}

void drop_front(std::vector<uv_buf_t>& buffers, size_t bytes) {
  auto first = buffers.begin();
  while (first != buffers.end() && bytes >= first->len) bytes -= (first++)->len;
  buffers.erase(buffers.begin(), first);
  if (buffers.empty()) return;
  buffers.front().base += bytes;
  buffers.front().len -= bytes;
}

}  // namespace

struct Connection::WriteRequest {
  uv_write_t request{};
  Connection* connection = nullptr;
  std::vector<Bytes> frames;
};

struct Connection::ResolveRequest {
  uv_getaddrinfo_t request{};
  Connection* connection = nullptr;
  unsigned choice = 0;
};

void Context::flush_all() {
  std::vector<Connection*> connections;
  connections.swap(unflushed);
  for (Connection*& connection : connections) connection->flush();
}

Connection::Connection(Context& context, ConnectionOwner& owner) : context_(context), owner_(&owner) {
  uv_tcp_init(context.loop, &handle_);
  handle_.data = this;
  began_ms_ = uv_now(context.loop);
}

Connection* Connection::connect(Context& context, ConnectionOwner& owner, const Address& address,
                                unsigned choice) {
  auto* connection = new Connection(context, owner);
  connection->peer_text_ = address.text();
  sockaddr_storage numeric;
  if (numeric_socket_address(address, numeric)) {
    connection->begin_connect(reinterpret_cast<const sockaddr*>(&numeric));
  } else {
    connection->resolve(address, choice);
  }
  return connection;
}

Connection* Connection::accept(Context& context, ConnectionOwner& owner, uv_stream_t* listener) {
  auto* connection = new Connection(context, owner);
  if (uv_accept(listener, reinterpret_cast<uv_stream_t*>(&connection->handle_)) != 0) {
    connection->close();
    return nullptr;
  }
  connection->note_descriptor();
  connection->owner_ = nullptr;  // it does not have the pointer yet
  connection->begin_reading();
  if (connection->closing_) return nullptr;
  connection->owner_ = &owner;
  return connection;
}

void Connection::resolve(const Address& address, unsigned choice) {
  auto* resolve = new ResolveRequest;
  resolve->connection = this;
  resolve->choice = choice;
  resolve->request.data = resolve;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  references_++;
  const auto resolved = [](uv_getaddrinfo_t* request, int code, addrinfo* found) {
    std::unique_ptr<ResolveRequest> done(static_cast<ResolveRequest*>(request->data));
    Connection& connection = *done->connection;
    if (!connection.closing_) {
      unsigned count = 0;
      for (const addrinfo* each = found; each != nullptr; each = each->ai_next) count++;
      if (code != 0 || count == 0) {
        connection.fail({Code::kIo, "the host name in '" + connection.peer_text_ + "' cannot be resolved: " +
                                        (code != 0 ? uv_strerror(code) : "no address")});
      } else {
        const addrinfo* chosen = found;
        for (unsigned skip = done->choice % count; skip > 0; skip--) chosen = chosen->ai_next;
        connection.begin_connect(chosen->ai_addr);
      }
    }
    if (found != nullptr) uv_freeaddrinfo(found);
    connection.release();
  };
  const int code = uv_getaddrinfo(context_.loop, &resolve->request, resolved, address.host.c_str(),
                                  std::to_string(address.port).c_str(), &hints);
  if (code == 0) return;
  delete resolve;
  references_--;
  fail_later({Code::kIo, "cannot resolve '" + peer_text_ + "': " + uv_strerror(code)});
}

void Connection::begin_connect(const sockaddr* address) {
  connect_request_.data = this;
  const auto connected = [](uv_connect_t* request, int code) {
    Connection& connection = *static_cast<Connection*>(request->data);
    if (connection.closing_) return;
    if (code != 0) {
      connection.fail({Code::kIo, "cannot connect to " + connection.peer_text_ + ": " + uv_strerror(code)});
      return;
    }
    connection.begin_reading();
    if (connection.owner_ != nullptr) connection.owner_->on_connected(connection);
  };
  const int code = uv_tcp_connect(&connect_request_, &handle_, address, connected);
  note_descriptor();
  if (code == 0) return;
  fail_later({Code::kIo, "cannot connect to " + peer_text_ + ": " + uv_strerror(code)});
}

// From inside `connect` the owner does not have the pointer yet: it is told in the loop's next turn.
void Connection::fail_later(const Status& why) {
  struct Later {
    uv_timer_t timer{};
    Connection* connection = nullptr;
    Status why;
  };
  auto* later = new Later{{}, this, why};
  uv_timer_init(context_.loop, &later->timer);
  later->timer.data = later;
  references_++;
  const auto fired = [](uv_timer_t* timer) {
    auto* due = static_cast<Later*>(timer->data);
    due->connection->fail(due->why);
    due->connection->release();
    uv_close(reinterpret_cast<uv_handle_t*>(timer),
             [](uv_handle_t* closed) { delete static_cast<Later*>(closed->data); });
  };
  uv_timer_start(&later->timer, fired, 0, 0);
}

void Connection::note_descriptor() {
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_), &descriptor) != 0) return;
  descriptor_ = descriptor;
  context_.descriptors.add(descriptor_);
}

void Connection::begin_reading() {
  uv_tcp_nodelay(&handle_, 1);
  uv_tcp_keepalive(&handle_, 1, kKeepAliveSeconds);
  const auto allocate = [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    std::vector<char>& shared = of(handle).context_.read_buffer;
    *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(shared.size()));
  };
  const auto read = [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    Connection& connection = of(reinterpret_cast<uv_handle_t*>(stream));
    if (connection.closing_ || size == 0) return;
    if (size < 0) {
      const char* reason =
          size == UV_EOF ? "the other side closed the connection" : uv_strerror(static_cast<int>(size));
      connection.fail({Code::kIo, connection.peer_text_ + ": " + reason});
      return;
    }
    connection.received({reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(size)});
  };
  const int code = uv_read_start(reinterpret_cast<uv_stream_t*>(&handle_), allocate, read);
  if (code != 0) fail({Code::kIo, peer_text_ + ": " + uv_strerror(code)});
}

void Connection::received(ByteView bytes) {
  received_bytes_ += bytes.size();
  reader_.append(bytes);
  references_++;  // the owner may close from inside a frame
  deliver_frames();
  release();
}

void Connection::deliver_frames() {
  while (owner_ != nullptr) {
    Result<std::optional<Frame>> next = reader_.next();
    if (!next) return fail(next.status().in(peer_text_));
    if (!*next) break;
    owner_->on_frame(*this, **next);
  }
  if (owner_ == nullptr) return;
  if (const std::optional<FrameType> type = reader_.unfinished()) owner_->on_partial(*this, *type);
}

void Connection::send(Bytes frame) {
  if (closing_ || close_when_sent_) return;
  if (pending_.empty()) context_.unflushed.push_back(this);
  pending_bytes_ += frame.size();
  pending_.push_back(std::move(frame));
}

void Connection::flush() {
  if (closing_ || pending_.empty()) return;
  std::vector<uv_buf_t> buffers;
  buffers.reserve(pending_.size());
  for (Bytes& frame : pending_) {
    buffers.push_back(
        uv_buf_init(reinterpret_cast<char*>(frame.data()), static_cast<unsigned>(frame.size())));
  }
  // Mostly the socket takes it all at once: then there is no request to allocate, and no change of what is
  // polled.
  const auto count = static_cast<unsigned>(buffers.size());
  const int taken = uv_try_write(reinterpret_cast<uv_stream_t*>(&handle_), buffers.data(), count);
  if (taken < 0 && taken != UV_EAGAIN) {
    return fail({Code::kIo, peer_text_ + ": " + uv_strerror(taken)});
  }
  const size_t written_bytes = taken > 0 ? static_cast<size_t>(taken) : 0;
  if (written_bytes == std::exchange(pending_bytes_, 0)) {
    pending_.clear();
    if (close_when_sent_ && queued_bytes() == 0) close();
    return;
  }
  drop_front(buffers, written_bytes);
  auto* write = new WriteRequest;
  write->connection = this;
  write->request.data = write;
  write->frames.swap(pending_);
  writes_under_way_++;
  const auto written = [](uv_write_t* request, int code) {
    std::unique_ptr<WriteRequest> done(static_cast<WriteRequest*>(request->data));
    Connection& connection = *done->connection;
    connection.writes_under_way_--;
    if (connection.closing_) return;
    if (code != 0) return connection.fail({Code::kIo, connection.peer_text_ + ": " + uv_strerror(code)});
    if (connection.close_when_sent_ && connection.queued_bytes() == 0) connection.close();
  };
  const int code = uv_write(&write->request, reinterpret_cast<uv_stream_t*>(&handle_), buffers.data(),
                            static_cast<unsigned>(buffers.size()), written);
  if (code == 0) return;
  writes_under_way_--;
  delete write;
  fail({Code::kIo, peer_text_ + ": " + uv_strerror(code)});
}

size_t Connection::queued_bytes() const {
  return pending_bytes_ + uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t*>(&handle_));
}

void Connection::fail(const Status& why) {
  if (closing_) return;
  ConnectionOwner* owner = owner_;
  references_++;
  close();
  if (owner != nullptr) owner->on_closed(*this, why);
  release();
}

void Connection::close_when_sent() {
  if (closing_) return;
  close_when_sent_ = true;
  owner_ = nullptr;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(&handle_));
  if (pending_.empty() && writes_under_way_ == 0) return close();
  begin_patience();
}

void Connection::begin_patience() {
  uv_timer_init(context_.loop, &patience_);
  patience_.data = this;
  has_patience_ = true;
  references_++;
  const auto over = [](uv_timer_t* timer) { static_cast<Connection*>(timer->data)->close(); };
  uv_timer_start(&patience_, over, kLastFramesMs, 0);
}

void Connection::close() {
  if (closing_) return;
  closing_ = true;
  owner_ = nullptr;
  std::erase(context_.unflushed, this);
  pending_.clear();
  if (descriptor_ >= 0) context_.descriptors.remove(descriptor_);
  const auto closed = [](uv_handle_t* handle) { of(handle).release(); };
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), closed);
  if (has_patience_) uv_close(reinterpret_cast<uv_handle_t*>(&patience_), closed);
}

void Connection::release() {
  if (--references_ == 0) delete this;
}

}  // namespace dqlite::raft::net
