#include "raft/net/wire.h"

namespace dqlite::raft::net {

namespace {

using codec::Reader;
using codec::Writer;

constexpr size_t kSmallBody = 128;

Status malformed(const char* what) {
  return {Code::kCorrupt, std::string("a malformed ") + what + " arrived"};
}

// A code of another build's making must not become an enumerator that this one does not have.
Code code_of(uint8_t value) {
  return value <= static_cast<uint8_t>(Code::kPoisoned) ? static_cast<Code>(value) : Code::kUnsupported;
}

void write_cluster(Writer& writer, const ClusterId& id) {
  writer.u64(id.high);
  writer.u64(id.low);
}

ClusterId read_cluster(Reader& reader) {
  ClusterId id;
  id.high = reader.u64();
  id.low = reader.u64();
  return id;
}

Bytes hello_frame(FrameType type, const Hello& hello) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u16(hello.min_version);
  writer.u16(hello.max_version);
  write_cluster(writer, hello.cluster_id);
  writer.u64(hello.node_id);
  writer.u64(hello.expected_id);
  writer.u64(hello.instance);
  writer.u64(hello.boot_counter);
  writer.u64(hello.boot_nonce);
  writer.text(hello.address);
  writer.text(hello.failure_domain);
  writer.u64(hello.weight);
  return seal_frame(type, std::move(frame));
}

// Nothing is demanded of what follows the known fields: a later version may say more in its greeting.
Result<Hello> read_hello(ByteView body, const char* what) {
  Reader reader(body);
  Hello hello;
  hello.min_version = reader.u16();
  hello.max_version = reader.u16();
  hello.cluster_id = read_cluster(reader);
  hello.node_id = reader.u64();
  hello.expected_id = reader.u64();
  hello.instance = reader.u64();
  hello.boot_counter = reader.u64();
  hello.boot_nonce = reader.u64();
  hello.address = reader.text();
  hello.failure_domain = reader.text();
  hello.weight = reader.u64();
  if (reader.failed()) return malformed(what);
  return hello;
}

}  // namespace

Bytes encode(const Hello& hello) {
  return hello_frame(FrameType::kHello, hello);
}
Bytes encode(const HelloAck& ack) {
  return hello_frame(FrameType::kHelloAck, ack.hello);
}
Bytes encode_empty(FrameType type) {
  return seal_frame(type, begin_frame(0));
}

Bytes encode(const Refusal& refusal) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u8(static_cast<uint8_t>(refusal.reason.code()));
  writer.text(refusal.reason.sentence());
  return seal_frame(FrameType::kRefusal, std::move(frame));
}

Bytes encode(const JoinRequest& request) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u64(request.instance);
  writer.text(request.address);
  writer.text(request.target);
  return seal_frame(FrameType::kJoinRequest, std::move(frame));
}

Bytes encode(const JoinReply& reply) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u8(static_cast<uint8_t>(reply.code));
  writer.text(reply.redirect);
  writer.u64(reply.node_id);
  write_cluster(writer, reply.cluster_id);
  writer.u64(reply.leader);
  writer.u64(reply.commit);
  writer.text(reply.sentence);
  return seal_frame(FrameType::kJoinReply, std::move(frame));
}

Bytes encode(const ForwardRequest& request) {
  Bytes frame = begin_frame(kSmallBody + request.payload.size());
  Writer writer(frame);
  writer.u64(request.request_id);
  writer.blob(request.payload);
  return seal_frame(FrameType::kForwardRequest, std::move(frame));
}

Bytes encode(const ForwardReply& reply) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u64(reply.request_id);
  writer.u8(static_cast<uint8_t>(reply.status.code()));
  writer.u64(reply.index);
  writer.text(reply.status.sentence());
  return seal_frame(FrameType::kForwardReply, std::move(frame));
}

Bytes encode(const MemberRequest& request) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u64(request.request_id);
  writer.u8(static_cast<uint8_t>(request.change.action));
  writer.u64(request.change.id);
  writer.text(request.change.address);
  writer.u8(static_cast<uint8_t>(request.change.role));
  return seal_frame(FrameType::kMemberRequest, std::move(frame));
}

Bytes encode(const MemberReply& reply) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u64(reply.request_id);
  writer.u8(static_cast<uint8_t>(reply.status.code()));
  writer.u64(reply.index);
  writer.u64(reply.leader);
  writer.text(reply.leader_address);
  writer.u32(reply.member_count);
  writer.text(reply.status.sentence());
  return seal_frame(FrameType::kMemberReply, std::move(frame));
}

Bytes encode(const BootReport& report) {
  Bytes frame = begin_frame(kSmallBody);
  Writer writer(frame);
  writer.u32(static_cast<uint32_t>(report.starts.size()));
  for (const BootReport::Start& start : report.starts) {
    writer.u64(start.instance);
    writer.u64(start.counter);
    writer.u64(start.nonce);
    writer.u8(start.is_alive ? 1 : 0);
    writer.text(start.address);
  }
  return seal_frame(FrameType::kBootReport, std::move(frame));
}

Bytes encode(const Inquiry& inquiry) {
  Bytes frame = begin_frame(kSmallBody + inquiry.question.size());
  Writer writer(frame);
  writer.u64(inquiry.id);
  writer.blob(inquiry.question);
  return seal_frame(FrameType::kInquiry, std::move(frame));
}

