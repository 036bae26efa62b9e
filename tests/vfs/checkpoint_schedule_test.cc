// When a leader proposes a checkpoint, by the clock and by what waits.
#include "vfs/checkpoint_schedule.h"

#include <CppUTest/TestHarness.h>

using namespace dqlite::vfs;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_GROUP(CheckpointSchedule) {
  CheckpointSchedule schedule;
  const CheckpointSchedule::Time start = CheckpointSchedule::Time() + std::chrono::hours(1);

  void setup() override {
    schedule.frames_wait_since(start);
  }
};

TEST(CheckpointSchedule, B3_a_thousand_frames_are_due_but_not_more_than_once_a_second) {
  CHECK_FALSE(schedule.is_due({999, 4 << 20}, start));
  CHECK(schedule.is_due({1000, 4 << 20}, start));
  schedule.proposed(start);
  CHECK_FALSE(schedule.is_due({1000000, 63 << 20}, start + milliseconds(999)));
  CHECK(schedule.next_look(true, start) == start + seconds(1));
  CHECK(schedule.is_due({1000, 4 << 20}, start + seconds(1)));
}

TEST(CheckpointSchedule, B3_many_bytes_are_due_at_once) {
  schedule.proposed(start);
  CHECK(schedule.is_due({1, 64 << 20}, start));
  CHECK_FALSE(schedule.is_due({1, (64 << 20) - 1}, start));
}

TEST(CheckpointSchedule, B3_on_a_disk_that_is_nearly_full_a_thousand_frames_are_due_at_once) {
  schedule.proposed(start);
  schedule.set_free_bytes((256 << 20) - 1);
  CHECK(schedule.is_due({1000, 4 << 20}, start));
  CHECK_FALSE(schedule.is_due({999, 4 << 20}, start));
  CHECK(schedule.next_look(true, start) == start);
  schedule.set_free_bytes(256 << 20);
  CHECK_FALSE(schedule.is_due({1000, 4 << 20}, start));
}

TEST(CheckpointSchedule, B3_a_single_frame_is_due_after_half_a_minute) {
  CHECK_FALSE(schedule.is_due({1, 4096}, start + seconds(29)));
  CHECK(schedule.next_look(false, start) == start + seconds(30));
  CHECK(schedule.is_due({1, 4096}, start + seconds(30)));
  CHECK_FALSE(schedule.is_due({0, 0}, start + seconds(60)));
}
