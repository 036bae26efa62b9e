// Every message survives the way over the wire, and no bytes can break its reader.
#include "raft/net/wire.h"

#include <CppUTest/TestHarness.h>

#include <algorithm>
#include <functional>

#include "codec/checksum.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::net;

namespace {

SharedBytes shared(const char* text) {
  const std::string copy = text;
  return std::make_shared<const Bytes>(copy.begin(), copy.end());
}

Message message(Body body) {
  return {3, 4, 17, std::move(body)};
}

std::vector<Message> all_messages() {
  AppendRequest append;
  append.previous = {10, 2};
  append.commit = 9;
  append.read_round = 5;
  append.entries = {{11, 3, EntryKind::kNoop, nullptr},
                    {12, 3, EntryKind::kConfiguration, shared("who")},
                    {13, 3, EntryKind::kCommand, shared("what")}};
  SnapshotChunk chunk;
  chunk.stream = 77;
  chunk.last = {20, 3};
  chunk.configuration = {1, 2, 3};
  chunk.configuration_index = 4;
  chunk.offset = 5;
  chunk.total = 12;
  chunk.data = shared("snapshot");
  chunk.data_checksum = 6;
  chunk.total_checksum = 7;
  chunk.done = true;
  return {message(VoteRequest{true, false, {8, 2}}),
          message(VoteResponse{false, true}),
          message(append),
          message(AppendRequest{}),
          message(AppendResponse{true, 5, {4, 1}, 6, 2, true}),
          message(TimeoutNow{}),
          message(chunk),
          message(SnapshotAck{77, 8, false, true, {}}),
          message(SnapshotAck{77, 8, false, false, {1, 2, 3}}),
          message(ReadRequest{9}),
          message(ReadResponse{9, 10})};
}

Bytes body_of(const Bytes& frame) {
  return {frame.begin() + kFrameHeaderSize, frame.end()};
}

// Of every kind of frame, its body and its decoder.
struct Sample {
  Bytes body;
  std::function<Status(ByteView)> decode;
  bool may_grow = false;  // a greeting of a later version may say more
};

std::vector<Sample> all_samples() {
  std::vector<Sample> samples;
  Hello hello;
  hello.cluster_id = {1, 2};
  hello.node_id = 3;
  hello.address = "127.0.0.1:9001";
  samples.push_back({body_of(encode(hello)), [](ByteView b) { return decode_hello(b).status(); }, true});
  samples.push_back(
      {body_of(encode(HelloAck{hello})), [](ByteView b) { return decode_hello_ack(b).status(); }, true});
  samples.push_back({body_of(encode(Refusal{{Code::kRefused, "no"}})),
                     [](ByteView b) { return decode_refusal(b).status(); }});
  samples.push_back({body_of(encode(JoinRequest{5, "a:1", "b:2"})),
                     [](ByteView b) { return decode_join_request(b).status(); }});
  samples.push_back({body_of(encode(JoinReply{JoinCode::kMember, "", 5, {1, 2}, 1, 9, "welcome"})),
                     [](ByteView b) { return decode_join_reply(b).status(); }});
  samples.push_back({body_of(encode(ForwardRequest{5, {1, 2, 3}})),
                     [](ByteView b) { return decode_forward_request(b).status(); }});
  samples.push_back({body_of(encode(ForwardReply{5, {Code::kBusy, "later"}, 0})),
                     [](ByteView b) { return decode_forward_reply(b).status(); }});
  samples.push_back(
      {body_of(encode(MemberRequest{5, {MemberAction::kSetRole, 7, "a:1", MemberRole::kSpare}})),
       [](ByteView b) { return decode_member_request(b).status(); }});
  samples.push_back({body_of(encode(MemberReply{5, {Code::kBusy, "later"}, 8, 9, "b:2", 3})),
                     [](ByteView b) { return decode_member_reply(b).status(); }});
  samples.push_back({body_of(encode(BootReport{{{5, 6, 7, true, "a:1"}, {8, 9, 0, false}}})),
                     [](ByteView b) { return decode_boot_report(b).status(); }});
  samples.push_back(
      {body_of(encode(Inquiry{5, {1, 2, 3}})), [](ByteView b) { return decode_inquiry(b).status(); }});
  samples.push_back({body_of(encode(InquiryReply{5, {Code::kBusy, "later"}, {1, 2}})),
                     [](ByteView b) { return decode_inquiry_reply(b).status(); }});
  for (const Message& each : all_messages()) {
    samples.push_back({body_of(encode(each)), [](ByteView b) { return decode_message(b).status(); }});
  }
  return samples;
}

}  // namespace

