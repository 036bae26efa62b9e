// The bodies of the frames that nodes exchange: their fields, and their bytes.
//
// Integers are little-endian and of fixed width, texts and blobs carry a 32-bit length (codec/bytes.h).
// `encode` trusts its caller and returns the whole frame; `decode` trusts nobody: every count is checked
// against the bytes that are there before anything is allocated for it, and what is left over is an error.
// Pure; any thread.
//
// A connection begins with the connector's Hello and the acceptor's HelloAck or Refusal; then the connector
// sends requests and Raft messages, and the acceptor sends replies only. So two members that talk to each
// other have two connections.
#pragma once

#include <cstdint>
#include <string>

#include "codec/bytes.h"
#include "codec/status.h"
#include "raft/core/configuration.h"
#include "raft/core/message.h"
#include "raft/log/identity.h"
#include "raft/net/frame.h"

namespace dqlite::raft::net {

// Who connects. `node_id` 0 and an unset cluster: a node that is member of nothing and may only ask to join.
// Body: u16 min version, u16 max version, u64 cluster high, low, u64 node id, u64 expected id, u64 instance,
// u64 boot counter, u64 boot nonce, text address, text failure domain, u64 weight.
struct Hello {
  uint16_t min_version = kMinProtocolVersion;
  uint16_t max_version = kMaxProtocolVersion;
  ClusterId cluster_id;
  NodeId node_id = 0;
  NodeId expected_id = 0;  // the member the connector believes to reach; 0: any
  uint64_t instance = 0;
  uint64_t boot_counter = 0;
  uint64_t boot_nonce = 0;
  std::string address;
  std::string failure_domain;  // as given by its user, see NodeOptions
  uint64_t weight = 0;
};

// Who accepted: a Hello in the other direction.
struct HelloAck {
  Hello hello;
};

// Why a connection is closed. As the answer to a greeting, kNotFound tells a member that it was removed from
// the cluster. Body: u8 code, text sentence.
struct Refusal {
  Status reason;
};

// Body: u64 instance, text address, text target (what the joiner was told to join, for sentences).
struct JoinRequest {
  uint64_t instance = 0;
  std::string address;
  std::string target;
};

enum class JoinCode : uint8_t {
  kMember = 1,    // done: `node_id`, `cluster_id` and `commit` are set
  kRedirect = 2,  // ask `redirect`, the leader
  kLater = 3,     // no leader now, or a change is under way: ask again
  kNew = 4,       // the target is member of nothing itself: ask again, somebody has to write there first
  kRefused = 5,   // asking again does not help until something is changed
};

// Body: u8 code, text redirect, u64 node id, u64 cluster high, low, u64 leader id, u64 commit, text sentence.
struct JoinReply {
  JoinCode code = JoinCode::kRefused;
  std::string redirect;
  NodeId node_id = 0;
  ClusterId cluster_id;
  NodeId leader = 0;
  Index commit = 0;  // the leader's commit index: what the joiner applies before it calls itself joined
  std::string sentence;
};

// A command for the leader to propose. Body: u64 request id, blob payload.
struct ForwardRequest {
  uint64_t request_id = 0;
  Bytes payload;
};

// Body: u64 request id, u8 code, u64 index, text sentence.
struct ForwardReply {
  uint64_t request_id = 0;
  Status status;
  Index index = 0;
};

// A change of the members, for the leader to make. Body: u64 request id, u8 action, u64 member id, text address,
// u8 role.
struct MemberRequest {
  uint64_t request_id = 0;
  MemberChange change;
};

// Done if the code is ok; kNotLeader: ask the leader named, if one is. Body: u64 request id, u8 code, u64 index of
// the configuration entry, u64 leader id, text leader's address, u32 count of members, text sentence.
struct MemberReply {
  uint64_t request_id = 0;
  Status status;
  Index index = 0;
  NodeId leader = 0;  // after a transfer: the new one
  std::string leader_address;
  uint32_t member_count = 0;
};

// The newest start that the sender knows of each member, so that one may refuse a copy of a directory whose
// original it never met [B7], and find a member that moved [C3]. Body: u32 count, then per start u64 instance, u64
// boot counter, u64 boot nonce, u8 is alive (0 or 1), text address.
struct BootReport {
  struct Start {
    uint64_t instance = 0;
    uint64_t counter = 0;
    uint64_t nonce = 0;     // 0: of an earlier life of the sender, and forgotten
    bool is_alive = false;  // the sender has a connection of this very start, and heard it just now
    std::string address{};  // as this start said; empty: not known
  };
  std::vector<Start> starts;
};

// A question to the state machine of a member, repeated under the same id until it is answered. Body: u64 id, blob
// question.
struct Inquiry {
  uint64_t id = 0;  // never used twice, by nobody
  Bytes question;
};

// kBusy: it is being worked on, ask again. Body: u64 id, u8 code, blob answer, text sentence.
struct InquiryReply {
  uint64_t id = 0;
  Status status;
  Bytes answer;
};

Bytes encode(const Hello& hello);
Bytes encode(const HelloAck& ack);
Bytes encode(const Refusal& refusal);
Bytes encode(const JoinRequest& request);
Bytes encode(const JoinReply& reply);
Bytes encode(const ForwardRequest& request);
Bytes encode(const ForwardReply& reply);
Bytes encode(const MemberRequest& request);
Bytes encode(const MemberReply& reply);
Bytes encode(const BootReport& report);
Bytes encode(const Inquiry& inquiry);
Bytes encode(const InquiryReply& reply);
// Body: u64 from, u64 to, u64 term, u8 kind (1 to 9 in the order of raft::Body), then the kind's fields in
// the order of raft/core/message.h. An entry is u64 index, u64 term, u8 kind, blob payload.
Bytes encode(const Message& message);
Bytes encode_empty(FrameType type);

Result<Hello> decode_hello(ByteView body);
Result<HelloAck> decode_hello_ack(ByteView body);
Result<Refusal> decode_refusal(ByteView body);
Result<JoinRequest> decode_join_request(ByteView body);
Result<JoinReply> decode_join_reply(ByteView body);
Result<ForwardRequest> decode_forward_request(ByteView body);
Result<ForwardReply> decode_forward_reply(ByteView body);
Result<MemberRequest> decode_member_request(ByteView body);
Result<MemberReply> decode_member_reply(ByteView body);
Result<BootReport> decode_boot_report(ByteView body);
Result<Inquiry> decode_inquiry(ByteView body);
Result<InquiryReply> decode_inquiry_reply(ByteView body);
Result<Message> decode_message(ByteView body);

}  // namespace dqlite::raft::net
