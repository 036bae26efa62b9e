#include "codec/checksum.h"

#include <CppUTest/TestHarness.h>

#include <string_view>

#include "codec/page.h"
#include "tests/codec/random_bytes.h"

using namespace dqlite;
using namespace dqlite::codec;

namespace {

ByteView view(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

TEST_GROUP(Checksum){};

// The values are on disks and in logs already: they must not change with a compiler, a machine or a library.
TEST(Checksum, the_hash_is_xxh3_with_64_bits) {
  CHECK(checksum({}) == 0x2d06800538d394c2);  // published vectors
  CHECK(checksum(view("abc")) == 0x78af5f94892f3950);
}

TEST(Checksum, a_hash_of_each_length_class_with_a_seed_is_what_it_was) {
  Bytes bytes(4096);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i * 7);
  const ByteView all(bytes);
  CHECK(checksum(all.first(16), 1) == 0x5affb3e746f3297f);
  CHECK(checksum(all.first(128), 1) == 0x134eeaed38b94752);
  CHECK(checksum(all.first(240), 1) == 0xea28c86764f89de3);
  CHECK(checksum(all, 1) == 0xebcfff857f384790);
}

TEST(Checksum, the_seed_keeps_equal_bytes_of_different_things_apart) {
  CHECK(checksum(view("abc"), 1) != checksum(view("abc"), 2));
  CHECK(checksum(view("abc"), 0) == checksum(view("abc")));
}

TEST(Checksum, the_short_form_is_the_lower_half) {
  CHECK(checksum32(view("abc"), 9) == static_cast<uint32_t>(checksum(view("abc"), 9)));
  CHECK(checksum32(view("abc")) == 0x892f3950);
}

TEST(Checksum, A4_a_page_of_zeros_has_no_share_whatever_its_size_and_number) {
  for (size_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    CHECK(page_hash(1, Bytes(size)) == 0);
    CHECK(page_hash(0xffffffff, Bytes(size)) == 0);
  }
}

TEST(Checksum, one_bit_anywhere_gives_a_page_a_share) {
  Bytes page(kMinPageSize);
  for (size_t i = 0; i < page.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      page[i] = static_cast<uint8_t>(1U << bit);
      CHECK(page_hash(2, page) != 0);
    }
    page[i] = 0;
  }
}

TEST(Checksum, C12_a_page_that_moves_to_another_number_changes_the_rolling_checksum) {
  test::Random random(1);
  const Bytes a = random.bytes(4096);
  const Bytes b = random.bytes(4096);
  CHECK(page_hash(1, a) != page_hash(2, a));
  CHECK((page_hash(1, a) ^ page_hash(2, b)) != (page_hash(1, b) ^ page_hash(2, a)));
  CHECK((page_hash(1, a) ^ page_hash(2, a)) != 0);  // two equal pages do not cancel each other out
}
