// Transports that talk to each other, and to strangers, on one loop over loopback.
#include "raft/net/transport.h"

#include <CppUTest/TestHarness.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::net;

namespace {

constexpr std::chrono::seconds kLoopPatience{30};

// One end: says who it is, judges others by their cluster, and remembers what arrived.
class End final : public TransportDelegate {
 public:
  End(Context& context, NodeId id, uint64_t cluster)
      : id_(id), cluster_{cluster, 1}, transport(context, *this) {
    const Address any = *parse_address("127.0.0.1:0");
    Status listening = transport.listen(any, *resolve_blocking(any), address);
    CHECK_TEXT(listening.is_ok(), listening.sentence().c_str());
  }

  Hello greeting(NodeId) override {
    Hello hello;
    hello.cluster_id = cluster_;
    hello.node_id = id_;
    hello.address = address.text();
    return hello;
  }
  Status judge_greeting(const Hello& hello) override {
    if (hello.cluster_id == cluster_) return Status::ok();
    return {Code::kRefused, "another cluster"};
  }
  Status judge_answer(NodeId peer, const Hello& answer) override {
    if (answer.node_id == peer) return Status::ok();
    return {Code::kRefused, "somebody else"};
  }
  void handle_message(Message message) override { messages.push_back(std::move(message)); }
  void handle_heard(NodeId) override { heard++; }
  void handle_join(ConnectionId from, const JoinRequest&) override {
    JoinReply reply;
    reply.code = JoinCode::kLater;
    transport.reply(from, reply);
  }
  void handle_forward(ConnectionId from, ForwardRequest request) override {
    transport.reply(from, ForwardReply{request.request_id, Status::ok(), request.payload.size()});
  }
  void handle_forward_reply(NodeId, const ForwardReply& reply) override { replies.push_back(reply); }
  void handle_member_request(ConnectionId from, const MemberRequest& request) override {
    MemberReply reply;
    reply.request_id = request.request_id;
    reply.index = request.change.id;
    transport.reply(from, reply);
  }
  void handle_member_reply(NodeId, const MemberReply& reply) override { member_replies.push_back(reply); }
  void handle_inquiry(ConnectionId from, Inquiry inquiry) override {
    transport.reply(from, InquiryReply{inquiry.id, {}, inquiry.question});
  }
  void handle_inquiry_reply(NodeId, InquiryReply reply) override {
    inquiry_replies.push_back(std::move(reply));
  }
  void handle_boot_report(NodeId, const BootReport&) override {}
  void handle_link_lost(NodeId) override { lost++; }

  void know(const End& other) { transport.set_peer(other.id_, other.address); }
  bool send_to(const End& other, Body body) {
    return transport.send(Message{id_, other.id_, 1, std::move(body)});
  }

 private:
  const NodeId id_;
  const ClusterId cluster_;

 public:
  Transport transport;
  Address address;
  std::vector<Message> messages;
  std::vector<ForwardReply> replies;
  std::vector<MemberReply> member_replies;
  std::vector<InquiryReply> inquiry_replies;
  int heard = 0;
  int lost = 0;
};

// A client that is no node: a plain socket.
class Stranger {
 public:
  explicit Stranger(const Address& address) {
    sockaddr_storage to{};
    numeric_socket_address(address, to);
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(sockaddr_in)) == 0);
    fcntl(socket_, F_SETFL, O_NONBLOCK);
  }
  ~Stranger() { close(socket_); }
  void send(const Bytes& bytes) {
    CHECK(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  // As much as goes now, without a look at what comes back. False once the other side has closed.
  bool push(const Bytes& bytes) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) pushed += static_cast<size_t>(sent);
    return sent > 0 || errno == EAGAIN || errno == EWOULDBLOCK;
  }
  size_t pushed = 0;
  // Reads what is there. True once the other side has closed.
  bool is_closed() {
    uint8_t buffer[4096];
    ssize_t size = 0;
    while ((size = recv(socket_, buffer, sizeof(buffer), 0)) > 0)
      received.insert(received.end(), buffer, buffer + size);
    return size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  Bytes received;

 private:
  int socket_ = -1;
};

}  // namespace

