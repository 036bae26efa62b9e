// A member whose disk fills up: what it takes, what it refuses, and when it takes everything again.
#include "raft/node/space_watch.h"

#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/hand_lane.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(SpaceWatch) {
  test::FaultDisk disk;
  NodeOptions options;
  HandLane* writer_lane = new HandLane;
  LogWriter writer{std::unique_ptr<Lane>(writer_lane), {[] {}, [](const Status&) {}, [](const Status&) {}}};
  std::atomic<uint64_t> left_free{0};
  std::shared_ptr<Log> log;
  std::unique_ptr<SpaceWatch> space;
  Index last = 0;

  void setup() override {
    WORKS(disk.make_directory("node"));
    WORKS(writer.start());
    options.segment_bytes = 64 << 10;
    LogOptions with;
    with.segment_bytes = options.segment_bytes;
    with.leaves_free = [this] { return left_free.load(); };
    Result<std::unique_ptr<Log>> opened = Log::open(disk, "node", with);
    WORKS(opened.status());
    log = std::move(*opened);
    writer.begin(log);
    space = std::make_unique<SpaceWatch>(log, writer, options);
    CHECK(eventually([this] { return log->reserved_bytes() > options.segment_bytes; }));
  }

  void put(size_t bytes) {
    last++;
    Persist persist;
    persist.token = last;
    persist.entries.push_back(
        {last, 1, EntryKind::kCommand, std::make_shared<const Bytes>(bytes, uint8_t{7})});
    writer.put(std::move(persist));
  }
  void write(size_t bytes) {
    put(bytes);
    writer.wake();
    CHECK_TRUE(writer_lane->run());
  }
  // The first segment and half of the spare are full, and there is no space for another.
  void fill() {
    disk.set_space(disk.used());
    write(50 << 10);
    write(30 << 10);
    CHECK(eventually([this] { return log->is_short_of_space(); }));
  }
};

TEST(SpaceWatch, B5_with_room_for_a_segment_everything_is_admitted) {
  CHECK(space->admit(100 << 20).is_ok());
  CHECK_FALSE(space->tick());
}

TEST(SpaceWatch, B5_without_it_only_what_fits_into_what_the_log_has_is_admitted) {
  fill();
  const uint64_t room = log->reserved_bytes();
  CHECK(room > 20 << 10);
  LONGS_EQUAL(static_cast<int>(Code::kFull), static_cast<int>(space->admit(room).code()));
  CHECK(space->admit(room / 2).is_ok());
  CHECK_FALSE(space->admit(room / 2).is_ok());
  // The same while the log writer has not written it.
  put(room / 2);
  space->turn_over();
  CHECK_FALSE(space->admit(room / 2).is_ok());
  writer.wake();
  CHECK_TRUE(writer_lane->run());
  LONGS_EQUAL(0, writer.waiting_bytes());
  CHECK(space->admit(room / 4).is_ok());
}

TEST(SpaceWatch, B5_what_it_admits_finds_room_to_the_last_byte) {
  fill();
  while (space->admit(300).is_ok()) {
    write(300);
    space->turn_over();
  }
  CHECK_FALSE(writer_lane->rests());
  CHECK(log->reserved_bytes() < options.segment_bytes / 8);
}

TEST(SpaceWatch, D12_with_space_again_it_goes_on_by_itself) {
  fill();
  CHECK_TRUE(space->tick());
  CHECK_FALSE(space->tick());  // not at once again
  CHECK_FALSE(space->is_lasting());
  for (int i = 0; i < 10 * options.election_ticks; i++) space->tick();
  CHECK_TRUE(space->is_lasting());
  CHECK_FALSE(space->trouble().empty());
  disk.set_space(UINT64_MAX);
  CHECK(eventually([this] { return !log->is_short_of_space(); }));
  CHECK(space->admit(1 << 20).is_ok());
  CHECK_FALSE(space->tick());
  CHECK_TRUE(space->trouble().empty());
}

TEST(SpaceWatch, D12_what_the_log_itself_gives_back_is_used_at_once) {
  fill();
  // The first segment goes, and another one of its size fits.
  WORKS(log->compact({{1, 1}, {}}));
  CHECK(eventually([this] { return !log->is_short_of_space(); }));
}

TEST(SpaceWatch, D12_the_log_leaves_to_a_checkpoint_what_that_needs) {
  disk.set_space(disk.used() + (1 << 20));
  left_free = 1 << 20;
  write(50 << 10);
  write(30 << 10);
  CHECK(eventually([this] { return log->is_short_of_space(); }));
  left_free = 0;
  CHECK(eventually([this] { return !log->is_short_of_space(); }));
}
