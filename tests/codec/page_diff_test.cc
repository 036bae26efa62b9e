#include "codec/page_diff.h"

#include <CppUTest/TestHarness.h>

#include <algorithm>
#include <string>

#include "codec/checksum.h"
#include "codec/page.h"
#include "tests/codec/leaf_page.h"
#include "tests/codec/random_bytes.h"

using namespace dqlite;
using namespace dqlite::codec;

namespace {

struct Encoded {
  PageForm form = PageForm::kWhole;
  Bytes bytes;
};

Encoded encode_one(const Bytes& page, const Bytes& previous) {
  Bytes out;
  const PageForm form = encode_page(page, previous, out);
  return {form,
          Bytes(out.begin(), out.end())};  // no spare capacity: the address sanitizer sees each byte too far
}

Result<Bytes> decode_one(const Encoded& encoded, const Bytes& previous, size_t page_size) {
  return decode_page(encoded.form, encoded.bytes, previous, static_cast<uint32_t>(page_size));
}

// A hostile or damaged page: it must end in a page of the right size or in a failure with a sentence.
bool is_survived(const Result<Bytes>& result, size_t page_size) {
  if (result) return result->size() == page_size;
  return result.status().code() == Code::kCorrupt && !result.status().sentence().empty();
}

}  // namespace

TEST_GROUP(PageDiff) {
  test::Random random{42};

  // Encodes, decodes, compares; gives the encoding for a closer look.
  Encoded check_round_trip(const Bytes& page, const Bytes& previous) {
    Encoded encoded = encode_one(page, previous);
    const Result<Bytes> decoded = decode_one(encoded, previous, page.size());
    CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
    CHECK(*decoded == page);
    return encoded;
  }

  // A leaf of random rows of `payload_size` bytes (LZ4 alone gains nothing on them), about `fill_percent`
  // full.
  test::LeafPage make_leaf(size_t page_size, size_t payload_size, size_t fill_percent) {
    test::LeafPage leaf(page_size);
    uint16_t row = 1000;
    while (leaf.free_size() > page_size * (100 - fill_percent) / 100) {
      leaf.insert(leaf.cell_count(), row++, random.bytes(payload_size));
    }
    return leaf;
  }
};

TEST(PageDiff, an_insert_of_100_bytes_travels_as_little_more_than_100_bytes) {
  test::LeafPage leaf = make_leaf(4096, 100, 80);
  const Bytes before = leaf.bytes();
  leaf.insert(leaf.cell_count() / 2, 500, random.bytes(100));
  const Encoded encoded = check_round_trip(leaf.bytes(), before);
  CHECK(encoded.form == PageForm::kDifference);
  CHECK(encoded.bytes.size() >= 100);  // the row is random: it must be in there
  CHECK(encoded.bytes.size() < 180);
}

TEST(PageDiff, a_change_within_a_row_travels_as_a_few_bytes) {
  const test::LeafPage leaf = make_leaf(4096, 100, 80);
  Bytes page = leaf.bytes();
  page[3000] = static_cast<uint8_t>(page[3000] + 1);
  const Encoded encoded = check_round_trip(page, leaf.bytes());
  CHECK(encoded.form == PageForm::kDifference);
  CHECK(encoded.bytes.size() < 50);
}

TEST(PageDiff, a_delete_travels_as_a_few_bytes) {
  test::LeafPage leaf = make_leaf(4096, 100, 80);
  const Bytes before = leaf.bytes();
  leaf.remove(leaf.cell_count() / 3, 103);
  const Encoded encoded = check_round_trip(leaf.bytes(), before);
  CHECK(encoded.form == PageForm::kDifference);
  CHECK(encoded.bytes.size() < 80);
}

TEST(PageDiff, every_page_size_profits_from_its_previous_version) {
  for (size_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    test::LeafPage leaf = make_leaf(size, 40, 60);
    const Bytes before = leaf.bytes();
    leaf.insert(leaf.cell_count() / 2, 500, random.bytes(40));
    const Encoded encoded = check_round_trip(leaf.bytes(), before);
    CHECK(encoded.form == PageForm::kDifference);
    // LZ4 writes a match of n bytes in n / 255; pointers and the row come to less than 200.
    CHECK(encoded.bytes.size() < 200 + size / 200);
  }
}