Bytes encode(const InquiryReply& reply) {
  Bytes frame = begin_frame(kSmallBody + reply.answer.size());
  Writer writer(frame);
  writer.u64(reply.id);
  writer.u8(static_cast<uint8_t>(reply.status.code()));
  writer.blob(reply.answer);
  writer.text(reply.status.sentence());
  return seal_frame(FrameType::kInquiryReply, std::move(frame));
}

Result<Hello> decode_hello(ByteView body) {
  return read_hello(body, "greeting");
}

Result<HelloAck> decode_hello_ack(ByteView body) {
  Result<Hello> hello = read_hello(body, "answer to a greeting");
  if (!hello) return hello.status();
  return HelloAck{std::move(*hello)};
}

Result<Refusal> decode_refusal(ByteView body) {
  Reader reader(body);
  const Code code = code_of(reader.u8());
  std::string sentence = reader.text();
  if (!reader.finished() || code == Code::kOk) return malformed("refusal");
  return Refusal{Status(code, std::move(sentence))};
}

Result<JoinRequest> decode_join_request(ByteView body) {
  Reader reader(body);
  JoinRequest request;
  request.instance = reader.u64();
  request.address = reader.text();
  request.target = reader.text();
  if (!reader.finished()) return malformed("request to join");
  return request;
}

Result<JoinReply> decode_join_reply(ByteView body) {
  Reader reader(body);
  JoinReply reply;
  const uint8_t code = reader.u8();
  reply.redirect = reader.text();
  reply.node_id = reader.u64();
  reply.cluster_id = read_cluster(reader);
  reply.leader = reader.u64();
  reply.commit = reader.u64();
  reply.sentence = reader.text();
  const bool known =
      code >= static_cast<uint8_t>(JoinCode::kMember) && code <= static_cast<uint8_t>(JoinCode::kRefused);
  if (!reader.finished() || !known) return malformed("answer to a request to join");
  reply.code = static_cast<JoinCode>(code);
  const bool is_whole = reply.node_id != 0 && reply.cluster_id.is_set();
  if (reply.code == JoinCode::kMember && !is_whole) return malformed("answer to a request to join");
  return reply;
}

Result<ForwardRequest> decode_forward_request(ByteView body) {
  Reader reader(body);
  ForwardRequest request;
  request.request_id = reader.u64();
  const ByteView payload = reader.blob();
  request.payload.assign(payload.begin(), payload.end());
  if (!reader.finished()) return malformed("forwarded command");
  return request;
}

Result<ForwardReply> decode_forward_reply(ByteView body) {
  Reader reader(body);
  ForwardReply reply;
  reply.request_id = reader.u64();
  const Code code = code_of(reader.u8());
  reply.index = reader.u64();
  std::string sentence = reader.text();
  if (!reader.finished()) return malformed("answer to a forwarded command");
  if (code != Code::kOk) reply.status = Status(code, std::move(sentence));
  return reply;
}

Result<MemberRequest> decode_member_request(ByteView body) {
  Reader reader(body);
  MemberRequest request;
  request.request_id = reader.u64();
  const uint8_t action = reader.u8();
  request.change.id = reader.u64();
  request.change.address = reader.text();
  const uint8_t role = reader.u8();
  const bool known = action >= static_cast<uint8_t>(MemberAction::kTransfer) &&
                     action <= static_cast<uint8_t>(MemberAction::kSetRole) &&
                     role >= static_cast<uint8_t>(MemberRole::kVoter) &&
                     role <= static_cast<uint8_t>(MemberRole::kSpare);
  if (!reader.finished() || !known) return malformed("request to change the members");
  request.change.action = static_cast<MemberAction>(action);
  request.change.role = static_cast<MemberRole>(role);
  return request;
}

Result<MemberReply> decode_member_reply(ByteView body) {
  Reader reader(body);
  MemberReply reply;
  reply.request_id = reader.u64();
  const Code code = code_of(reader.u8());
  reply.index = reader.u64();
  reply.leader = reader.u64();
  reply.leader_address = reader.text();
  reply.member_count = reader.u32();
  std::string sentence = reader.text();
  if (!reader.finished()) return malformed("answer to a request to change the members");
  if (code != Code::kOk) reply.status = Status(code, std::move(sentence));
  return reply;
}

Result<Inquiry> decode_inquiry(ByteView body) {
  Reader reader(body);
  Inquiry inquiry;
  inquiry.id = reader.u64();
  const ByteView question = reader.blob();
  inquiry.question.assign(question.begin(), question.end());
  if (!reader.finished()) return malformed("inquiry");
  return inquiry;
}

Result<InquiryReply> decode_inquiry_reply(ByteView body) {
  Reader reader(body);
  InquiryReply reply;
  reply.id = reader.u64();
  const Code code = code_of(reader.u8());
  const ByteView answer = reader.blob();
  reply.answer.assign(answer.begin(), answer.end());
  std::string sentence = reader.text();
  if (!reader.finished()) return malformed("answer to an inquiry");
  if (code != Code::kOk) reply.status = Status(code, std::move(sentence));
  return reply;
}

Result<BootReport> decode_boot_report(ByteView body) {
  Reader reader(body);
  BootReport report;
  for (uint32_t left = reader.u32(); left > 0 && !reader.failed(); left--) {
    BootReport::Start start{reader.u64(), reader.u64(), reader.u64()};
    const uint8_t is_alive = reader.u8();
    start.address = reader.text();
    if (start.instance == 0 || is_alive > 1) return malformed("report of starts");
    start.is_alive = is_alive == 1;
    report.starts.push_back(std::move(start));
  }
  if (!reader.finished()) return malformed("report of starts");
  return report;
}

}  // namespace dqlite::raft::net
