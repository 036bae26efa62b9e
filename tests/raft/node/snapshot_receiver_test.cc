// The receiver of snapshots, with pieces made by hand: what it answers over loopback, and what it installs.
#include "raft/node/snapshot_receiver.h"

#include "codec/checksum.h"
#include "raft/net/transport.h"
#include "raft/node/completion.h"
#include "raft/node/install_note.h"
#include "raft/node/loop.h"
#include "raft/node/snapshot_sender.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr NodeId kReceiver = 1;
constexpr NodeId kLeader = 2;
constexpr uint64_t kStream = 7;
constexpr size_t kPieceBytes = 100;

class Idle final : public LoopDelegate {
 public:
  void on_tick() override {}
  void on_soon() override {}
  void on_turn_end() override {}
  void on_turn_sent() override {}
};

// Keeps what the receiver says to its leader.
class LeadersEar final : public net::TransportDelegate {
 public:
  net::Hello greeting(NodeId) override {
    net::Hello hello;
    hello.node_id = kReceiver;
    return hello;
  }
  Status judge_greeting(const net::Hello&) override { return Status::ok(); }
  Status judge_answer(NodeId, const net::Hello&) override { return Status::ok(); }
  void handle_message(Message message) override { heard.push_back(std::get<SnapshotAck>(message.body)); }
  void handle_heard(NodeId) override {}
  void handle_join(net::ConnectionId, const net::JoinRequest&) override {}
  void handle_forward(net::ConnectionId, net::ForwardRequest) override {}
  void handle_forward_reply(NodeId, const net::ForwardReply&) override {}
  void handle_member_request(net::ConnectionId, const net::MemberRequest&) override {}
  void handle_member_reply(NodeId, const net::MemberReply&) override {}
  void handle_link_lost(NodeId) override {}

  std::vector<SnapshotAck> heard;
};

// A follower of term 1 with an empty log.
Recovered empty_follower() {
  Recovered recovered;
  recovered.hard_state.term = 1;
  recovered.start.configuration.members = {{kReceiver, 11, "here:1", MemberRole::kVoter, false},
                                           {kLeader, 22, "there:2", MemberRole::kVoter, false}};
  return recovered;
}

CoreOptions options_of_receiver() {
  CoreOptions options;
  options.self = kReceiver;
  return options;
}

}  // namespace

TEST_GROUP(SnapshotReceiver) {
  const Checkpoint leaders{{10, 1}, {std::string(950, 'x')}};
  const Bytes bytes = encode(leaders);
  TemporaryDirectory directory{TemporaryDirectory::Place::kMemory};
  Checkpoint file;
  FakeMachine machine{file};
  Published published;
  Applier applier{std::make_unique<ThreadLane>(),
                  machine,
                  published,
                  {[] {}, [](const Status&) {}, [](uint64_t, const Result<Index>&) {}}};
  Idle idle;
  LeadersEar leader;
  Loop loop{idle};
  net::Transport transport{loop.context(), leader};
  Worker reader{std::make_unique<ThreadLane>()};
  Core core{options_of_receiver(), empty_follower()};
  std::shared_ptr<Log> log;
  std::unique_ptr<SnapshotReceiver> receiver;
  std::optional<LogStart> installed;
  Status failure;

  void setup() override {
    WORKS(loop.open());
    WORKS(reader.start("reader", [](const Status&) {}));
    WORKS(applier.start());
    const net::Address any = *net::parse_address("127.0.0.1:0");
    net::Address bound;
    WORKS(transport.listen(any, *net::resolve_blocking(any), bound));
    transport.set_peer(kLeader, bound);
    Result<std::unique_ptr<Log>> opened = Log::open(posix_disk(), directory.path() + "/log", small_log());
    WORKS(opened.status());
    log = std::move(*opened);
    start_receiver();
  }
  void teardown() override {
    receiver.reset();
    settle();
    reader.close();
    CHECK(reader.wait_ended(patience()));
    applier.close();
    CHECK(applier.wait_ended(patience()));
  }
  static LogOptions small_log() {
    LogOptions options;
    options.segment_bytes = 1 << 16;
    options.spare_segments = 0;
    return options;
  }
  // As the node does at its start: what an earlier one had taken in is forgotten.
  void start_receiver() {
    receiver = std::make_unique<SnapshotReceiver>(
        core, transport, loop, reader, applier, machine, posix_disk(), log, directory.path(),
        SnapshotReceiver::Events{[this](const LogStart& start) {
                                   installed = start;
                                   core.snapshot_installed(start);
                                 },
                                 [this](const Status& reason) { failure = reason; }});
  }

  [[nodiscard]] SnapshotChunk piece(uint64_t offset) const {
    SnapshotChunk chunk;
    chunk.stream = kStream;
    chunk.last = leaders.last;
    chunk.configuration = encode(empty_follower().start.configuration);
    chunk.offset = offset;
    chunk.total = bytes.size();
    const size_t size = std::min<size_t>(kPieceBytes, bytes.size() - offset);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
    chunk.data = std::make_shared<const Bytes>(begin, begin + static_cast<std::ptrdiff_t>(size));
    chunk.data_checksum = codec::checksum(*chunk.data);
    chunk.done = offset + size == bytes.size();
    if (chunk.done) chunk.total_checksum = whole_checksum();
    return chunk;
  }
  [[nodiscard]] uint64_t whole_checksum() const {
    uint64_t chain = 0;
    for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      chain = extend_chain(
          chain, codec::checksum(ByteView(bytes).subspan(at, std::min(kPieceBytes, bytes.size() - at))));
    }
    return chain;
  }
  // Through the core, as the node does, and until it was answered.
  void arrives(const SnapshotChunk& chunk) {
    core.step({kLeader, kReceiver, 1, chunk});
    for (const Message& message : core.take().snapshot_chunks) receiver->handle_chunk(message);
    settle();
  }
  void arrive_from(uint64_t offset) {
    for (; offset < bytes.size(); offset += kPieceBytes) arrives(piece(offset));
  }
  void settle() {
    auto done = std::make_shared<Completion<Status>>();
    reader.post([done] { done->complete(Status::ok()); });
    CHECK(done->wait(patience()).has_value());
    turn();
  }
  void turn() {
    loop.context().flush_all();
    uv_run(loop.context().loop, UV_RUN_NOWAIT);
  }
  // The next thing it says.
  SnapshotAck answer() {
    const size_t before = told;
    CHECK(eventually([&] {
      turn();
      return leader.heard.size() > before;
    }));
    return leader.heard.at(told++);
  }
  void is_installed() {
    CHECK(eventually([this] {
      settle();
      return installed.has_value() || !failure.is_ok();
    }));
    WORKS(failure);
    CHECK(machine.commands() == leaders.commands);
    LONGS_EQUAL(leaders.last.index, log->start().last.index);
    LONGS_EQUAL(leaders.last.index, core.last().index);
    CHECK_FALSE(read_install_note(posix_disk(), directory.path())->has_value());
  }

  size_t told = 0;
};

