#include "raft/log/segment.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

TEST_GROUP(Segment) {
  FaultDisk disk;
  SegmentHeader header;

  void setup() override {
    OK(disk.make_directory("d"));
    header.salt = 42;
    header.size_bytes = 16384;
    header.cluster_id_high = 1;
    header.cluster_id_low = 2;
    OK(create_segment(disk, "d/s", header).status());
  }
};

TEST(Segment, is_header_and_zeros_and_synced) {
  Bytes content = disk.content("d/s");
  LONGS_EQUAL(16384, content.size());
  CHECK(std::all_of(content.begin() + 64, content.end(), [](uint8_t byte) { return byte == 0; }));
  LONGS_EQUAL(1, disk.sync_calls());
}

TEST(Segment, opens_as_it_was_made) {
  Result<std::unique_ptr<Segment>> segment = open_segment(disk, "d/s", 1, 2);
  OK(segment.status());
  LONGS_EQUAL(42, (*segment)->header.salt);
  LONGS_EQUAL(16384, (*segment)->header.size_bytes);
}

TEST(Segment, every_flipped_bit_of_the_header_is_found) {
  for (uint64_t byte = 0; byte < 64; byte++) {
    disk.flip_bit("d/s", byte, static_cast<int>(byte % 8));
    Code code = open_segment(disk, "d/s", 1, 2).status().code();
    CHECK(code == Code::kCorrupt || (byte >= 8 && byte < 12 && code == Code::kUnsupported));
    disk.flip_bit("d/s", byte, static_cast<int>(byte % 8));
  }
}

TEST(Segment, D12_without_space_no_file_is_left) {
  disk.set_space(20000);
  FAILS(Code::kFull, "new log segment", create_segment(disk, "d/t", header).status());
  CHECK((disk.files() == std::vector<std::string>{"d/s"}));
}

TEST(Segment, names_are_read_as_they_are_written) {
  STRCMP_EQUAL("log-0000000007-00000000000000000123", segment_name({7, 123}).c_str());
  auto parsed = parse_segment_name(segment_name({7, 123}));
  CHECK(parsed.has_value());
  LONGS_EQUAL(7, parsed->sequence);
  LONGS_EQUAL(123, parsed->first);
  for (const char* other :
       {"log-", "log-1", "log-1-", "log-x-1", "log-1-1x", "log-0-1", "spare-1", "state-0", "xlog-1-1"}) {
    CHECK_FALSE(parse_segment_name(other).has_value());
  }
  CHECK(is_spare_name(spare_name(3)));
}
