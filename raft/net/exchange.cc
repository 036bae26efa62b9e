#include "raft/net/exchange.h"

namespace dqlite::raft::net {

Exchange::Exchange(Context& context, const Address& address, unsigned choice, const Hello& hello,
                   const JoinRequest& request, uint64_t timeout_ms, Done done)
    : hello_(hello),
      request_(request),
      target_(address.text()),
      deadline_ms_(uv_now(context.loop) + timeout_ms),
      done_(std::move(done)),
      connection_(Connection::connect(context, *this, address, choice)) {}

Exchange::~Exchange() {
  if (connection_ != nullptr) connection_->close();
}

void Exchange::tick(uint64_t now_ms) {
  if (connection_ != nullptr && now_ms >= deadline_ms_) {
    finish(Status(Code::kTimeout, target_ + " does not answer"));
  }
}

void Exchange::on_connected(Connection& connection) {
  connection.send(encode(hello_));
}

void Exchange::on_frame(Connection& connection, const Frame& frame) {
  switch (frame.type) {
    case FrameType::kHelloAck:
      connection.send(encode(request_));
      return;
    case FrameType::kJoinReply:
      return finish(decode_join_reply(frame.body));
    case FrameType::kRefusal: {
      Result<Refusal> refusal = decode_refusal(frame.body);
      return finish(refusal ? refusal->reason.in(target_) : refusal.status());
    }
    default:
      return finish(Status(Code::kCorrupt, target_ + ": an unexpected message arrived"));
  }
}

void Exchange::on_closed(Connection&, const Status& why) {
  connection_ = nullptr;
  finish(why);
}

// The callback may destroy this object: it is the last thing done.
void Exchange::finish(Result<JoinReply> result) {
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
  Done done = std::move(done_);
  if (done) done(std::move(result));
}

}  // namespace dqlite::raft::net
