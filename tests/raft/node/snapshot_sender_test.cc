// The sender of snapshots, with a leader that talks to itself over loopback: what comes back are the chunks.
#include "raft/node/snapshot_sender.h"

#include "codec/checksum.h"
#include "raft/net/transport.h"
#include "raft/node/completion.h"
#include "raft/node/loop.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr NodeId kSelf = 1;
constexpr NodeId kPeer = 2;

class NoTurns final : public LoopDelegate {
 public:
  void on_tick() override {}
  void on_soon() override {}
  void on_turn_end() override {}
  void on_turn_sent() override {}
};

// Believes everybody to be whom they were thought to be, and keeps what arrives.
class Mirror final : public net::TransportDelegate {
 public:
  net::Hello greeting(NodeId) override {
    net::Hello hello;
    hello.node_id = kSelf;
    return hello;
  }
  Status judge_greeting(const net::Hello&) override { return Status::ok(); }
  Status judge_answer(NodeId, const net::Hello&) override { return Status::ok(); }
  void handle_message(Message message) override { messages.push_back(std::move(message)); }
  void handle_heard(NodeId) override {}
  void handle_join(net::ConnectionId, const net::JoinRequest&) override {}
  void handle_forward(net::ConnectionId, net::ForwardRequest) override {}
  void handle_forward_reply(NodeId, const net::ForwardReply&) override {}
  void handle_member_request(net::ConnectionId, const net::MemberRequest&) override {}
  void handle_member_reply(NodeId, const net::MemberReply&) override {}
  void handle_inquiry(net::ConnectionId, net::Inquiry) override {}
  void handle_inquiry_reply(NodeId, net::InquiryReply) override {}
  void handle_boot_report(NodeId, const net::BootReport&) override {}
  void handle_link_lost(NodeId) override {}

  std::vector<Message> messages;
};

// A sole voter with a log that begins behind what the snapshot holds.
Recovered log_behind(EntryId last) {
  Recovered recovered;
  recovered.hard_state.term = last.term;
  recovered.start.last = last;
  recovered.start.configuration.members = {{kSelf, 11, "here:1", MemberRole::kVoter, false},
                                           {kPeer, 22, "there:2", MemberRole::kStandby, false}};
  recovered.start.configuration_index = 1;
  recovered.last_index = recovered.commit = last.index;
  return recovered;
}

CoreOptions options_of_self() {
  CoreOptions options;
  options.self = kSelf;
  return options;
}

}  // namespace

TEST_GROUP(SnapshotSender) {
  Checkpoint file{{10, 1}, {std::string(4 * kSnapshotPieceBytes - 1000, 'x')}};
  FakeMachine machine{file};
  NoTurns no_turns;
  Mirror mirror;
  Loop loop{no_turns};
  net::Transport transport{loop.context(), mirror};
  Worker reader{std::make_unique<ThreadLane>()};
  Core core{options_of_self(), log_behind(file.last)};
  SnapshotSender sender{core, transport, loop, reader, machine, 20, 1};

  void setup() override {
    WORKS(loop.open());
    WORKS(reader.start("reader", [](const Status&) {}));
    const net::Address any = *net::parse_address("127.0.0.1:0");
    net::Address bound;
    WORKS(transport.listen(any, *net::resolve_blocking(any), bound));
    transport.set_peer(kPeer, bound);
    while (core.role() != Role::kLeader) {
      core.tick();
      for (const Persist& persist : core.take().persist) core.persisted(persist.token);
    }
  }
  void teardown() override {
    sender.cancel_all();
    settle_reader();
    reader.close();
    CHECK(reader.wait_ended(patience()));
  }

  // What was asked of the reader is done, and its answers wait for the loop.
  void settle_reader() {
    auto done = std::make_shared<Completion<Status>>();
    reader.post([done] { done->complete(Status::ok()); });
    CHECK(done->wait(patience()).has_value());
  }
  void turn() {
    loop.context().flush_all();
    uv_run(loop.context().loop, UV_RUN_NOWAIT);
  }
  // One more answer of the reader is taken.
  void step() {
    settle_reader();
    turn();
  }
  void be_deposed() {
    core.step({3, kSelf, core.term() + 1, AppendRequest{}});
    CHECK(core.role() == Role::kFollower);
  }
  // Enough for all that could come: each piece needs one answer of the reader.
  void run_on() {
    for (int i = 0; i < 20; i++) step();
  }
  void all_arrives() {
    run_on();
    CHECK(eventually([this] {
      turn();
      return mirror.messages.size() == transport.messages_sent();
    }));
  }
  // The receiver has answered the first piece; the others are there as well.
  void send_all() {
    sender.begin(kPeer);
    all_arrives();
    acknowledge(kSnapshotPieceBytes);
    all_arrives();
    CHECK(chunks().back().done);
  }
  void acknowledge(uint64_t next_offset) {
    sender.handle_ack({kPeer, kSelf, core.term(), SnapshotAck{1, next_offset, false, false, {}}});
  }
  [[nodiscard]] std::vector<SnapshotChunk> chunks() const {
    std::vector<SnapshotChunk> found;
    for (const Message& message : mirror.messages) found.push_back(std::get<SnapshotChunk>(message.body));
    return found;
  }
  void check_all_pieces_came_in_order() {
    CHECK(eventually([this] {
      step();
      return !mirror.messages.empty() && chunks().back().done;
    }));
    uint64_t offset = 0;
    uint64_t chain = 0;
    for (const SnapshotChunk& chunk : chunks()) {
      LONGS_EQUAL(offset, chunk.offset);
      offset += chunk.data ? chunk.data->size() : kSnapshotPieceBytes;
      if (chunk.data) CHECK(codec::checksum(*chunk.data) == chunk.data_checksum);
      CHECK(chunk.held == !chunk.data);
      chain = extend_chain(chain, chunk.data_checksum);
    }
    LONGS_EQUAL(encode(file).size(), offset);
    CHECK(chain == chunks().back().total_checksum);
  }
};