TEST_GROUP(Transport) {
  uv_loop_t loop;
  std::unique_ptr<Context> context;

  void setup() override {
    uv_loop_init(&loop);
    context = std::make_unique<Context>();
    context->loop = &loop;
  }
  void teardown() override {
    uv_run(&loop, UV_RUN_DEFAULT);  // ends only if every handle was closed
    LONGS_EQUAL(0, uv_loop_close(&loop));
    context.reset();
  }

  bool eventually(const std::function<bool()>& condition, const std::vector<Transport*>& transports) {
    const auto deadline = std::chrono::steady_clock::now() + kLoopPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      for (Transport* transport : transports) transport->tick();
      context->flush_all();
      uv_run(&loop, UV_RUN_NOWAIT);
    }
    return true;
  }
  // What the transport does when so much time has passed without another event.
  void tick_after(Transport & transport, uint64_t ms) {
    loop.time += ms;
    transport.tick();
    uv_update_time(&loop);
  }
};

TEST(Transport, a_message_arrives) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  CHECK(a.send_to(b, SnapshotAck{5, 6, true, false}));
  CHECK(eventually([&] { return b.messages.size() == 1; }, {&a.transport, &b.transport}));
  LONGS_EQUAL(1, b.messages[0].from);
  LONGS_EQUAL(6, std::get<SnapshotAck>(b.messages[0].body).next_offset);
  LONGS_EQUAL(1, a.transport.messages_sent());
}

TEST(Transport, messages_keep_their_order) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  for (uint64_t i = 0; i < 1000; i++) CHECK(a.send_to(b, SnapshotAck{i, 0, false, false}));
  CHECK(eventually([&] { return b.messages.size() == 1000; }, {&a.transport, &b.transport}));
  for (uint64_t i = 0; i < 1000; i++) LONGS_EQUAL(i, std::get<SnapshotAck>(b.messages[i].body).stream);
}

TEST(Transport, a_message_to_nobody_we_know_is_dropped) {
  End a(*context, 1, 7), b(*context, 2, 7);
  CHECK(!a.send_to(b, TimeoutNow{}));
}

TEST(Transport, M12_another_cluster_is_refused_and_the_sentence_comes_back) {
  End a(*context, 1, 7), b(*context, 2, 8);
  a.know(b);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return a.lost > 0; }, {&a.transport, &b.transport}));
  STRCMP_CONTAINS("another cluster", a.transport.link_failure(2).sentence().c_str());
  STRCMP_CONTAINS(b.address.text().c_str(), a.transport.link_failure(2).sentence().c_str());
  LONGS_EQUAL(0, b.messages.size());
}

TEST(Transport, whoever_answers_must_be_the_member_that_was_meant) {
  End a(*context, 1, 7), b(*context, 2, 7), c(*context, 3, 7);
  a.transport.set_peer(3, b.address);
  a.send_to(c, TimeoutNow{});
  CHECK(eventually([&] { return a.lost > 0; }, {&a.transport, &b.transport}));
  STRCMP_CONTAINS("somebody else", a.transport.link_failure(3).sentence().c_str());
  STRCMP_CONTAINS("somebody else", a.transport.link_refusal(3).sentence().c_str());
  LONGS_EQUAL(0, b.messages.size());
  a.transport.set_peer(3, c.address);  // of which nothing bad is known
  CHECK(a.transport.link_refusal(3).is_ok());
}

TEST(Transport, a_peer_that_cannot_be_reached_refuses_nothing) {
  End a(*context, 1, 7), b(*context, 2, 7);
  b.transport.close();
  a.know(b);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return a.lost > 0; }, {&a.transport}));
  CHECK(!a.transport.link_failure(2).is_ok());
  CHECK(a.transport.link_refusal(2).is_ok());
}

