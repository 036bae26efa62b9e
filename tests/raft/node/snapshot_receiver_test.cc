// The receiver of snapshots, with pieces made by hand: what it answers, and what it installs. Everything runs on
// the test's own thread.
#include "raft/node/snapshot_receiver.h"

#include "codec/checksum.h"
#include "raft/node/install_note.h"
#include "raft/node/snapshot_sender.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/hand_lane.h"
#include "tests/raft/node/hand_loop.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr NodeId kReceiver = 1;
constexpr NodeId kLeader = 2;
constexpr uint64_t kStream = 7;

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

LogOptions small_log() {
  LogOptions options;
  options.segment_bytes = 1 << 16;
  options.spare_segments = 0;
  return options;
}

}  // namespace

TEST_GROUP(SnapshotReceiver) {
  const Checkpoint leaders{{10, 1}, {std::string(3 * kSnapshotPieceBytes - 1000, 'x')}};
  const Bytes bytes = encode(leaders);
  test::FaultDisk disk;
  Checkpoint file;
  FakeMachine machine{file};
  Published published;
  HandLane* applier_lane = new HandLane;
  HandLane* reader_lane = new HandLane;
  Worker reader{std::unique_ptr<Lane>(reader_lane)};
  Applier applier{std::unique_ptr<Lane>(applier_lane),
                  machine,
                  published,
                  {[] {}, [](const Status&) {}, [](uint64_t, const Result<Index>&) {}}};
  HandExecutor loop;
  KeepingNetwork network;
  Core core{options_of_receiver(), empty_follower()};
  std::shared_ptr<Log> log;
  std::unique_ptr<SnapshotReceiver> receiver;
  std::optional<LogStart> installed;
  Status failure;

  void setup() override {
    WORKS(reader.start("reader", [](const Status&) {}));
    WORKS(applier.start());
    WORKS(disk.make_directory("node"));
    Result<std::unique_ptr<Log>> opened = Log::open(disk, "node/log", small_log());
    WORKS(opened.status());
    log = std::move(*opened);
    start_receiver();
  }
  void teardown() override {
    run_all();
    receiver.reset();
  }
  // As the node does at its start.
  void start_receiver() {
    receiver.reset();
    const auto note = [this](const LogStart& start) {
      installed = start;
      core.snapshot_installed(start);
    };
    receiver = std::make_unique<SnapshotReceiver>(
        core, network, loop, reader, applier, machine, disk, log, "node",
        SnapshotReceiver::Events{note, [this](const Status& reason) { failure = reason; }});
  }
  void run_all() {
    while (reader_lane->run() || applier_lane->run() || loop.run()) {
    }
  }

  [[nodiscard]] SnapshotChunk piece(size_t number) const {
    SnapshotChunk chunk;
    chunk.stream = kStream;
    chunk.last = leaders.last;
    chunk.configuration = encode(empty_follower().start.configuration);
    chunk.offset = number * kSnapshotPieceBytes;
    chunk.total = bytes.size();
    const ByteView view = ByteView(bytes).subspan(
        chunk.offset, std::min<size_t>(kSnapshotPieceBytes, bytes.size() - chunk.offset));
    chunk.data = std::make_shared<const Bytes>(view.begin(), view.end());
    chunk.data_checksum = codec::checksum(view);
    chunk.done = number == 2;
    if (chunk.done) chunk.total_checksum = whole_checksum();
    return chunk;
  }
  [[nodiscard]] uint64_t whole_checksum() const {
    uint64_t chain = 0;
    for (size_t at = 0; at < bytes.size(); at += kSnapshotPieceBytes) {
      const size_t size = std::min<size_t>(kSnapshotPieceBytes, bytes.size() - at);
      chain = extend_chain(chain, codec::checksum(ByteView(bytes).subspan(at, size)));
    }
    return chain;
  }
  // The piece with one bit of it wrong.
  [[nodiscard]] SnapshotChunk flipped(size_t number) const {
    SnapshotChunk chunk = piece(number);
    Bytes other = *chunk.data;
    other[3] ^= 4;
    chunk.data = std::make_shared<const Bytes>(std::move(other));
    return chunk;
  }
  // Through the core, as the node does.
  void arrives(const SnapshotChunk& chunk) {
    core.step({kLeader, kReceiver, 1, chunk});
    for (const Message& message : core.take().snapshot_chunks) receiver->handle_chunk(message);
    run_all();
  }
  // The next thing it says.
  SnapshotAck answer() {
    CHECK_FALSE(network.sent.empty());
    const Message message = network.sent.front();
    network.sent.pop_front();
    LONGS_EQUAL(kLeader, message.to);
    return std::get<SnapshotAck>(message.body);
  }
  [[nodiscard]] SnapshotAck last_answer() const {
    return std::get<SnapshotAck>(network.sent.back().body);
  }
  void stored_up_to(uint64_t offset) {
    const SnapshotAck ack = answer();
    LONGS_EQUAL(kStream, ack.stream);
    LONGS_EQUAL(offset, ack.next_offset);
    CHECK_FALSE(ack.failed || ack.installed);
  }
  void takes_entries() {
    core.step({kLeader, kReceiver, 1, AppendRequest{{}, 0, 0, {{1, 1, EntryKind::kNoop, nullptr}}}});
    LONGS_EQUAL(1, core.last().index);
  }
  void check_installed() {
    WORKS(failure);
    CHECK(installed.has_value());
    CHECK(machine.commands() == leaders.commands);
    LONGS_EQUAL(leaders.last.index, log->start().last.index);
    LONGS_EQUAL(leaders.last.index, core.last().index);
    CHECK_FALSE(read_install_note(disk, "node")->has_value());
    CHECK_TRUE(last_answer().installed);
  }
};

