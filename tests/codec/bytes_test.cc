#include "codec/bytes.h"

#include <CppUTest/TestHarness.h>

#include <string>

using namespace dqlite;
using codec::Reader;
using codec::Writer;

TEST_GROUP(Bytes){};

TEST(Bytes, integers_are_little_endian_and_of_fixed_width) {
  Bytes out;
  Writer writer(out);
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0f0e0d0c0b0a0908);
  CHECK(out == (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
  LONGS_EQUAL(15, writer.size());
}

TEST(Bytes, what_was_written_is_read_back) {
  Bytes out;
  Writer writer(out);
  writer.u8(0xff);
  writer.u16(0xfffe);
  writer.u32(0xfffffffd);
  writer.u64(0xfffffffffffffffc);
  writer.blob(Bytes{1, 2, 3});
  writer.text("caf\xc3\xa9");
  writer.raw(Bytes{9, 8});

  Reader reader(out);
  CHECK(reader.u8() == 0xff);
  CHECK(reader.u16() == 0xfffe);
  CHECK(reader.u32() == 0xfffffffd);
  CHECK(reader.u64() == 0xfffffffffffffffc);
  const ByteView blob = reader.blob();
  CHECK(Bytes(blob.begin(), blob.end()) == (Bytes{1, 2, 3}));
  CHECK(reader.text() == "caf\xc3\xa9");
  LONGS_EQUAL(2, reader.remaining());
  CHECK_FALSE(reader.finished());
  LONGS_EQUAL(2, reader.raw(2).size());
  CHECK(reader.finished());
  CHECK_FALSE(reader.failed());
}

TEST(Bytes, every_bit_of_an_integer_has_its_own_place) {
  for (int bit = 0; bit < 64; bit++) {
    Bytes out;
    Writer(out).u64(uint64_t{1} << bit);
    CHECK(out[static_cast<size_t>(bit) / 8] == 1U << (bit % 8));
    CHECK(Reader(out).u64() == uint64_t{1} << bit);
  }
}

TEST(Bytes, empty_views_are_written_and_read) {
  Bytes out;
  Writer writer(out);
  writer.raw({});
  writer.blob({});
  writer.text({});
  LONGS_EQUAL(8, out.size());
  Reader reader(out);
  CHECK(reader.raw(0).empty());
  CHECK(reader.blob().empty());
  CHECK(reader.text().empty());
  CHECK(reader.finished());
}

TEST(Bytes, a_reader_of_nothing_is_finished_and_has_not_failed) {
  Reader reader{ByteView{}};
  CHECK(reader.finished());
  LONGS_EQUAL(0, reader.remaining());
}

TEST(Bytes, the_first_failure_is_for_good_and_moves_no_further) {
  const Bytes bytes{1, 2, 3};
  Reader reader(bytes);
  CHECK(reader.u8() == 1);
  CHECK(reader.u32() == 0);  // two bytes are left
  CHECK(reader.failed());
  LONGS_EQUAL(1, reader.position());
  LONGS_EQUAL(0, reader.remaining());
  CHECK(reader.u8() == 0);  // though a byte would be there
  CHECK(reader.raw(1).empty());
  CHECK(reader.raw(0).empty());
  CHECK(reader.text().empty());
  CHECK_FALSE(reader.finished());
  LONGS_EQUAL(1, reader.position());
}

TEST(Bytes, a_length_beyond_the_view_fails_without_reading) {
  for (uint32_t length : {5U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    Bytes out;
    Writer writer(out);
    writer.u32(length);
    writer.raw(Bytes{1, 2, 3, 4});
    Reader blob(out);
    CHECK(blob.blob().empty());
    CHECK(blob.failed());
    Reader text(out);
    CHECK(text.text().empty());
    CHECK(text.failed());
  }
  const Bytes one{1};
  Reader reader(one);
  CHECK(reader.u8() == 1);
  CHECK(reader.raw(SIZE_MAX).empty());  // no sum that wraps around
  CHECK(reader.failed());
}

TEST(Bytes, a_length_known_only_at_the_end_is_patched_in) {
  Bytes out;
  Writer writer(out);
  writer.u8(7);
  writer.u32(0);
  writer.u8(8);
  writer.patch_u32(1, 0xd4c3b2a1);
  CHECK(out == (Bytes{7, 0xa1, 0xb2, 0xc3, 0xd4, 8}));
}

TEST(Bytes, a_writer_appends_to_what_is_there) {
  Bytes out{1};
  Writer writer(out);
  writer.u8(2);
  CHECK(out == (Bytes{1, 2}));
  LONGS_EQUAL(2, writer.size());
}
