// The envelope of everything that travels between two nodes.
//
//   offset  size  field
//        0     4  magic, the bytes "dqrp"
//        4     2  protocol version of this frame's body
//        6     2  type (FrameType)
//        8     4  length of the body
//       12     4  checksum of bytes 0 to 11, so that a flipped length is found before anybody waits for it
//       16     8  checksum of the body, with the type as its seed
//       24        body
//
// A ping (type 8) of version 1 begins 64 71 72 70  01 00  08 00  00 00 00 00. The header's layout is the same
// in every version; the bodies are in raft/net/wire.h. The first four bytes of a connection tell a node from
// other kinds of clients (`classify_first_word`). Pure; one thread at a time per reader.
//
// Hostile input: a length beyond the limit is refused before anything is allocated for it, and the buffer
// grows with the bytes that arrive, never with the length that was claimed.
#pragma once

#include <cstdint>
#include <optional>

#include "codec/bytes.h"
#include "codec/status.h"

namespace dqlite::raft::net {

constexpr uint16_t kMinProtocolVersion = 1;
constexpr uint16_t kMaxProtocolVersion = 1;
constexpr size_t kFrameHeaderSize = 24;
constexpr uint32_t kMaxFrameBody = 320u << 20;    // of a member: one entry of a bulk load, with room
constexpr uint32_t kMaxStrangerBody = 64u << 10;  // before a connection has said who it is

enum class FrameType : uint16_t {
  kHello = 1,
  kHelloAck = 2,
  kRefusal = 3,
  kJoinRequest = 4,
  kJoinReply = 5,
  kForwardRequest = 6,
  kForwardReply = 7,
  kPing = 8,  // asks for a pong, to find connections that died without a word
  kPong = 9,
  kReceiving = 10,  // a part of a long message of yours arrived: counts as contact [B13]
  kMemberRequest = 11,
  kMemberReply = 12,
  kBootReport = 13,
  kRaft = 16,  // a raft::Message
  kInquiry = 17,
  kInquiryReply = 18,
};

enum class FirstWord : uint8_t { kIncomplete, kNode, kUnknown };

// What kind of client begins a connection with these bytes.
FirstWord classify_first_word(ByteView bytes);

// Room for a header, to write a body of about that size behind.
Bytes begin_frame(size_t expected_body);
// Completes a frame that begins with kFrameHeaderSize bytes of room, with its body behind them.
Bytes seal_frame(FrameType type, Bytes frame);

struct Frame {
  FrameType type = FrameType::kPing;
  ByteView body;  // valid until the reader's next `append`
};

// Cuts a stream of bytes into frames.
class FrameReader {
 public:
  explicit FrameReader(uint32_t max_body) : max_body_(max_body) {}

  void set_max_body(uint32_t max_body) { max_body_ = max_body; }
  void append(ByteView bytes);
  // The next whole frame, or nothing yet. A failure is final: the stream's place is lost.
  Result<std::optional<Frame>> next();
  // A frame of this type has arrived in part (known once its header is whole).
  [[nodiscard]] std::optional<FrameType> unfinished() const;
  [[nodiscard]] size_t buffered_bytes() const { return buffer_.capacity(); }

 private:
  Status check_header();

  uint32_t max_body_;
  Bytes buffer_;
  size_t consumed_ = 0;
  // Of the frame at `consumed_`, once its header was checked.
  std::optional<FrameType> type_;
  uint32_t length_ = 0;
  uint64_t body_checksum_ = 0;
};

}  // namespace dqlite::raft::net
