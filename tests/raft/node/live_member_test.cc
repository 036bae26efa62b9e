// A member with its log writer under the test's hand: what is told, and when.
#include "raft/node/live_member.h"

#include "tests/raft/core/cluster.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/hand_lane.h"
#include "tests/raft/node/hand_loop.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

class NoMemory final : public BootMemory {
 public:
  [[nodiscard]] uint64_t peer_boot_counter(uint64_t) const override { return 0; }
  Status remember_peer(uint64_t, uint64_t) override { return Status::ok(); }
};

Identity first_of_three() {
  Identity identity;
  identity.node_id = 1;
  identity.instance = 1001;
  return identity;
}

}  // namespace

TEST_GROUP(LiveMember) {
  NodeOptions options;
  test::FaultDisk disk;
  Checkpoint file;
  FakeMachine machine{file};
  Published published;
  HandExecutor loop;
  KeepingNetwork network;
  HandLane* writer_lane = new HandLane;
  HandLane* applier_lane = new HandLane;
  HandLane* reader_lane = new HandLane;
  Worker reader{std::unique_ptr<Lane>(reader_lane)};
  LogWriter writer{std::unique_ptr<Lane>(writer_lane), {[] {}, [](const Status&) {}, [](const Status&) {}}};
  Applier applier{std::unique_ptr<Lane>(applier_lane),
                  machine,
                  published,
                  {[] {}, [](const Status&) {}, [](uint64_t, const Result<Index>&) {}}};
  NoMemory no_memory;
  Greeter greeter{no_memory, reader};
  Status failure;
  std::shared_ptr<Log> log;
  std::unique_ptr<LiveMember> member;

  void setup() override {
    options.directory = "node";
    WORKS(disk.make_directory("node"));
    WORKS(reader.start("reader", [](const Status&) {}));
    WORKS(writer.start());
    WORKS(applier.start());
    LogOptions small;
    small.segment_bytes = 1 << 16;
    small.spare_segments = 0;
    Result<std::unique_ptr<Log>> opened = Log::open(disk, "node/log", small);
    WORKS(opened.status());
    log = std::move(*opened);
    MemberFiles files;
    files.identity = first_of_three();
    files.log = log;
    files.recovered = log->recovered();
    files.recovered.start.configuration = Cluster(3).first_configuration;
    member = std::make_unique<LiveMember>(
        MemberServices{options, machine, published, loop, reader, writer, applier, network, disk, greeter,
                       [this](const Status& reason) { failure = reason; }, [] {}},
        files.identity, "here:1", files);
  }
  void teardown() override {
    WORKS(failure);
  }
  // What arrived is dealt with, up to the disk.
  void turn() {
    member->turn();
    member->wake_threads();
  }
  template <typename T>
  const T* last_sent() const {
    return network.sent.empty() ? nullptr : std::get_if<T>(&network.sent.back().body);
  }
};

TEST(LiveMember, E7_a_vote_leaves_when_the_log_writer_is_done_and_not_before) {
  member->step({2, 1, 5, VoteRequest{.pre_vote = false, .transfer = false, .last = {}}});
  turn();
  CHECK(network.sent.empty());
  LONGS_EQUAL(0, log->hard_state().term);
  CHECK_TRUE(writer_lane->run());
  LONGS_EQUAL(2, log->hard_state().vote);
  turn();
  CHECK(last_sent<VoteResponse>() != nullptr && last_sent<VoteResponse>()->granted);
}

TEST(LiveMember, an_acknowledgement_leaves_when_the_log_writer_is_done_and_not_before) {
  member->step(append(2, 1, 5, {0, 0}, {command_entry(1, 5), command_entry(2, 5)}, 2));
  turn();
  CHECK(network.sent.empty());
  LONGS_EQUAL(0, log->last_index());
  applier_lane->run();
  CHECK(machine.commands().empty());  // committed, as its leader says, and still not durable here
  CHECK_TRUE(writer_lane->run());
  LONGS_EQUAL(2, log->last_index());
  turn();
  CHECK(last_sent<AppendResponse>() != nullptr);
  LONGS_EQUAL(2, last_sent<AppendResponse>()->match);
  member->soon();
  turn();
  CHECK_TRUE(applier_lane->run());
  LONGS_EQUAL(2, machine.commands().size());
}

TEST(LiveMember, C2_a_member_that_goes_on_alone_hears_and_tells_the_old_cluster_nothing_more) {
  member->step(append(2, 1, 5, {0, 0}, {command_entry(1, 5)}, 0));
  turn();
  CHECK_TRUE(writer_lane->run());
  turn();
  Identity alone = first_of_three();
  alone.cluster_id = {6, 6};
  alone.former_clusters = {{5, 5}};
  greeter.set_identity(alone, "here:1");
  net::Hello old;
  old.cluster_id = {5, 5};
  old.node_id = 2;
  network.greeted = {old};
  const Result<Index> at = member->become_alone(alone);
  WORKS(at.status());
  LONGS_EQUAL(2, *at);
  CHECK(network.kept.has_value() && network.kept->empty());
  CHECK(network.greeted.empty());
  turn();
  CHECK_TRUE(writer_lane->run());
  LONGS_EQUAL(2, log->last_index());
}

TEST(LiveMember, who_waits_for_the_logs_prefix_to_go_is_told_when_the_member_ends) {
  const auto waiting = std::make_shared<Completion<Result<uint64_t>>>();
  const auto served = std::make_shared<Completion<Result<uint64_t>>>();
  member->drop_prefix(served);
  turn();
  member->drop_prefix(waiting);
  member->fail_all({Code::kPoisoned, "it has ended"});
  for (const auto& each : {waiting, served}) {
    const std::optional<Result<uint64_t>> told = each->wait(Clock::now());
    CHECK(told.has_value() && told->status().code() == Code::kPoisoned);
  }
}
