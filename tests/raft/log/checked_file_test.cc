#include "raft/log/checked_file.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

namespace {

constexpr uint32_t kMagic = 0x54534554;

}  // namespace

TEST_GROUP(CheckedFile){};

TEST(CheckedFile, both_copies_come_back_as_one_content) {
  Bytes body{1, 2, 3};
  Bytes file = encode_checked(kMagic, 7, body);
  LONGS_EQUAL(8192, file.size());
  Result<CheckedContent> content = decode_checked(kMagic, file, "f");
  OK(content.status());
  LONGS_EQUAL(7, content->sequence);
  LONGS_EQUAL(2, content->valid_copies);
  CHECK(content->body == body);
}

TEST(CheckedFile, a_body_of_many_blocks_comes_back) {
  Bytes body(10000, 9);
  Bytes file = encode_checked(kMagic, 1, body);
  LONGS_EQUAL(2 * 12288, file.size());
  std::fill_n(file.begin(), 5000, uint8_t{0xAA});
  Result<CheckedContent> content = decode_checked(kMagic, file, "f");
  OK(content.status());
  CHECK(content->body == body);
  LONGS_EQUAL(1, content->valid_copies);
}

TEST(CheckedFile, any_flipped_bit_in_one_copy_is_found_and_survived) {
  Bytes body{1, 2, 3};
  const Bytes file = encode_checked(kMagic, 7, body);
  for (size_t bit = 0; bit < 8 * (32 + body.size()); bit++) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    Result<CheckedContent> content = decode_checked(kMagic, flipped, "f");
    OK(content.status());
    // Four bytes of the header are padding, which the checksum covers too.
    LONGS_EQUAL(1, content->valid_copies);
    CHECK(content->body == body);
  }
}

TEST(CheckedFile, of_two_sequences_the_higher_counts) {
  Bytes file = encode_checked(kMagic, 7, Bytes{1});
  Bytes newer = encode_checked(kMagic, 8, Bytes{2});
  std::copy_n(newer.begin(), 4096, file.begin());
  Result<CheckedContent> content = decode_checked(kMagic, file, "f");
  OK(content.status());
  LONGS_EQUAL(8, content->sequence);
}

TEST(CheckedFile, nothing_valid_and_another_magic_are_corrupt_and_named) {
  FAILS(Code::kCorrupt, "the-file (0 bytes)", decode_checked(kMagic, {}, "the-file").status());
  Bytes file = encode_checked(kMagic, 7, Bytes{1});
  FAILS(Code::kCorrupt, "the-file", decode_checked(kMagic + 1, file, "the-file").status());
}

TEST(CheckedFile, a_length_that_lies_reads_nothing_beyond) {
  Bytes file = encode_checked(kMagic, 7, Bytes{1});
  for (size_t copy : {size_t{0}, size_t{4096}})
    std::fill_n(file.begin() + static_cast<ptrdiff_t>(copy) + 24, 4, uint8_t{0xFF});
  FAILS(Code::kCorrupt, "no copy", decode_checked(kMagic, file, "f").status());
}

TEST(CheckedFile, rewriting_copies_leaves_one_whole_at_every_byte) {
  FaultDisk disk;
  OK(disk.make_directory("d"));
  OK(disk.sync_directory("."));
  OK(replace_file(disk, "d", "f", encode_checked(kMagic, 1, Bytes(100, 1))));
  for (uint64_t call = 1; call <= 4; call++) {
    for (uint64_t seed = 0; seed < 20; seed++) {
      std::unique_ptr<FaultDisk> copy = disk.clone();
      copy->crash_at(call);
      CHECK_FALSE(rewrite_copies(*copy, "d/f", encode_checked(kMagic, 2, Bytes(100, 2))).is_ok());
      copy->power_loss(FaultDisk::Survival::kRandom, seed);
      Result<CheckedContent> content = decode_checked(kMagic, copy->content("d/f"), "f");
      OK(content.status());
      CHECK(content->body == Bytes(100, static_cast<uint8_t>(content->sequence)));
      if (call > 2) LONGS_EQUAL(2, content->sequence);
    }
  }
}

TEST(CheckedFile, replacing_leaves_the_old_file_or_the_new_one) {
  FaultDisk disk;
  OK(disk.make_directory("d"));
  OK(disk.sync_directory("."));
  OK(replace_file(disk, "d", "f", Bytes(2000, 1)));
  for (uint64_t call = 1; call <= 5; call++) {
    for (uint64_t seed = 0; seed < 20; seed++) {
      std::unique_ptr<FaultDisk> copy = disk.clone();
      copy->crash_at(call);
      CHECK_FALSE(replace_file(*copy, "d", "f", Bytes(3000, 2)).is_ok());
      copy->power_loss(FaultDisk::Survival::kRandom, seed);
      Bytes content = copy->content("d/f");
      CHECK(content == Bytes(2000, 1) || content == Bytes(3000, 2));
      OK(replace_file(*copy, "d", "f", Bytes(10, 3)));  // whatever was left over
      CHECK(copy->content("d/f") == Bytes(10, 3));
    }
  }
}