TEST(Transport, a_message_in_anothers_name_is_dropped) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  a.transport.send(Message{9, 2, 1, TimeoutNow{}});
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return !b.messages.empty(); }, {&a.transport, &b.transport}));
  LONGS_EQUAL(1, b.messages.size());
  LONGS_EQUAL(1, b.messages[0].from);
}

TEST(Transport, N7_a_peer_that_comes_back_is_found_again) {
  End a(*context, 1, 7);
  auto b = std::make_unique<End>(*context, 2, 7);
  a.know(*b);
  a.send_to(*b, TimeoutNow{});
  CHECK(eventually([&] { return b->messages.size() == 1; }, {&a.transport, &b->transport}));
  b.reset();
  CHECK(eventually([&] { return a.lost > 0; }, {&a.transport}));
  End again(*context, 2, 7);
  a.know(again);
  CHECK(eventually([&] { return a.send_to(again, TimeoutNow{}); }, {&a.transport, &again.transport}));
  CHECK(eventually([&] { return !again.messages.empty(); }, {&a.transport, &again.transport}));
}

TEST(Transport, B13_each_part_of_a_long_message_is_a_sign_of_life_in_both_directions) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  b.know(a);
  a.send_to(b, TimeoutNow{});
  b.send_to(a, TimeoutNow{});
  CHECK(eventually([&] { return !a.messages.empty() && !b.messages.empty(); }, {&a.transport, &b.transport}));
  AppendRequest append;
  append.entries.push_back({1, 1, EntryKind::kCommand, std::make_shared<const Bytes>(20 << 20, uint8_t{7})});
  CHECK(a.send_to(b, append));
  CHECK(eventually([&] { return b.messages.size() == 2; }, {&a.transport, &b.transport}));
  CHECK(b.heard > 0);
  CHECK(eventually([&] { return a.heard > 0; }, {&a.transport, &b.transport}));
}

TEST(Transport, a_queue_that_is_full_drops_but_one_message_always_fits) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  AppendRequest append;
  append.entries.push_back({1, 1, EntryKind::kCommand, std::make_shared<const Bytes>(70 << 20, uint8_t{7})});
  CHECK(a.send_to(b, append));
  CHECK(!a.send_to(b, TimeoutNow{}));
  CHECK(eventually([&] { return b.messages.size() == 1; }, {&a.transport, &b.transport}));
  CHECK(eventually([&] { return a.send_to(b, TimeoutNow{}); }, {&a.transport, &b.transport}));
}

TEST(Transport, a_request_to_change_the_members_is_answered) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  const MemberRequest request{42, {MemberAction::kRemove, 9, "", MemberRole::kVoter}};
  CHECK_FALSE(a.transport.send_member_request(2, request));  // begins the connection
  CHECK(
      eventually([&] { return a.transport.send_member_request(2, request); }, {&a.transport, &b.transport}));
  CHECK(eventually([&] { return a.member_replies.size() == 1; }, {&a.transport, &b.transport}));
  LONGS_EQUAL(42, a.member_replies[0].request_id);
  LONGS_EQUAL(9, a.member_replies[0].index);
  CHECK_FALSE(a.transport.send_member_request(3, MemberRequest{}));
}

TEST(Transport, an_inquiry_is_answered) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  const Inquiry inquiry{42, {1, 2, 3}};
  CHECK_FALSE(a.transport.send_inquiry(2, inquiry));  // begins the connection
  CHECK(eventually([&] { return a.transport.send_inquiry(2, inquiry); }, {&a.transport, &b.transport}));
  CHECK(eventually([&] { return a.inquiry_replies.size() == 1; }, {&a.transport, &b.transport}));
  LONGS_EQUAL(42, a.inquiry_replies[0].id);
  CHECK(a.inquiry_replies[0].answer == inquiry.question);
  CHECK_FALSE(a.transport.send_inquiry(3, inquiry));
}

