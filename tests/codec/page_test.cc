#include "codec/page.h"

#include <CppUTest/TestHarness.h>

#include <algorithm>
#include <vector>

#include "codec/checksum.h"
#include "tests/codec/random_bytes.h"

using namespace dqlite;
using namespace dqlite::codec;

TEST_GROUP(Page) {
  test::Random random{7};

  // The offsets that belong to the file and not to the data.
  static bool is_of_the_file(size_t offset) {
    return offset == 18 || offset == 19 || (offset >= 24 && offset < 28) || (offset >= 92 && offset < 96);
  }
};

TEST(Page, a_page_size_is_a_power_of_two_from_512_to_65536) {
  for (uint64_t size : {512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}) CHECK(is_page_size(size));
  for (uint64_t size : {0, 1, 256, 511, 513, 1000, 4095, 4097, 65535, 65537, 131072})
    CHECK_FALSE(is_page_size(size));
  CHECK_FALSE(is_page_size(uint64_t{1} << 32));
  CHECK_FALSE(is_page_size((uint64_t{1} << 32) + 4096));
}

TEST(Page, V_C2_the_canonical_form_has_1_1_and_zeros_and_all_else_as_it_was) {
  const Bytes original = random.bytes(4096);
  Bytes page = original;
  make_canonical_page1(page);
  for (size_t i = 0; i < page.size(); i++) {
    const uint8_t expected = i == 18 || i == 19 ? 1 : is_of_the_file(i) ? 0 : original[i];
    BYTES_EQUAL(expected, page[i]);
  }
}

TEST(Page, the_canonical_form_of_a_canonical_page_is_itself) {
  Bytes page = random.bytes(4096);
  make_canonical_page1(page);
  Bytes again = page;
  make_canonical_page1(again);
  CHECK(again == page);
}

TEST(Page, A9_a_stamp_stands_big_endian_in_both_places_and_touches_nothing_else) {
  const Bytes original = random.bytes(4096);
  Bytes page = original;
  stamp_page1(page, 0x01020304);
  const uint8_t expected[] = {1, 2, 3, 4};
  MEMCMP_EQUAL(expected, page.data() + 24, 4);
  MEMCMP_EQUAL(expected, page.data() + 92, 4);
  for (size_t i = 0; i < page.size(); i++) {
    if (!is_of_the_file(i) || i == 18 || i == 19) BYTES_EQUAL(original[i], page[i]);
  }
  CHECK(read_stamp(page) == 0x01020304);
}

TEST(Page, V_A1_a_stamped_page_made_canonical_again_has_the_hash_it_had) {
  Bytes page = random.bytes(4096);
  make_canonical_page1(page);
  const uint64_t hash = page_hash(1, page);
  stamp_page1(page, stamp_of(4711));
  CHECK(page_hash(1, page) != hash);
  make_canonical_page1(page);
  CHECK(page_hash(1, page) == hash);
}

TEST(Page, the_first_hundred_bytes_of_page_1_are_enough) {
  Bytes header = random.bytes(100);
  make_canonical_page1(header);
  CHECK(read_stamp(header) == 0);
  stamp_page1(header, 0xfffefdfc);
  CHECK(read_stamp(header) == 0xfffefdfc);
}

TEST(Page, less_than_a_database_header_is_left_alone) {
  const Bytes original = random.bytes(99);
  Bytes page = original;
  make_canonical_page1(page);
  stamp_page1(page, 5);
  CHECK(page == original);
  CHECK(read_stamp(page) == 0);
}

TEST(Page, stamps_are_a_bijection_of_the_low_32_bits) {
  CHECK(stamp_of(0) == 0);
  CHECK(stamp_of(1) != 0);
  std::vector<uint32_t> seen;
  for (uint64_t index = 0; index < 100000; index++) seen.push_back(stamp_of(index));
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  for (int i = 0; i < 1000; i++) {  // 0x0e8b2f51 is the inverse of the factor modulo 2^32
    const uint32_t index = static_cast<uint32_t>(random.next());
    CHECK(stamp_of(index) * 0x0e8b2f51U == index);
  }
  CHECK(stamp_of((uint64_t{1} << 32) + 5) == stamp_of(5));
}

TEST(Page, V_C8_a_file_that_a_stock_writer_changed_has_the_stamp_of_no_near_checkpoint) {
  for (uint64_t index : {1, 2, 1000, 123456789}) {
    for (uint32_t foreign_commits = 1; foreign_commits < 1000; foreign_commits++) {
      const uint32_t found = stamp_of(index) + foreign_commits;
      const uint32_t distance = found * 0x0e8b2f51U - static_cast<uint32_t>(index);
      CHECK(distance > 1000 && distance < 0xffffffffU - 1000);
    }
  }
}
