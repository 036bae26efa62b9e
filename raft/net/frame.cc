#include "raft/net/frame.h"

#include <algorithm>
#include <string>

#include "codec/checksum.h"

namespace dqlite::raft::net {

namespace {

constexpr uint8_t kFrameMagic[4] = {'d', 'q', 'r', 'p'};
constexpr size_t kKeptBuffer = 1 << 20;  // a buffer that grew beyond is given back after its frame

bool is_known(uint16_t type) {
  return (type >= static_cast<uint16_t>(FrameType::kHello) &&
          type <= static_cast<uint16_t>(FrameType::kBootReport)) ||
         (type >= static_cast<uint16_t>(FrameType::kRaft) &&
          type <= static_cast<uint16_t>(FrameType::kInquiryReply));
}

Status not_a_node() {
  return {Code::kCorrupt,
          "a message does not begin with 'dqrp': the other side is no node, or bytes were lost"};
}

}  // namespace

FirstWord classify_first_word(ByteView bytes) {
  const size_t known = std::min(bytes.size(), sizeof(kFrameMagic));
  if (!std::equal(kFrameMagic, kFrameMagic + known, bytes.begin())) return FirstWord::kUnknown;
  return known == sizeof(kFrameMagic) ? FirstWord::kNode : FirstWord::kIncomplete;
}

Bytes begin_frame(size_t expected_body) {
  Bytes frame;
  frame.reserve(kFrameHeaderSize + expected_body);
  frame.resize(kFrameHeaderSize);
  return frame;
}

Bytes seal_frame(FrameType type, Bytes frame) {
  const ByteView body = ByteView(frame).subspan(kFrameHeaderSize);
  Bytes header;
  header.reserve(kFrameHeaderSize);
  codec::Writer writer(header);
  writer.raw(kFrameMagic);
  writer.u16(kMaxProtocolVersion);
  writer.u16(static_cast<uint16_t>(type));
  writer.u32(static_cast<uint32_t>(body.size()));
  writer.u32(codec::checksum32(header));
  writer.u64(codec::checksum(body, static_cast<uint64_t>(type)));
  std::copy(header.begin(), header.end(), frame.begin());
  return frame;
}

void FrameReader::append(ByteView bytes) {
  if (consumed_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(consumed_));
    consumed_ = 0;
    if (buffer_.capacity() > kKeptBuffer && buffer_.size() < kKeptBuffer / 2) buffer_.shrink_to_fit();
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Status FrameReader::check_header() {
  const ByteView header = ByteView(buffer_).subspan(consumed_, kFrameHeaderSize);
  codec::Reader reader(header);
  const ByteView magic = reader.raw(sizeof(kFrameMagic));
  const uint16_t version = reader.u16();
  const uint16_t type = reader.u16();
  const uint32_t length = reader.u32();
  const uint32_t header_checksum = reader.u32();
  if (!std::equal(magic.begin(), magic.end(), kFrameMagic)) return not_a_node();
  if (header_checksum != codec::checksum32(header.first(12))) {
    return {Code::kCorrupt, "the checksum of a message's header is wrong"};
  }
  if (version < kMinProtocolVersion || version > kMaxProtocolVersion) {
    return {Code::kUnsupported, "a message has protocol version " + std::to_string(version) +
                                    ", this node knows " + std::to_string(kMinProtocolVersion) + " to " +
                                    std::to_string(kMaxProtocolVersion) + ": upgrade the older node"};
  }
  if (!is_known(type)) {
    return {Code::kUnsupported, "a message has the unknown type " + std::to_string(type)};
  }
  if (length > max_body_) {
    return {Code::kCorrupt, "a message claims " + std::to_string(length) + " bytes where at most " +
                                std::to_string(max_body_) + " are allowed"};
  }
  type_ = static_cast<FrameType>(type);
  length_ = length;
  body_checksum_ = reader.u64();
  return Status::ok();
}

Result<std::optional<Frame>> FrameReader::next() {
  if (!type_) {
    // Known from the first bytes: a client of another kind may be waiting for an answer.
    if (classify_first_word(ByteView(buffer_).subspan(consumed_)) == FirstWord::kUnknown) return not_a_node();
    if (buffer_.size() - consumed_ < kFrameHeaderSize) return std::optional<Frame>();
    Status checked = check_header();
    if (!checked) return checked;
  }
  const size_t body_at = consumed_ + kFrameHeaderSize;
  if (buffer_.size() - body_at < length_) return std::optional<Frame>();
  const ByteView body = ByteView(buffer_).subspan(body_at, length_);
  if (codec::checksum(body, static_cast<uint64_t>(*type_)) != body_checksum_) {
    return Status(Code::kCorrupt, "the checksum of a message's body is wrong");
  }
  consumed_ = body_at + length_;
  const Frame frame{*type_, body};
  type_.reset();
  return std::optional<Frame>(frame);
}

std::optional<FrameType> FrameReader::unfinished() const {
  return type_;
}

}  // namespace dqlite::raft::net