TEST(Transport, M9_a_member_that_is_not_wanted_any_more_is_told_why) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return b.messages.size() == 1; }, {&a.transport, &b.transport}));
  b.transport.refuse_members([](const Hello&) { return Status::ok(); });
  b.transport.refuse_members([](const Hello& hello) {
    return hello.node_id == 1 ? Status(Code::kNotFound, "it was removed") : Status::ok();
  });
  CHECK(eventually([&] { return a.lost == 1; }, {&a.transport, &b.transport}));
  CHECK(a.transport.link_failure(2).code() == Code::kNotFound);
}

TEST(Transport, a_forwarded_command_is_answered) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  CHECK(a.transport.send_forward(2, ForwardRequest{42, Bytes(10, 1)}));
  CHECK(eventually([&] { return a.replies.size() == 1; }, {&a.transport, &b.transport}));
  LONGS_EQUAL(42, a.replies[0].request_id);
  LONGS_EQUAL(10, a.replies[0].index);
}

TEST(Transport, N5_garbage_costs_its_own_connection_and_nothing_else) {
  End a(*context, 1, 7), b(*context, 2, 7);
  b.know(a);
  b.send_to(a, TimeoutNow{});
  CHECK(eventually([&] { return a.messages.size() == 1; }, {&a.transport, &b.transport}));
  for (const Bytes& garbage : {Bytes(100, 'x'), Bytes{1, 0, 0, 0, 0, 0, 0, 0}, encode(ForwardRequest{1, {}}),
                               encode(JoinRequest{}), encode_empty(FrameType::kRaft)}) {
    Stranger stranger(a.address);
    stranger.send(garbage);
    CHECK(eventually([&] { return stranger.is_closed(); }, {&a.transport, &b.transport}));
  }
  b.send_to(a, TimeoutNow{});
  CHECK(eventually([&] { return a.messages.size() == 2; }, {&a.transport, &b.transport}));
}

TEST(Transport, N6_a_stranger_cannot_make_us_wait_for_a_long_message) {
  End a(*context, 1, 7);
  Stranger stranger(a.address);
  Bytes frame = seal_frame(FrameType::kHello, Bytes(kFrameHeaderSize + kMaxStrangerBody + 1));
  frame.resize(kFrameHeaderSize);
  stranger.send(frame);
  CHECK(eventually([&] { return stranger.is_closed(); }, {&a.transport}));
}

TEST(Transport, a_node_without_a_cluster_may_only_ask_to_join) {
  End a(*context, 1, 7);
  Hello hello;
  hello.cluster_id = {7, 1};
  Stranger asks(a.address);
  asks.send(encode(hello));
  asks.send(encode(JoinRequest{1, "x:1", "y:2"}));
  const size_t ack = encode(HelloAck{a.greeting(0)}).size();
  CHECK(eventually([&] { return !asks.is_closed() && asks.received.size() > ack; }, {&a.transport}));
  Stranger forwards(a.address);
  forwards.send(encode(hello));
  forwards.send(encode(ForwardRequest{1, {}}));
  CHECK(eventually([&] { return forwards.is_closed(); }, {&a.transport}));
}

TEST(Transport, N6_a_stranger_that_asks_and_never_reads_loses_its_connection) {
  End a(*context, 1, 7);
  Hello hello;
  hello.cluster_id = {7, 1};
  Stranger stranger(a.address);
  stranger.send(encode(hello));
  Bytes pings;
  while (pings.size() < (240 << 10)) {
    const Bytes ping = encode_empty(FrameType::kPing);
    pings.insert(pings.end(), ping.begin(), ping.end());
  }
  constexpr size_t kFarTooMuch = 100 << 20;
  bool is_open = true;
  size_t part = 0;
  CHECK(eventually(
      [&] {
        const size_t before = stranger.pushed;
        is_open = stranger.push(Bytes(pings.begin() + static_cast<ptrdiff_t>(part), pings.end()));
        part = (part + stranger.pushed - before) % pings.size();
        return !is_open || stranger.pushed > kFarTooMuch;
      },
      {&a.transport}));
  CHECK_FALSE(is_open);
}