TEST(PageDiff, an_equal_page_costs_nothing) {
  for (size_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    const Bytes page = random.bytes(size);
    const Encoded encoded = check_round_trip(page, page);
    CHECK(encoded.form == PageForm::kDifference);
    LONGS_EQUAL(0, encoded.bytes.size());
  }
}

// A dictionary of 65536 bytes would hold each byte's own old version one byte out of LZ4's reach.
TEST(PageDiff, in_the_largest_page_every_byte_reaches_its_old_version) {
  const Bytes before = random.bytes(65536);
  for (size_t offset : {0, 1, 32767, 32768, 32769, 65535}) {
    Bytes page = before;
    page[offset] = static_cast<uint8_t>(page[offset] + 1);
    const Encoded encoded = check_round_trip(page, before);
    CHECK(encoded.form == PageForm::kDifference);
    CHECK(encoded.bytes.size() < 350);
  }
}

TEST(PageDiff, a_page_without_previous_version_is_compressed_only_if_it_shrinks) {
  for (size_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    const Encoded noise = check_round_trip(random.bytes(size), {});
    CHECK(noise.form == PageForm::kWhole);
    LONGS_EQUAL(size, noise.bytes.size());
    const Encoded zeros = check_round_trip(Bytes(size), {});
    CHECK(zeros.form == PageForm::kCompressed);
    CHECK(zeros.bytes.size() < 20 + size / 200);
  }
}

TEST(PageDiff, a_page_that_has_nothing_of_its_previous_version_travels_whole) {
  for (size_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    CHECK(check_round_trip(random.bytes(size), random.bytes(size)).form == PageForm::kWhole);
  }
}

TEST(PageDiff, a_page_that_became_zeros_does_without_its_previous_version) {
  CHECK(check_round_trip(Bytes(4096), random.bytes(4096)).form == PageForm::kCompressed);
}

// Pages of three parts in all proportions: as before, new noise, and one byte repeated.
TEST(PageDiff, a_difference_is_chosen_only_if_smaller_than_both_other_forms) {
  int differences = 0;
  int others = 0;
  for (size_t i = 0; i < 300; i++) {
    const size_t size = kMinPageSize << random.below(8);
    const Bytes before = random.bytes(size);
    Bytes page = before;
    const Bytes noise = random.bytes(random.below(4) == 0 ? size : random.below(size));
    std::copy(noise.begin(), noise.end(), page.end() - static_cast<std::ptrdiff_t>(noise.size()));
    const size_t from = random.below(size);
    const size_t repeated =
        std::min<size_t>(size - from, random.below(2) == 0 ? random.below(16) : random.below(size));
    std::fill_n(page.begin() + static_cast<std::ptrdiff_t>(from), repeated, static_cast<uint8_t>(i));

    const Encoded with = check_round_trip(page, before);
    const Encoded without = check_round_trip(page, {});
    CHECK(without.form != PageForm::kDifference);
    if (with.form == PageForm::kDifference) {
      CHECK(with.bytes.size() < without.bytes.size());
      differences++;
    } else {
      CHECK(with.form == without.form);
      CHECK(with.bytes == without.bytes);
      others++;
    }
  }
  CHECK(differences > 50);
  CHECK(others > 50);
}

TEST(PageDiff, pages_are_appended_one_behind_the_other) {
  const Bytes a = random.bytes(4096);
  Bytes b = a;
  b[17]++;
  Bytes out{1, 2, 3};
  CHECK(encode_page(a, {}, out) == PageForm::kWhole);
  LONGS_EQUAL(3 + 4096, out.size());
  CHECK(encode_page(b, a, out) == PageForm::kDifference);
  CHECK(encode_page(Bytes(4096), {}, out) == PageForm::kCompressed);
  CHECK((Bytes(out.begin(), out.begin() + 3)) == (Bytes{1, 2, 3}));
  CHECK(std::equal(a.begin(), a.end(), out.begin() + 3));
}