TEST(SnapshotReceiver, S1_every_piece_is_acknowledged_with_what_is_stored_and_the_whole_is_installed) {
  for (size_t number = 0; number < 3; number++) arrives(piece(number));
  stored_up_to(kSnapshotPieceBytes);
  stored_up_to(2 * kSnapshotPieceBytes);
  stored_up_to(bytes.size());
  check_installed();
}

TEST(SnapshotReceiver, S2_a_lost_piece_is_asked_for_by_the_offset_stored) {
  arrives(piece(0));
  stored_up_to(kSnapshotPieceBytes);
  arrives(piece(2));  // the one before it was lost
  stored_up_to(kSnapshotPieceBytes);
  arrives(piece(0));  // and an old one comes again
  stored_up_to(kSnapshotPieceBytes);
  CHECK(machine.commands().empty());
  arrives(piece(1));
  arrives(piece(2));
  check_installed();
}

TEST(SnapshotReceiver, S3_one_that_was_restarted_asks_for_the_beginning_and_says_what_it_holds) {
  arrives(piece(0));
  arrives(piece(1));
  network.sent.clear();
  start_receiver();
  arrives(piece(2));
  stored_up_to(0);
  arrives(piece(0));
  const SnapshotAck said = answer();
  CHECK(said.held == (std::vector<uint64_t>{piece(0).data_checksum, piece(1).data_checksum}));
  // So the second need not be sent again.
  SnapshotChunk named = piece(1);
  named.held = true;
  named.data = nullptr;
  arrives(named);
  arrives(piece(2));
  check_installed();
}

TEST(SnapshotReceiver, S3_a_piece_that_it_does_not_hold_cannot_be_named) {
  arrives(piece(0));
  stored_up_to(kSnapshotPieceBytes);
  SnapshotChunk named = piece(1);
  named.held = true;
  named.data = nullptr;
  arrives(named);
  stored_up_to(kSnapshotPieceBytes);
}

TEST(SnapshotReceiver, S3_whenever_it_asks_for_the_beginning_it_says_what_it_holds) {
  arrives(piece(0));
  arrives(piece(1));
  start_receiver();
  SnapshotChunk damaged = flipped(0);
  arrives(damaged);
  network.sent.clear();
  arrives(damaged);
  CHECK(last_answer().held == (std::vector<uint64_t>{piece(0).data_checksum, piece(1).data_checksum}));
}

TEST(SnapshotReceiver, S3_the_last_piece_alone_after_a_restart_lets_entries_in_again) {
  arrives(piece(2));
  stored_up_to(0);
  takes_entries();
}

TEST(SnapshotReceiver, S4_a_snapshot_of_another_stream_takes_the_place_of_the_first) {
  arrives(piece(0));
  for (size_t number = 0; number < 3; number++) {
    SnapshotChunk chunk = piece(number);
    chunk.stream = kStream + 1;
    arrives(chunk);
  }
  check_installed();
  LONGS_EQUAL(kStream + 1, last_answer().stream);
}

TEST(SnapshotReceiver, S10_a_corrupt_piece_is_not_stored_and_asked_for_again) {
  arrives(piece(0));
  stored_up_to(kSnapshotPieceBytes);
  arrives(flipped(1));
  stored_up_to(kSnapshotPieceBytes);
  arrives(piece(1));
  arrives(piece(2));
  check_installed();
}

TEST(SnapshotReceiver, S10_pieces_that_are_right_but_not_of_one_snapshot_are_given_up) {
  arrives(piece(0));
  SnapshotChunk other = flipped(1);
  other.data_checksum = codec::checksum(*other.data);
  arrives(other);
  arrives(piece(2));
  CHECK_TRUE(last_answer().failed);
  CHECK(machine.commands().empty());
  LONGS_EQUAL(0, log->start().last.index);
  // The next stream, and entries, find the door open.
  takes_entries();
}
