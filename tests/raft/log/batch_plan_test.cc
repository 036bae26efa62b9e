#include "raft/log/batch_plan.h"

#include "raft/log/segment.h"
#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

TEST_GROUP(BatchPlan) {
  std::vector<NewRecord> records;
  static constexpr uint64_t kSize = 16384;

  void entry(Index index, size_t size) {
    records.push_back(
        {RecordType::kEntry, EntryKind::kCommand, index, 1, make_payload(index, 1, size), index});
  }
  // One line a part: "[begin] 2 records [footer]", a new segment's size before it.
  std::string plan(uint64_t end) {
    std::string text;
    for (const BatchPart& part : plan_batches(records, {end, kSize}, kSize)) {
      if (!text.empty()) text += "; ";
      if (part.segment_bytes != 0) text += "new " + std::to_string(part.segment_bytes) + ": ";
      if (part.begins) text += "begin at " + std::to_string(part.next) + ", ";
      text += std::to_string(part.record_count) + " from " + std::to_string(part.first_record);
      if (part.seals) text += ", footer before " + std::to_string(part.next_after);
    }
    return text;
  }
};

TEST(BatchPlan, what_fits_is_one_part) {
  entry(1, 100);
  entry(2, 100);
  STRCMP_EQUAL("begin at 1, 2 from 0", plan(kSegmentHeaderBytes).c_str());
  STRCMP_EQUAL("2 from 0", plan(5000).c_str());
}

TEST(BatchPlan, a_batch_that_crosses_becomes_two_and_the_first_is_sealed) {
  for (Index i = 1; i <= 4; i++) entry(i, 3500);
  STRCMP_EQUAL("begin at 1, 3 from 0, footer before 4; new 16384: begin at 4, 1 from 3",
               plan(kSegmentHeaderBytes).c_str());
}

TEST(BatchPlan, there_is_always_room_for_the_footer) {
  uint64_t room = kSize - kSegmentHeaderBytes - kBeginBytes - kRecordHeaderBytes - kFooterBytes;
  entry(1, room);
  STRCMP_EQUAL("begin at 1, 1 from 0", plan(kSegmentHeaderBytes).c_str());
  records.clear();
  entry(1, room + 1);
  STRCMP_EQUAL("begin at 1, 0 from 0, footer before 1; new 20480: begin at 1, 1 from 0",
               plan(kSegmentHeaderBytes).c_str());
}

TEST(BatchPlan, a_full_segment_gets_its_footer_alone) {
  entry(9, 100);
  STRCMP_EQUAL("0 from 0, footer before 9; new 16384: begin at 9, 1 from 0",
               plan(kSize - kFooterBytes).c_str());
}

TEST(BatchPlan, a_large_payload_gets_a_segment_of_its_own_size_and_the_next_one_goes_on) {
  entry(1, 100);
  entry(2, 1 << 20);
  entry(3, 100);
  STRCMP_EQUAL("begin at 1, 1 from 0, footer before 2; new 1056768: begin at 2, 2 from 1",
               plan(kSegmentHeaderBytes).c_str());
}

TEST(BatchPlan, after_a_truncation_a_segment_begins_at_the_lower_index) {
  records.push_back({RecordType::kTruncate, EntryKind::kNoop, 4, 0, nullptr, 10});
  entry(4, 11000);
  entry(5, 11000);
  STRCMP_EQUAL("begin at 10, 2 from 0, footer before 5; new 16384: begin at 5, 1 from 2",
               plan(kSegmentHeaderBytes).c_str());
}