// The example at the head of page_diff.cc, made by hand: such bytes are in logs already.
TEST(PageDiff, the_example_of_the_format_is_read_as_written) {
  const Bytes before = random.bytes(512);
  Bytes expected = before;
  const std::string hello = "hello";
  std::copy(hello.begin(), hello.end(), expected.end() - 5);
  const Bytes block{0x0f, 0x00, 0x02, 0xff, 0xe9, 0x50, 'h', 'e', 'l', 'l', 'o'};
  const Result<Bytes> decoded = decode_page(PageForm::kDifference, block, before, 512);
  CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
  CHECK(*decoded == expected);
}

TEST(PageDiff, the_two_blocks_of_the_largest_page_stand_on_their_own_stretches) {
  const Bytes before = random.bytes(65536);
  Bytes expected = before;
  // 32763 bytes from 32768 back (19 and 128 times 255 and 104 more), then five literals.
  Bytes block{0x0f, 0x00, 0x80};
  block.insert(block.end(), 128, 0xff);
  block.push_back(104);
  Bytes bytes;
  Writer writer(bytes);
  for (uint8_t half = 0; half < 2; half++) {
    if (half == 0) writer.u16(static_cast<uint16_t>(block.size() + 6));
    writer.raw(block);
    writer.u8(0x50);
    writer.raw(Bytes(5, half));
    std::fill_n(expected.begin() + 32768 * (half + 1) - 5, 5, half);
  }
  const Result<Bytes> decoded = decode_page(PageForm::kDifference, bytes, before, 65536);
  CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
  CHECK(*decoded == expected);
}

TEST(PageDiff, a_whole_page_of_another_length_is_refused) {
  for (size_t size : {0, 511, 513, 1024}) {
    const Result<Bytes> result = decode_page(PageForm::kWhole, random.bytes(size), {}, 512);
    CHECK(result.status().code() == Code::kCorrupt);
    STRCMP_CONTAINS("expected 512 bytes", result.status().sentence().c_str());
  }
}

TEST(PageDiff, a_compressed_page_must_fill_the_page_exactly) {
  for (size_t size : {512, 2048}) {
    const Encoded other = encode_one(Bytes(size), {});
    CHECK(other.form == PageForm::kCompressed);
    CHECK(decode_page(PageForm::kCompressed, other.bytes, {}, 1024).status().code() == Code::kCorrupt);
  }
  CHECK(decode_page(PageForm::kCompressed, {}, {}, 1024).status().code() == Code::kCorrupt);
  CHECK(decode_page(PageForm::kCompressed, Bytes(1024), {}, 1024).status().code() == Code::kCorrupt);
}

TEST(PageDiff, a_difference_must_fill_the_page_exactly) {
  const Bytes before = random.bytes(1024);
  const Bytes block_of_512{0x0f, 0x00, 0x02, 0xff, 0xe9, 0x50, 1, 2, 3, 4, 5};
  CHECK(decode_page(PageForm::kDifference, block_of_512, before, 1024).status().code() == Code::kCorrupt);
  CHECK(decode_page(PageForm::kDifference, Bytes(1024), before, 1024).status().code() == Code::kCorrupt);
}

TEST(PageDiff, A4_a_difference_without_a_previous_version_of_its_size_is_refused) {
  const Bytes before = random.bytes(4096);
  Bytes page = before;
  page[0]++;
  const Encoded encoded = encode_one(page, before);
  for (size_t size : {0, 512, 4095, 8192}) {
    for (const Bytes& bytes : {encoded.bytes, Bytes()}) {  // also of "equal"
      const Result<Bytes> result = decode_page(PageForm::kDifference, bytes, random.bytes(size), 4096);
      CHECK(result.status().code() == Code::kCorrupt);
      STRCMP_CONTAINS("previous version", result.status().sentence().c_str());
    }
  }
}