TEST_GROUP(Wire){// The message that comes out is the message that went in, if its bytes are the same.
                 void survives(const Message& original){const Bytes frame = encode(original);
Result<Message> decoded = decode_message(ByteView(frame).subspan(kFrameHeaderSize));
CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
CHECK(encode(*decoded) == frame);
LONGS_EQUAL(original.body.index(), decoded->body.index());
}
}
;

TEST(Wire, every_raft_message_survives) {
  for (const Message& each : all_messages()) survives(each);
}

TEST(Wire, an_append_keeps_each_field) {
  const Message original = all_messages()[2];
  const Result<Message> decoded = decode_message(body_of(encode(original)));
  LONGS_EQUAL(3, decoded->from);
  LONGS_EQUAL(4, decoded->to);
  LONGS_EQUAL(17, decoded->term);
  const auto& append = std::get<AppendRequest>(decoded->body);
  LONGS_EQUAL(10, append.previous.index);
  LONGS_EQUAL(2, append.previous.term);
  LONGS_EQUAL(9, append.commit);
  LONGS_EQUAL(5, append.read_round);
  LONGS_EQUAL(3, append.entries.size());
  LONGS_EQUAL(13, append.entries[2].index);
  CHECK(append.entries[2].kind == EntryKind::kCommand);
  CHECK(*append.entries[2].payload == *shared("what"));
  CHECK(append.entries[0].payload == nullptr);
}

TEST(Wire, greetings_and_answers_keep_each_field) {
  Hello hello;
  hello.cluster_id = {1, 2};
  hello.node_id = 3;
  hello.expected_id = 4;
  hello.instance = 5;
  hello.boot_counter = 6;
  hello.boot_nonce = 7;
  hello.address = "here:1";
  const Result<HelloAck> ack = decode_hello_ack(body_of(encode(HelloAck{hello})));
  CHECK(ack->hello.cluster_id == hello.cluster_id);
  LONGS_EQUAL(3, ack->hello.node_id);
  LONGS_EQUAL(4, ack->hello.expected_id);
  LONGS_EQUAL(5, ack->hello.instance);
  LONGS_EQUAL(6, ack->hello.boot_counter);
  LONGS_EQUAL(7, ack->hello.boot_nonce);
  STRCMP_EQUAL("here:1", ack->hello.address.c_str());
  const Result<ForwardReply> reply =
      decode_forward_reply(body_of(encode(ForwardReply{5, {Code::kBusy, "later"}, 8})));
  CHECK(reply->status.code() == Code::kBusy);
  STRCMP_EQUAL("later", reply->status.sentence().c_str());
  LONGS_EQUAL(8, reply->index);
}

TEST(Wire, a_request_to_change_the_members_and_its_answer_keep_each_field) {
  const Result<MemberRequest> request = decode_member_request(
      body_of(encode(MemberRequest{5, {MemberAction::kSetRole, 7, "a:1", MemberRole::kSpare}})));
  LONGS_EQUAL(5, request->request_id);
  CHECK(request->change.action == MemberAction::kSetRole);
  LONGS_EQUAL(7, request->change.id);
  STRCMP_EQUAL("a:1", request->change.address.c_str());
  CHECK(request->change.role == MemberRole::kSpare);
  const Result<MemberReply> reply =
      decode_member_reply(body_of(encode(MemberReply{5, {Code::kNotLeader, "ask"}, 8, 9, "b:2", 3})));
  LONGS_EQUAL(5, reply->request_id);
  CHECK(reply->status.code() == Code::kNotLeader);
  STRCMP_EQUAL("ask", reply->status.sentence().c_str());
  LONGS_EQUAL(8, reply->index);
  LONGS_EQUAL(9, reply->leader);
  STRCMP_EQUAL("b:2", reply->leader_address.c_str());
  LONGS_EQUAL(3, reply->member_count);
}

