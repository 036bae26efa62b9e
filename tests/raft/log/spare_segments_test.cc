#include "raft/log/spare_segments.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

TEST_GROUP(SpareSegments) {
  FaultDisk disk;
  SpareOptions options;
  std::unique_ptr<SpareSegments> spares;

  void setup() override {
    OK(disk.make_directory(kDirectory));
    options.segment_bytes = 16384;
    options.count = 2;
  }
  void begin(bool with_thread) {
    spares = std::make_unique<SpareSegments>(disk, kDirectory, options);
    if (with_thread) spares->start();
  }
  static constexpr uint64_t kRoom = 16384 - kSegmentHeaderBytes - kBeginBytes - kFooterBytes;
  void await_ready(uint64_t count) {
    while (spares->ready_bytes() != count * kRoom) std::this_thread::yield();
  }
};

TEST(SpareSegments, the_thread_keeps_the_asked_number_ready) {
  begin(true);
  await_ready(2);
  CHECK(spares->take(16384).is_ok());
  await_ready(2);
}

TEST(SpareSegments, without_the_thread_a_segment_is_made_when_taken) {
  begin(false);
  LONGS_EQUAL(0, spares->ready_bytes());
  Result<std::unique_ptr<Segment>> segment = spares->take(100);
  OK(segment.status());
  LONGS_EQUAL(16384, (*segment)->header.size_bytes);
}

TEST(SpareSegments, an_odd_size_is_made_to_measure) {
  begin(true);
  Result<std::unique_ptr<Segment>> segment = spares->take(40960);
  OK(segment.status());
  LONGS_EQUAL(40960, disk.content((*segment)->path).size());
}

TEST(SpareSegments, B12_a_spare_is_durable_before_it_is_handed_out) {
  begin(false);
  Result<std::unique_ptr<Segment>> segment = spares->take(0);
  OK(segment.status());
  OK(disk.sync_directory("."));
  OK(disk.rename((*segment)->path, std::string(kDirectory) + "/log-1-1"));
  OK(disk.sync_directory(kDirectory));
  disk.power_loss(FaultDisk::Survival::kNothing);
  Result<std::unique_ptr<Segment>> found = open_segment(disk, std::string(kDirectory) + "/log-1-1", 0, 0);
  OK(found.status());
  CHECK((*found)->header.salt == (*segment)->header.salt);
}

TEST(SpareSegments, no_two_have_the_same_salt) {
  begin(false);
  std::set<uint64_t> salts;
  for (int i = 0; i < 10; i++) salts.insert((*spares->take(0))->header.salt);
  LONGS_EQUAL(10, salts.size());
}

TEST(SpareSegments, no_space_is_told_by_take_alone_and_leaves_no_file) {
  disk.set_space(5000);
  begin(true);
  Result<std::unique_ptr<Segment>> segment = spares->take(0);
  FAILS(Code::kFull, "no space", segment.status());
  spares.reset();
  LONGS_EQUAL(0, disk.files().size());
}

TEST(SpareSegments, one_that_was_given_back_is_taken_again) {
  begin(false);
  Result<std::unique_ptr<Segment>> segment = spares->take(0);
  OK(segment.status());
  std::string path = (*segment)->path;
  spares->give_back(std::move(*segment));
  STRCMP_EQUAL(path.c_str(), (*spares->take(0))->path.c_str());
}

TEST(SpareSegments, bears_the_cluster_id_of_its_time) {
  begin(false);
  LONGS_EQUAL(0, (*spares->take(0))->header.cluster_id_high);
  spares->set_cluster_id(7, 8);
  Result<std::unique_ptr<Segment>> segment = spares->take(0);
  OK(segment.status());
  LONGS_EQUAL(7, (*segment)->header.cluster_id_high);
  FAILS(Code::kRefused, "belongs to cluster", open_segment(disk, (*segment)->path, 7, 9).status());
}

TEST(SpareSegments, a_log_with_spares_rolls_without_making_any_itself) {
  LogFixture node;
  node.options.spare_segments = 2;
  OPENS(node.open());
  for (int i = 0; i < 60; i++) OK(node.write(1, 3000));
  std::string text = node.text();
  node.close();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
}