TEST(PageDiff, A6_a_rotten_previous_version_gives_a_page_with_another_hash) {
  test::LeafPage leaf = make_leaf(4096, 100, 80);
  const Bytes before = leaf.bytes();
  leaf.insert(3, 500, random.bytes(100));
  const Encoded encoded = encode_one(leaf.bytes(), before);
  Bytes rotten = before;
  rotten[3500] = static_cast<uint8_t>(rotten[3500] ^ 1);
  const Result<Bytes> decoded = decode_one(encoded, rotten, 4096);
  CHECK(decoded.is_ok());
  CHECK(page_hash(2, *decoded) != page_hash(2, leaf.bytes()));
}

TEST(PageDiff, B16_a_form_of_a_later_version_is_unsupported) {
  for (unsigned form : {0, 4, 255}) {
    const Result<Bytes> result = decode_page(static_cast<PageForm>(form), Bytes(512), Bytes(512), 512);
    CHECK(result.status().code() == Code::kUnsupported);
  }
}

TEST(PageDiff, a_page_size_that_is_none_is_the_callers_mistake) {
  for (uint32_t size : {0U, 100U, 513U, 131072U, 0xffffffffU}) {
    for (PageForm form : {PageForm::kWhole, PageForm::kCompressed, PageForm::kDifference}) {
      CHECK(decode_page(form, {}, {}, size).status().code() == Code::kInvalid);
    }
  }
}

TEST(PageDiff, bytes_that_are_no_page_are_kept_as_they_are) {
  for (size_t size : {0, 1, 100, 513, 65537, 200000}) {
    const Bytes bytes(size);
    const Encoded encoded = encode_one(bytes, bytes);
    CHECK(encoded.form == PageForm::kWhole);
    CHECK(encoded.bytes == bytes);
  }
}

TEST(PageDiff, a_page_cut_at_any_byte_is_refused_or_survived) {
  for (size_t size : {512, 4096, 65536}) {
    test::LeafPage leaf = make_leaf(size, 40, 60);
    const Bytes before = leaf.bytes();
    leaf.insert(1, 500, random.bytes(40));
    for (const Bytes& previous : {before, Bytes()}) {
      const Encoded whole = encode_one(leaf.bytes(), previous);
      const size_t step = whole.bytes.size() / 1000 + 1;
      for (size_t end = 1; end < whole.bytes.size(); end += step) {
        const Encoded cut{whole.form,
                          {whole.bytes.begin(), whole.bytes.begin() + static_cast<std::ptrdiff_t>(end)}};
        CHECK(decode_one(cut, previous, size).status().code() == Code::kCorrupt);
      }
    }
  }
}

TEST(PageDiff, a_page_with_any_byte_replaced_is_refused_or_survived) {
  for (size_t size : {512, 65536}) {
    test::LeafPage leaf = make_leaf(size, 40, 60);
    const Bytes before = leaf.bytes();
    leaf.insert(1, 500, random.bytes(40));
    Encoded encoded = encode_one(leaf.bytes(), before);
    for (uint8_t& byte : encoded.bytes) {
      const uint8_t original = byte;
      for (int value : {0, 1, 0x0f, 0x7f, 0x80, 0xf0, 0xff, original ^ 1, original ^ 0x10, original ^ 0x80}) {
        byte = static_cast<uint8_t>(value);
        CHECK(is_survived(decode_one(encoded, before, size), size));
      }
      byte = original;
    }
  }
}

TEST(PageDiff, twenty_thousand_mutations_are_refused_or_survived) {
  struct Sample {
    size_t size;
    Bytes previous;
    Encoded encoded;
  };
  std::vector<Sample> samples;
  for (size_t size : {512, 4096, 65536}) {
    test::LeafPage leaf = make_leaf(size, 40, 60);
    const Bytes before = leaf.bytes();
    leaf.insert(1, 500, random.bytes(40));
    samples.push_back({size, before, encode_one(leaf.bytes(), before)});
    samples.push_back({size, {}, encode_one(Bytes(size), {})});
  }
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 20000; i++) {
    const Sample& sample = samples[random.below(samples.size())];
    const Encoded mutant{sample.encoded.form, random.mutate(sample.encoded.bytes)};
    const Result<Bytes> result = decode_one(mutant, sample.previous, sample.size);
    CHECK(is_survived(result, sample.size));
    (result ? accepted : refused)++;
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}
