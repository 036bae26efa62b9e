// The log-writer thread over a disk that fails on demand.
#include "raft/node/log_writer.h"

#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/hand_lane.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;
using dqlite::raft::test::FaultDisk;

TEST_GROUP(LogWriter) {
  FaultDisk disk;
  std::shared_ptr<Log> log;
  std::mutex mutex;
  std::vector<Status> failures;
  std::vector<Status> fullness;
  LogWriter writer{std::make_unique<ThreadLane>(),
                   {[] {},
                    [this](const Status& reason) {
                      std::lock_guard lock(mutex);
                      failures.push_back(reason);
                    },
                    [this](const Status& status) {
                      std::lock_guard lock(mutex);
                      fullness.push_back(status);
                    }}};
  uint64_t next_token = 1;

  void setup() override {
    WORKS(disk.make_directory("n"));
    open_log();
    WORKS(writer.start());
    writer.begin(log);
  }
  void teardown() override {
    settle(0);
  }
  void open_log() {
    LogOptions options;
    options.segment_bytes = 64 << 10;
    Result<std::unique_ptr<Log>> opened = Log::open(disk, "n", options);
    WORKS(opened.status());
    log = std::move(*opened);
  }
  void settle(Index commit) {
    writer.close(commit);
    CHECK(writer.wait_ended(patience()));
  }
  void put(Index index, size_t bytes, Index commit = 0) {
    Persist persist;
    persist.token = next_token++;
    if (index == 1) persist.hard_state = HardState{1, 1};
    persist.entries.push_back(
        {index, 1, EntryKind::kCommand, std::make_shared<const Bytes>(bytes, uint8_t{1})});
    persist.commit = commit;
    writer.put(std::move(persist));
    writer.wake();
  }
};

TEST(LogWriter, what_has_a_durable_token_survives) {
  for (Index index = 1; index <= 100; index++) put(index, 100);
  CHECK(eventually([this] { return writer.durable_token() == 100; }));
  disk.power_loss(FaultDisk::Survival::kNothing);
  settle(0);
  writer.begin(nullptr);
  open_log();
  LONGS_EQUAL(100, log->last_index());
}

TEST(LogWriter, A2_the_exact_commit_index_is_kept_at_the_end) {
  for (Index index = 1; index <= 10; index++) put(index, 100);
  settle(10);
  writer.begin(nullptr);
  log.reset();
  open_log();
  LONGS_EQUAL(10, log->recovered().commit);
}

TEST(LogWriter, B5_a_full_disk_is_waited_out_and_loses_nothing) {
  disk.set_space(512 << 10);
  for (Index index = 1; index <= 100; index++) put(index, 10000);
  CHECK(eventually([this] {
    std::lock_guard lock(mutex);
    return !fullness.empty();
  }));
  CHECK(writer.durable_token() < 100);
  CHECK(fullness.front().code() == Code::kFull);
  disk.set_space(UINT64_MAX);
  CHECK(eventually([this] { return writer.durable_token() == 100; }));
  settle(0);
  LONGS_EQUAL(100, log->last_index());
  CHECK(fullness.back().is_ok());
  LONGS_EQUAL(0, failures.size());
}

// What waits behind a batch, such as a vote, waits for one sync of bounded size.
TEST(LogWriter, C7_a_batch_is_hardly_larger_than_a_megabyte) {
  auto* lane = new HandLane;
  int batches = 0;
  LogWriter by_hand{std::unique_ptr<Lane>(lane),
                    {[&] { batches++; }, [](const Status&) {}, [](const Status&) {}}};
  WORKS(by_hand.start());
  by_hand.begin(log);
  for (Index index = 1; index <= 8; index++) {
    Persist persist;
    persist.token = index;
    if (index == 1) persist.hard_state = HardState{1, 1};
    persist.entries.push_back(
        {index, 1, EntryKind::kCommand, std::make_shared<const Bytes>(400 << 10, uint8_t{1})});
    by_hand.put(std::move(persist));
  }
  by_hand.wake();
  CHECK(lane->run());
  LONGS_EQUAL(4, batches);
  LONGS_EQUAL(8, by_hand.durable_token());
  by_hand.close(0);
  CHECK(lane->run());
}

TEST(LogWriter, D11_a_failed_sync_is_told_once_and_nothing_is_durable_afterwards) {
  put(1, 100);
  CHECK(eventually([this] { return writer.durable_token() == 1; }));
  disk.fail_call(2, Code::kIo);
  for (Index index = 2; index <= 50; index++) put(index, 100);
  CHECK(eventually([this] {
    std::lock_guard lock(mutex);
    return !failures.empty();
  }));
  CHECK(writer.wait_ended(patience()));
  LONGS_EQUAL(1, failures.size());
  LONGS_EQUAL(1, writer.durable_token());
}

// On a lane without a thread: what it waits for is the lane's next call.
TEST(LogWriter, B5_a_full_disk_is_asked_again_after_a_rest_and_given_up_at_the_close) {
  auto owned = std::make_unique<HandLane>();
  HandLane& lane = *owned;
  int full = 0;
  int failed = 0;
  LogWriter by_hand(std::move(owned),
                    {[] {}, [&](const Status&) { failed++; }, [&](const Status&) { full++; }});
  WORKS(by_hand.start());
  by_hand.begin(log);
  disk.set_space(0);
  Persist persist;
  persist.token = 7;
  persist.entries.push_back(
      {1, 1, EntryKind::kCommand, std::make_shared<const Bytes>(size_t{200} << 10, uint8_t{1})});
  by_hand.put(std::move(persist));
  CHECK_FALSE(lane.run());
  by_hand.wake();
  for (int i = 0; i < 3; i++) {
    CHECK(lane.run());
    CHECK(lane.rests());
    CHECK_FALSE(lane.run());
    lane.end_rest();
  }
  LONGS_EQUAL(1, full);
  by_hand.close(0);
  CHECK(lane.run());
  CHECK(by_hand.wait_ended(patience()));
  LONGS_EQUAL(1, failed);
  LONGS_EQUAL(0, by_hand.durable_token());
}
