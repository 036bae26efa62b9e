#include "raft/net/inbound.h"

namespace dqlite::raft::net {

namespace {

constexpr uint64_t kStrangerTimeoutMs = 10000;  // to say who one is
constexpr uint64_t kStrangerSilenceMs = 60000;  // of one that said it; a join is answered sooner
// Answers that the other side does not read.
constexpr size_t kMaxUnreadByStranger = 1 << 20;
constexpr size_t kMaxUnreadByMember = 64 << 20;

// The newest version both sides know, or a sentence.
Status check_versions(const Hello& hello) {
  if (hello.min_version <= kMaxProtocolVersion && hello.max_version >= kMinProtocolVersion)
    return Status::ok();
  return {Code::kUnsupported, "protocol versions " + std::to_string(hello.min_version) + " to " +
                                  std::to_string(hello.max_version) + " were offered, this node knows " +
                                  std::to_string(kMinProtocolVersion) + " to " +
                                  std::to_string(kMaxProtocolVersion) + ": upgrade the older node"};
}

}  // namespace

Transport::Inbound::~Inbound() {
  close();
}

void Transport::Inbound::close() {
  if (connection_ != nullptr) connection_->close();
  connection_ = nullptr;
}

void Transport::Inbound::send(Bytes frame) {
  if (connection_ == nullptr) return;
  connection_->send(std::move(frame));
  const size_t limit = node_id() == 0 ? kMaxUnreadByStranger : kMaxUnreadByMember;
  if (connection_->queued_bytes() > limit) transport_.forget(id_);
}

void Transport::Inbound::tick(uint64_t now_ms) {
  if (connection_ == nullptr) return;
  if (!greeted_) {
    if (now_ms >= connection_->began_ms() + kStrangerTimeoutMs) transport_.forget(id_);
  } else if (node_id() == 0) {
    check_silence(now_ms);
  }
}

// A member's connection ends with the next one that it makes; strangers could keep any number.
void Transport::Inbound::check_silence(uint64_t now_ms) {
  const uint64_t received = connection_->received_bytes();
  if (received != heard_bytes_) heard_ms_ = now_ms;
  heard_bytes_ = received;
  if (now_ms >= heard_ms_ + kStrangerSilenceMs) transport_.forget(id_);
}

void Transport::Inbound::on_frame(Connection&, const Frame& frame) {
  arrived_ms_ = uv_now(transport_.context_.loop);
  if (frame.type == FrameType::kHello) return handle_hello(frame);
  if (!greeted_) return refuse({Code::kInvalid, "a connection begins with a greeting"});
  if (frame.type == FrameType::kPing) return send(encode_empty(FrameType::kPong));
  if (frame.type == FrameType::kJoinRequest) return handle_join(frame);
  if (hello_.node_id == 0)
    return refuse({Code::kRefused, "a node that is member of nothing may only ask to join"});
  handle_member_frame(frame);
}

void Transport::Inbound::handle_hello(const Frame& frame) {
  if (greeted_) return refuse({Code::kInvalid, "a second greeting on one connection"});
  Result<Hello> hello = decode_hello(frame.body);
  Status judged = hello ? check_versions(*hello) : hello.status();
  if (judged) judged = transport_.delegate_.judge_greeting(*hello);
  if (!judged) return refuse(judged);
  greeted_ = true;
  hello_ = std::move(*hello);
  if (hello_.node_id != 0) connection_->set_max_body(kMaxFrameBody);
  send(encode(HelloAck{transport_.delegate_.greeting(hello_.node_id)}));
  transport_.greeted(*this);
}

void Transport::Inbound::handle_join(const Frame& frame) {
  Result<JoinRequest> request = decode_join_request(frame.body);
  if (!request) return refuse(request.status());
  transport_.delegate_.handle_join(id_, *request);
}

void Transport::Inbound::handle_member_frame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kRaft: {
      Result<Message> message = decode_message(frame.body);
      if (!message) return refuse(message.status());
      // Who speaks was settled by the greeting: a message in another's name is nobody's.
      if (message->from == hello_.node_id) transport_.delegate_.handle_message(std::move(*message));
      return;
    }
    case FrameType::kForwardRequest: {
      Result<ForwardRequest> request = decode_forward_request(frame.body);
      if (!request) return refuse(request.status());
      return transport_.delegate_.handle_forward(id_, std::move(*request));
    }
    case FrameType::kMemberRequest: {
      Result<MemberRequest> request = decode_member_request(frame.body);
      if (!request) return refuse(request.status());
      return transport_.delegate_.handle_member_request(id_, *request);
    }
    case FrameType::kBootReport: {
      Result<BootReport> report = decode_boot_report(frame.body);
      if (!report) return refuse(report.status());
      return transport_.delegate_.handle_boot_report(hello_.node_id, *report);
    }
    case FrameType::kInquiry: {
      Result<Inquiry> inquiry = decode_inquiry(frame.body);
      if (!inquiry) return refuse(inquiry.status());
      return transport_.delegate_.handle_inquiry(id_, std::move(*inquiry));
    }
    case FrameType::kReceiving:
      return transport_.delegate_.handle_heard(hello_.node_id);
    default:
      return refuse({Code::kUnsupported, "an unexpected message arrived"});
  }
}

void Transport::Inbound::on_partial(Connection&, FrameType type) {
  arrived_ms_ = uv_now(transport_.context_.loop);
  if (greeted_ && hello_.node_id != 0 && type == FrameType::kRaft) transport_.note_partial(hello_.node_id);
}

void Transport::Inbound::on_closed(Connection&, const Status&) {
  connection_ = nullptr;
  transport_.forget(id_);
}

void Transport::Inbound::refuse(const Status& reason) {
  if (connection_ == nullptr) return;
  send(encode(Refusal{reason}));
  if (connection_ == nullptr) return;
  Connection* connection = connection_;
  connection_ = nullptr;
  connection->close_when_sent();
  transport_.forget(id_);
}

}  // namespace dqlite::raft::net