TEST(Transport, N6_a_stranger_that_greets_and_falls_silent_loses_its_connection) {
  End a(*context, 1, 7);
  Hello hello;
  hello.cluster_id = {7, 1};
  Stranger stranger(a.address);
  stranger.send(encode(hello));
  CHECK(eventually([&] { return !stranger.is_closed() && !stranger.received.empty(); }, {&a.transport}));
  tick_after(a.transport, 59000);
  for (int i = 0; i < 3; i++) {
    stranger.send(encode_empty(FrameType::kPing));
    const size_t before = stranger.received.size();
    CHECK(eventually([&] { return stranger.is_closed() || stranger.received.size() > before; },
                     {&a.transport}));
    CHECK_FALSE(stranger.is_closed());
    tick_after(a.transport, 40000);
  }
  tick_after(a.transport, 61000);
  CHECK(eventually([&] { return stranger.is_closed(); }, {&a.transport}));
}

TEST(Transport, a_member_may_be_silent) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return b.messages.size() == 1; }, {&a.transport, &b.transport}));
  tick_after(b.transport, 61000);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return b.messages.size() == 2; }, {&a.transport, &b.transport}));
  LONGS_EQUAL(0, a.lost);
}

TEST(Transport, N8_a_node_of_another_version_is_refused_with_a_sentence) {
  End a(*context, 1, 7);
  Hello hello;
  hello.min_version = 5;
  hello.max_version = 9;
  hello.cluster_id = {7, 1};
  Stranger stranger(a.address);
  stranger.send(encode(hello));
  CHECK(eventually([&] { return stranger.is_closed(); }, {&a.transport}));
  const std::string said(stranger.received.begin(), stranger.received.end());
  STRCMP_CONTAINS("versions 5 to 9 were offered, this node knows 1 to 1",
                  said.c_str() + kFrameHeaderSize + 5);
}

TEST(Transport, an_address_in_use_is_named) {
  End a(*context, 1, 7);
  Transport second(*context, a);
  Address bound;
  const Status listening = second.listen(a.address, *resolve_blocking(a.address), bound);
  CHECK(listening.code() == Code::kBusy);
  STRCMP_CONTAINS("cannot listen on 127.0.0.1:", listening.sentence().c_str());
}

TEST(Transport, a_name_is_resolved_at_each_connect) {
  End a(*context, 1, 7), b(*context, 2, 7);
  Address by_name = b.address;
  by_name.host = "localhost";
  a.transport.set_peer(2, by_name);
  // One of the name's addresses may be [::1], where nobody listens: the next attempt takes the other.
  CHECK(eventually(
      [&] {
        if (b.messages.empty()) a.send_to(b, TimeoutNow{});
        return !b.messages.empty();
      },
      {&a.transport, &b.transport}));
}

TEST(Transport, B6_a_forked_child_closes_every_descriptor) {
  End a(*context, 1, 7), b(*context, 2, 7);
  a.know(b);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return b.messages.size() == 1; }, {&a.transport, &b.transport}));
  const auto count = [] {
    int open = 0;
    for (int descriptor = 3; descriptor < 200; descriptor++) open += fcntl(descriptor, F_GETFD) >= 0 ? 1 : 0;
    return open;
  };
  const int before = count();
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    context->descriptors.close_all();
    const char left = static_cast<char>(count() - 2);
    _exit(write(ends[1], &left, 1) == 1 ? 0 : 1);
  }
  char left = 0;
  CHECK(read(ends[0], &left, 1) == 1);
  CHECK(waitpid(child, nullptr, 0) == child);
  close(ends[0]);
  close(ends[1]);
  // Two listeners and both ends of the connection.
  LONGS_EQUAL(before - 4, left);
  a.send_to(b, TimeoutNow{});
  CHECK(eventually([&] { return b.messages.size() == 2; }, {&a.transport, &b.transport}));
}
