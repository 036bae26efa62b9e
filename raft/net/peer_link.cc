#include "raft/net/peer_link.h"

#include <algorithm>

namespace dqlite::raft::net {

namespace {

constexpr uint64_t kFirstBackoffMs = 20;
constexpr uint64_t kMaxBackoffMs = 1000;
constexpr uint64_t kGreetingTimeoutMs = 3000;
constexpr uint64_t kPingIntervalMs = 1000;
constexpr uint64_t kSilenceMs = 5000;  // without a pong or a byte taken: the connection is dead
constexpr size_t kMaxQueuedBytes = 64 << 20;

}  // namespace

PeerLink::PeerLink(Context& context, PeerLinkDelegate& delegate, NodeId peer, Address address)
    : context_(context), delegate_(delegate), peer_(peer), address_(std::move(address)) {}

PeerLink::~PeerLink() {
  close();
}

void PeerLink::close() {
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
  state_ = State::kClosed;
}

bool PeerLink::send(Bytes frame) {
  if (state_ == State::kIdle) begin();
  if (!accepts()) return false;
  const size_t queued = state_ == State::kReady ? connection_->queued_bytes() : queue_bytes_;
  // A single message larger than the limit must be able to leave, alone.
  if (queued > 0 && queued + frame.size() > kMaxQueuedBytes) return false;
  if (state_ == State::kReady) {
    connection_->send(std::move(frame));
  } else {
    queue_bytes_ += frame.size();
    queue_.push_back(std::move(frame));
  }
  return true;
}

void PeerLink::wake() {
  if (state_ != State::kIdle && state_ != State::kWaiting) return;
  backoff_ms_ = 0;
  begin();
}

void PeerLink::set_address(const Address& address) {
  if (address == address_) return;
  address_ = address;
  attempts_ = 0;
  backoff_ms_ = 0;
  last_failure_ = Status::ok();  // was another address's
  if (connection_ != nullptr)
    lose({Code::kIo, "member " + std::to_string(peer_) + " moved to " + address.text()});
  if (state_ == State::kWaiting) state_ = State::kIdle;
}

void PeerLink::begin() {
  state_ = State::kGreeting;
  began_ms_ = uv_now(context_.loop);
  connection_ = Connection::connect(context_, *this, address_, attempts_++);
}

void PeerLink::lose(const Status& why) {
  const bool was_ready = state_ == State::kReady;
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
  queue_.clear();
  queue_bytes_ = 0;
  last_failure_ = why;
  state_ = State::kWaiting;
  backoff_ms_ = was_ready ? kFirstBackoffMs : std::clamp(backoff_ms_ * 2, kFirstBackoffMs, kMaxBackoffMs);
  retry_at_ms_ = uv_now(context_.loop) + backoff_ms_;
  delegate_.link_lost(peer_);
}

void PeerLink::on_connected(Connection& connection) {
  connection.send(encode(delegate_.greeting_for(peer_)));
}

void PeerLink::on_frame(Connection&, const Frame& frame) {
  if (state_ == State::kGreeting) return handle_greeting_answer(frame);
  if (frame.type == FrameType::kRefusal) {
    Result<Refusal> refusal = decode_refusal(frame.body);
    return lose(refusal ? refusal->reason : refusal.status());
  }
  if (frame.type != FrameType::kPong) delegate_.link_frame(peer_, frame);
}

void PeerLink::handle_greeting_answer(const Frame& frame) {
  if (frame.type == FrameType::kRefusal) {
    Result<Refusal> refusal = decode_refusal(frame.body);
    return lose(refusal ? refusal->reason.in(address_.text()) : refusal.status());
  }
  if (frame.type != FrameType::kHelloAck) {
    return lose(
        {Code::kCorrupt, address_.text() + ": something else than an answer to the greeting arrived"});
  }
  Result<HelloAck> ack = decode_hello_ack(frame.body);
  Status checked = ack ? delegate_.check_ack(peer_, ack->hello) : ack.status();
  if (!checked) return lose(checked.in(address_.text()));
  become_ready();
}

void PeerLink::become_ready() {
  state_ = State::kReady;
  backoff_ms_ = 0;
  last_failure_ = Status::ok();
  connection_->set_max_body(kMaxFrameBody);
  progress_ms_ = uv_now(context_.loop);
  next_ping_ms_ = progress_ms_ + kPingIntervalMs;
  for (Bytes& frame : queue_) connection_->send(std::move(frame));
  queue_.clear();
  queue_bytes_ = 0;
}

void PeerLink::on_closed(Connection&, const Status& why) {
  connection_ = nullptr;
  lose(why);
}

void PeerLink::tick(uint64_t now_ms) {
  switch (state_) {
    case State::kIdle:
    case State::kClosed:
      break;
    case State::kGreeting:
      if (now_ms >= began_ms_ + kGreetingTimeoutMs)
        lose({Code::kTimeout, address_.text() + " does not answer"});
      break;
    case State::kReady:
      check_silence(now_ms);
      break;
    case State::kWaiting:
      if (now_ms >= retry_at_ms_) state_ = State::kIdle;
      break;
  }
}

// A machine that vanished sends no reset; TCP alone would take minutes to notice.
void PeerLink::check_silence(uint64_t now_ms) {
  const uint64_t received = connection_->received_bytes();
  const size_t queued = connection_->queued_bytes();
  if (received != progress_received_ || queued < progress_queued_) progress_ms_ = now_ms;
  progress_received_ = received;
  progress_queued_ = queued;
  if (now_ms >= progress_ms_ + kSilenceMs) return lose({Code::kTimeout, address_.text() + " fell silent"});
  if (now_ms >= next_ping_ms_) {
    next_ping_ms_ = now_ms + kPingIntervalMs;
    connection_->send(encode_empty(FrameType::kPing));
  }
}

}  // namespace dqlite::raft::net