TEST(Wire, an_inquiry_and_its_answer_keep_each_field) {
  const Result<Inquiry> inquiry = decode_inquiry(body_of(encode(Inquiry{5, {1, 2, 3}})));
  LONGS_EQUAL(5, inquiry->id);
  CHECK(inquiry->question == Bytes({1, 2, 3}));
  const Result<InquiryReply> reply =
      decode_inquiry_reply(body_of(encode(InquiryReply{6, {Code::kRefused, "no"}, {4, 5}})));
  LONGS_EQUAL(6, reply->id);
  CHECK(reply->status.code() == Code::kRefused);
  STRCMP_EQUAL("no", reply->status.sentence().c_str());
  CHECK(reply->answer == Bytes({4, 5}));
}

TEST(Wire, B7_a_report_of_starts_keeps_each_field) {
  const Result<BootReport> report =
      decode_boot_report(body_of(encode(BootReport{{{5, 6, 7, true}, {8, 9, 0, false, "a:1"}}})));
  LONGS_EQUAL(2, report->starts.size());
  LONGS_EQUAL(5, report->starts[0].instance);
  LONGS_EQUAL(6, report->starts[0].counter);
  LONGS_EQUAL(7, report->starts[0].nonce);
  CHECK(report->starts[0].is_alive && !report->starts[1].is_alive);
  LONGS_EQUAL(8, report->starts[1].instance);
  STRCMP_EQUAL("", report->starts[0].address.c_str());
  STRCMP_EQUAL("a:1", report->starts[1].address.c_str());
}

TEST(Wire, an_unknown_action_or_role_is_refused) {
  for (const MemberChange& change :
       {MemberChange{static_cast<MemberAction>(9), 7, "", MemberRole::kVoter},
        MemberChange{MemberAction::kSetRole, 7, "", static_cast<MemberRole>(9)}}) {
    CHECK(!decode_member_request(body_of(encode(MemberRequest{5, change}))));
  }
}

TEST(Wire, N5_a_cut_body_is_refused_at_every_length) {
  for (const Sample& sample : all_samples()) {
    CHECK(sample.decode(sample.body).is_ok());
    for (size_t length = 0; length < sample.body.size(); length++)
      CHECK(!sample.decode(ByteView(sample.body).first(length)));
  }
}

TEST(Wire, bytes_left_over_are_refused) {
  for (const Sample& sample : all_samples()) {
    Bytes longer = sample.body;
    longer.push_back(0);
    CHECK(sample.decode(longer).is_ok() == sample.may_grow);
  }
}

TEST(Wire, no_flipped_byte_breaks_a_decoder) {
  // What comes out may be wrong (the frame's checksum is there for that), but nothing is read or allocated
  // beyond.
  for (const Sample& sample : all_samples()) {
    for (size_t at = 0; at < sample.body.size(); at++) {
      for (int bit = 0; bit < 8; bit++) {
        Bytes damaged = sample.body;
        damaged[at] = static_cast<uint8_t>(damaged[at] ^ (1 << bit));
        (void)sample.decode(damaged);
      }
    }
  }
}

TEST(Wire, a_count_of_entries_beyond_the_bytes_is_refused_before_it_is_believed) {
  Bytes body = body_of(encode(message(AppendRequest{})));
  for (size_t i = 0; i < 4; i++) body[body.size() - 4 + i] = 0xff;
  CHECK(!decode_message(body));
}

TEST(Wire, B16_an_entry_of_an_unknown_kind_is_refused_and_not_skipped) {
  AppendRequest append;
  append.entries = {{1, 1, static_cast<EntryKind>(9), shared("?")}};
  const Result<Message> decoded = decode_message(body_of(encode(message(append))));
  CHECK(decoded.status().code() == Code::kUnsupported);
  STRCMP_CONTAINS("unknown kind 9", decoded.status().sentence().c_str());
}