TEST(SnapshotSender, the_pieces_go_out_in_order_with_the_checksum_of_all) {
  sender.begin(kPeer);
  CHECK(eventually([this] {
    step();
    return !mirror.messages.empty();
  }));
  run_on();
  LONGS_EQUAL(1, chunks().size());  // the receiver may hold the others
  acknowledge(kSnapshotPieceBytes);
  check_all_pieces_came_in_order();
}

TEST(SnapshotSender, a_leader_deposed_while_the_snapshot_is_opened_sends_no_piece_in_the_next_term) {
  sender.begin(kPeer);
  settle_reader();
  be_deposed();
  run_on();
  LONGS_EQUAL(0, transport.messages_sent());
}

TEST(SnapshotSender, a_leader_deposed_while_a_piece_is_read_does_not_send_it_in_the_next_term) {
  sender.begin(kPeer);
  step();  // opened
  LONGS_EQUAL(0, transport.messages_sent());
  be_deposed();
  run_on();
  LONGS_EQUAL(0, transport.messages_sent());
}

TEST(SnapshotSender, an_acknowledgement_of_pieces_that_were_never_read_is_ignored) {
  sender.begin(kPeer);
  step();  // opened
  step();  // the first piece
  LONGS_EQUAL(1, transport.messages_sent());
  acknowledge(3 * kSnapshotPieceBytes);
  check_all_pieces_came_in_order();
}

TEST(SnapshotSender, an_acknowledgement_in_the_middle_of_a_piece_is_ignored) {
  sender.begin(kPeer);
  step();
  step();
  LONGS_EQUAL(1, transport.messages_sent());
  acknowledge(kSnapshotPieceBytes);
  acknowledge(100);
  check_all_pieces_came_in_order();
}

TEST(SnapshotSender, S3_a_piece_that_the_receiver_holds_is_only_named) {
  const Bytes stream = encode(file);
  const auto checksum_of = [&](size_t number) {
    return codec::checksum(ByteView(stream).subspan(number * kSnapshotPieceBytes, kSnapshotPieceBytes));
  };
  sender.begin(kPeer);
  step();
  step();
  // It has the second and, where the third belongs, something else.
  SnapshotAck ack{1, 0, false, false, {checksum_of(0), checksum_of(1), checksum_of(0)}};
  sender.handle_ack({kPeer, kSelf, core.term(), ack});
  check_all_pieces_came_in_order();
  LONGS_EQUAL(4, chunks().size());
  CHECK(chunks()[1].held);
  CHECK_FALSE(chunks()[2].held);
  CHECK_FALSE(chunks()[3].held);
}

// It lost what it held, or gave it up, and the answer that said so was lost as well.
TEST(SnapshotSender, S3_a_receiver_that_begins_anew_and_names_nothing_gets_every_piece) {
  sender.begin(kPeer);
  step();
  step();
  const uint64_t checksum = codec::checksum(ByteView(encode(file)).first(kSnapshotPieceBytes));
  sender.handle_ack({kPeer, kSelf, core.term(), SnapshotAck{1, 0, false, false, {checksum, checksum}}});
  all_arrives();
  acknowledge(kSnapshotPieceBytes);
  all_arrives();
  acknowledge(0);
  all_arrives();
  LONGS_EQUAL(0, chunks().back().offset);
  CHECK_FALSE(chunks().back().held);
}

TEST(SnapshotSender, S2_a_piece_without_answer_is_sent_again_from_the_offset_acknowledged) {
  send_all();
  acknowledge(2 * kSnapshotPieceBytes);
  all_arrives();
  const size_t sent = chunks().size();  // all of them; they are on their way for all that is known
  LONGS_EQUAL(4, sent);
  for (int i = 0; i < 20; i++) sender.tick();
  all_arrives();
  LONGS_EQUAL(sent + 2, chunks().size());
  LONGS_EQUAL(2 * kSnapshotPieceBytes, chunks().at(sent).offset);
  CHECK(chunks().back().done);
}

TEST(SnapshotSender, S2_the_last_piece_asks_again_whether_the_snapshot_is_installed) {
  send_all();
  acknowledge(encode(file).size());
  for (int i = 0; i < 20; i++) sender.tick();
  all_arrives();
  LONGS_EQUAL(5, chunks().size());
  CHECK(chunks().back().done);
}

TEST(SnapshotSender, S3_a_receiver_that_was_restarted_gets_the_stream_from_its_beginning) {
  send_all();
  acknowledge(2 * kSnapshotPieceBytes);
  all_arrives();
  acknowledge(0);
  all_arrives();
  LONGS_EQUAL(5, chunks().size());  // one, until it has said what it holds
  LONGS_EQUAL(0, chunks().back().offset);
  acknowledge(kSnapshotPieceBytes);
  all_arrives();
  LONGS_EQUAL(8, chunks().size());
  CHECK(chunks().back().done);
  CHECK(chunks().back().total_checksum == chunks().at(3).total_checksum);
}