TEST(SnapshotReceiver, S1_every_piece_is_acknowledged_with_what_is_stored_and_the_whole_is_installed) {
  arrive_from(0);
  is_installed();
  for (uint64_t stored = kPieceBytes; stored < bytes.size(); stored += kPieceBytes) {
    LONGS_EQUAL(stored, answer().next_offset);
  }
  LONGS_EQUAL(bytes.size(), answer().next_offset);
  CHECK_TRUE(answer().installed);
}

TEST(SnapshotReceiver, S2_a_lost_piece_is_asked_for_by_the_offset_stored) {
  arrives(piece(0));
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  arrives(piece(2 * kPieceBytes));  // the one before it was lost
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  arrives(piece(0));  // and an old one comes again
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  arrive_from(kPieceBytes);
  is_installed();
}

TEST(SnapshotReceiver, S3_one_that_was_restarted_asks_for_the_stream_from_its_beginning) {
  arrives(piece(0));
  arrives(piece(kPieceBytes));
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  LONGS_EQUAL(2 * kPieceBytes, answer().next_offset);
  start_receiver();
  arrives(piece(2 * kPieceBytes));
  const SnapshotAck asked = answer();
  LONGS_EQUAL(0, asked.next_offset);
  CHECK_FALSE(asked.failed);
  CHECK_FALSE(asked.installed);
  LONGS_EQUAL(kStream, asked.stream);
  arrive_from(0);
  is_installed();
}

TEST(SnapshotReceiver, S3_the_last_piece_alone_after_a_restart_lets_entries_in_again) {
  const uint64_t last = (bytes.size() - 1) / kPieceBytes * kPieceBytes;
  arrives(piece(last));
  LONGS_EQUAL(0, answer().next_offset);
  core.step({kLeader, kReceiver, 1, AppendRequest{{}, 0, 0, {{1, 1, EntryKind::kNoop, nullptr}}}});
  LONGS_EQUAL(1, core.last().index);
}

TEST(SnapshotReceiver, S4_a_snapshot_of_another_stream_takes_the_place_of_the_first) {
  arrives(piece(0));
  answer();
  for (uint64_t at = 0; at < bytes.size(); at += kPieceBytes) {
    SnapshotChunk chunk = piece(at);
    chunk.stream = kStream + 1;
    arrives(chunk);
  }
  is_installed();
  LONGS_EQUAL(kStream + 1, answer().stream);
}

TEST(SnapshotReceiver, S10_a_corrupt_piece_is_not_stored_and_asked_for_again) {
  arrives(piece(0));
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  SnapshotChunk corrupt = piece(kPieceBytes);
  Bytes flipped = *corrupt.data;
  flipped[3] ^= 4;
  corrupt.data = std::make_shared<const Bytes>(std::move(flipped));
  arrives(corrupt);
  LONGS_EQUAL(kPieceBytes, answer().next_offset);
  arrive_from(kPieceBytes);
  is_installed();
}

TEST(SnapshotReceiver, S10_pieces_that_are_right_but_not_of_one_snapshot_are_given_up) {
  for (uint64_t at = 0; at < bytes.size(); at += kPieceBytes) {
    SnapshotChunk chunk = piece(at);
    if (at == kPieceBytes) {
      Bytes other = *chunk.data;
      other[3] ^= 4;
      chunk.data_checksum = codec::checksum(other);
      chunk.data = std::make_shared<const Bytes>(std::move(other));
    }
    arrives(chunk);
  }
  CHECK(eventually([this] { return answer().failed; }));
  CHECK(machine.commands().empty());
  LONGS_EQUAL(0, log->start().last.index);
  // The next stream finds the door open.
  core.step({kLeader, kReceiver, 1, AppendRequest{{}, 0, 0, {{1, 1, EntryKind::kNoop, nullptr}}}});
  LONGS_EQUAL(1, core.last().index);
}