TEST_GROUP(Frame) {
  Bytes pong = encode_empty(FrameType::kPong);
  Bytes long_one = encode(ForwardRequest{1, Bytes(5000, 7)});

  Status feed(const Bytes& bytes, uint32_t limit = kMaxFrameBody) {
    FrameReader reader(limit);
    reader.append(bytes);
    return reader.next().status();
  }
};

TEST(Frame, the_header_is_as_documented) {
  const Bytes ping = encode_empty(FrameType::kPing);
  const uint8_t expected[] = {0x64, 0x71, 0x72, 0x70, 1, 0, 8, 0, 0, 0, 0, 0};
  LONGS_EQUAL(kFrameHeaderSize, ping.size());
  MEMCMP_EQUAL(expected, ping.data(), sizeof(expected));
}

TEST(Frame, frames_are_cut_out_of_a_stream_in_pieces_of_any_size) {
  Bytes stream;
  for (const Bytes* frame : {&pong, &long_one, &pong})
    stream.insert(stream.end(), frame->begin(), frame->end());
  for (size_t piece : {1, 7, 24, 1000, 100000}) {
    FrameReader reader(kMaxFrameBody);
    std::vector<size_t> sizes;
    for (size_t at = 0; at < stream.size(); at += piece) {
      reader.append(ByteView(stream).subspan(at, std::min(piece, stream.size() - at)));
      for (auto next = reader.next(); *next; next = reader.next()) sizes.push_back((*next)->body.size());
    }
    CHECK(sizes == (std::vector<size_t>{0, long_one.size() - kFrameHeaderSize, 0}));
    CHECK(!reader.unfinished());
  }
}

TEST(Frame, a_part_of_a_frame_names_its_type) {
  FrameReader reader(kMaxFrameBody);
  reader.append(ByteView(long_one).first(100));
  CHECK(!*reader.next());
  CHECK(reader.unfinished() == FrameType::kForwardRequest);
}

TEST(Frame, N5_every_flipped_bit_is_found) {
  for (size_t at = 0; at < long_one.size(); at += at < 32 ? 1 : 97) {
    Bytes damaged = long_one;
    damaged[at] ^= 0x10;
    // A flip in the length makes it wait for more only if the header's checksum is right, which it is not.
    CHECK(!feed(damaged));
  }
}

TEST(Frame, N6_a_length_beyond_the_limit_is_refused_with_its_header) {
  const Status status = feed(long_one, 100);
  CHECK(status.code() == Code::kCorrupt);
  STRCMP_CONTAINS("where at most 100 are allowed", status.sentence().c_str());
}

TEST(Frame, N6_a_claimed_length_is_not_allocated) {
  // A header that claims 300 MB costs its 24 bytes until more arrives.
  Bytes large = seal_frame(FrameType::kRaft, Bytes(kFrameHeaderSize + 1000));
  FrameReader reader(kMaxFrameBody);
  reader.append(ByteView(large).first(kFrameHeaderSize));
  CHECK(!*reader.next());
  CHECK(reader.buffered_bytes() < 1000);
}

TEST(Frame, N8_an_unknown_version_is_refused_with_a_sentence) {
  Bytes newer = pong;
  newer[4] = 9;
  const uint32_t checksum = codec::checksum32(ByteView(newer).first(12));
  for (int i = 0; i < 4; i++) newer[12 + static_cast<size_t>(i)] = static_cast<uint8_t>(checksum >> (8 * i));
  const Status status = feed(newer);
  CHECK(status.code() == Code::kUnsupported);
  STRCMP_CONTAINS("protocol version 9, this node knows 1 to 1", status.sentence().c_str());
}

TEST(Frame, the_first_word_tells_nodes_from_others) {
  CHECK(classify_first_word(ByteView(pong).first(2)) == FirstWord::kIncomplete);
  CHECK(classify_first_word(pong) == FirstWord::kNode);
  const Bytes dqlite_client = {1, 0, 0, 0, 0, 0, 0, 0};
  CHECK(classify_first_word(dqlite_client) == FirstWord::kUnknown);
  const Bytes http = {'G', 'E', 'T', ' '};
  CHECK(classify_first_word(http) == FirstWord::kUnknown);
}
