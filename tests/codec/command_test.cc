#include "codec/command.h"

#include <CppUTest/TestHarness.h>

#include <limits>
#include <string>

#include "codec/page.h"
#include "tests/codec/random_bytes.h"

using namespace dqlite;
using namespace dqlite::codec;

namespace {

// The example at the head of command.cc.
const Bytes kExample{
    0x01, 0x02,                                      // version, TRANSACTION
    0x01, 0x00,                                      // one database
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // its id
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // base index
    0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // base term
    0x03, 0x00, 0x00, 0x00,                          // page count
    0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,  // checksum before
    0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,  // checksum after
    0x01, 0x00, 0x00, 0x00,                          // one page
    0x02, 0x00, 0x00, 0x00,                          // page number
    0x03,                                            // difference
    0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33,  // previous hash
    0x02, 0x00, 0x00, 0x00, 0xaa, 0xbb,              // two bytes
};

const Bytes kTwoBytes{0xaa, 0xbb};
const Bytes kWholePage(512, 0x5a);

DatabaseChange example_change() {
  return {.database = 5,
          .base_index = 8,
          .base_term = 2,
          .page_count = 3,
          .checksum_before = 0x1111111111111111,
          .checksum_after = 0x2222222222222222,
          .pages = {{2, PageForm::kDifference, 0x3333333333333333, kTwoBytes}}};
}

// All forms, two databases, one of them without pages.
Transaction rich_transaction() {
  Transaction transaction;
  transaction.changes.push_back(example_change());
  DatabaseChange& first = transaction.changes.back();
  first.page_count = 0xffffffff;
  first.pages.push_back({3, PageForm::kWhole, 0, kWholePage});
  first.pages.push_back({4, PageForm::kCompressed, 0, kTwoBytes});
  first.pages.push_back({5, PageForm::kDifference, 1, {}});
  first.pages.push_back({0xffffffff, PageForm::kWhole, 0, kWholePage});
  DatabaseChange& second = transaction.changes.emplace_back();
  second.database = std::numeric_limits<uint64_t>::max();
  second.page_count = 1;
  return transaction;
}

TransactionPart example_part() {
  return {.set = 9, .number = 2, .change = example_change()};
}

// What takes effect with the parts of set 9.
Transaction example_close() {
  Transaction transaction{{example_change()}, 9, 2};
  transaction.changes[0].pages.clear();
  return transaction;
}

bool is_equal(ByteView a, ByteView b) {
  return Bytes(a.begin(), a.end()) == Bytes(b.begin(), b.end());
}

// A hostile payload: a failure with a sentence, or a command whose one encoding is the payload itself.
bool is_survived(const Bytes& payload, const Result<Command>& result) {
  if (result) return encode(*result) == payload;
  const Code code = result.status().code();
  return (code == Code::kCorrupt || code == Code::kUnsupported) && !result.status().sentence().empty();
}

// Makes the example's transaction wrong in one way and expects that sentence.
template <typename Spoil>
void check_refused(const char* sentence, Spoil spoil) {
  Transaction transaction{{example_change()}};
  CHECK(decode(encode(transaction)).is_ok());
  spoil(transaction);
  const Bytes payload = encode(transaction);
  const Result<Command> result = decode(payload);
  CHECK(result.status().code() == Code::kCorrupt);
  STRCMP_CONTAINS(sentence, result.status().sentence().c_str());
}

std::vector<Bytes> samples() {
  return {encode(CreateDatabase{"app.db", 4096}),
          encode(Checkpoint{}),
          kExample,
          encode(rich_transaction()),
          encode(example_part()),
          encode(example_close()),
          encode(TransactionAbort{9})};
}

}  // namespace

TEST_GROUP(Command){};

TEST(Command, the_example_of_the_format_is_written_and_read_as_documented) {
  CHECK(encode(Transaction{{example_change()}}) == kExample);
  const Result<Command> decoded = decode(kExample);
  CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
  CHECK(encode(*decoded) == kExample);
}

TEST(Command, creating_a_database_is_written_and_read_as_documented) {
  const Bytes expected{1, 1, 0, 0x10, 0, 0, 6, 0, 0, 0, 'a', 'p', 'p', '.', 'd', 'b'};
  CHECK(encode(CreateDatabase{"app.db", 4096}) == expected);
  const Result<Command> decoded = decode(expected);
  const auto& create = std::get<CreateDatabase>(*decoded);
  STRCMP_EQUAL("app.db", create.name.c_str());
  LONGS_EQUAL(4096, create.page_size);
}

TEST(Command, a_checkpoint_is_two_bytes) {
  CHECK(encode(Checkpoint{}) == (Bytes{1, 3}));
  const Bytes payload{1, 3};
  CHECK(std::holds_alternative<Checkpoint>(*decode(payload)));
}

TEST(Command, every_field_of_a_transaction_comes_back) {
  const Transaction original = rich_transaction();
  const Bytes payload = encode(original);
  const Result<Command> decoded = decode(payload);
  CHECK_TEXT(decoded.is_ok(), decoded.status().sentence().c_str());
  const auto& transaction = std::get<Transaction>(*decoded);
  LONGS_EQUAL(original.changes.size(), transaction.changes.size());
  for (size_t i = 0; i < original.changes.size(); i++) {
    const DatabaseChange& expected = original.changes[i];
    const DatabaseChange& change = transaction.changes[i];
    CHECK(expected.database == change.database);
    CHECK(expected.base_index == change.base_index);
    CHECK(expected.base_term == change.base_term);
    CHECK(expected.page_count == change.page_count);
    CHECK(expected.checksum_before == change.checksum_before);
    CHECK(expected.checksum_after == change.checksum_after);
    LONGS_EQUAL(expected.pages.size(), change.pages.size());
    for (size_t j = 0; j < expected.pages.size(); j++) {
      CHECK(expected.pages[j].page_number == change.pages[j].page_number);
      CHECK(expected.pages[j].form == change.pages[j].form);
      CHECK(expected.pages[j].previous_hash == change.pages[j].previous_hash);
      CHECK(is_equal(expected.pages[j].bytes, change.pages[j].bytes));
    }
  }
}

TEST(Command, a_part_is_its_name_and_a_database_of_a_transaction) {
  Bytes expected{1, 4, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
  expected.insert(expected.end(), kExample.begin() + 4, kExample.end());
  CHECK(encode(example_part()) == expected);
  const Result<Command> decoded = decode(expected);
  const auto& part = std::get<TransactionPart>(*decoded);
  LONGS_EQUAL(9, part.set);
  LONGS_EQUAL(2, part.number);
  LONGS_EQUAL(5, part.change.database);
  LONGS_EQUAL(1, part.change.pages.size());
}

TEST(Command, a_transaction_in_parts_takes_effect_with_a_command_without_pages) {
  Bytes expected{1, 5, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
  expected.insert(expected.end(), kExample.begin() + 2, kExample.begin() + 48);
  CHECK(encode(example_close()) == expected);
  const Result<Command> decoded = decode(expected);
  const auto& transaction = std::get<Transaction>(*decoded);
  LONGS_EQUAL(9, transaction.set);
  LONGS_EQUAL(2, transaction.part_count);
  CHECK(transaction.changes[0].checksum_after == example_change().checksum_after);
  CHECK(transaction.changes[0].pages.empty());
}

TEST(Command, an_abort_names_its_set) {
  CHECK(encode(TransactionAbort{9}) == (Bytes{1, 6, 9, 0, 0, 0, 0, 0, 0, 0}));
  const Result<Command> decoded = decode(encode(TransactionAbort{9}));
  LONGS_EQUAL(9, std::get<TransactionAbort>(*decoded).set);
}

TEST(Command, a_part_without_a_name_or_pages_is_refused) {
  struct {
    Command command;
    const char* sentence;
  } cases[] = {{TransactionPart{0, 2, example_change()}, "part 2 of set 0"},
               {TransactionPart{9, 0, example_change()}, "part 0 of set 9"},
               {Transaction{{example_change()}, 9, 0}, "part 0 of set 9"},
               {TransactionPart{9, 1, {}}, "database 0, expected one above 0"},
               {TransactionPart{9, 1, example_close().changes[0]}, "a part without pages"},
               {TransactionAbort{0}, "set 0"}};
  for (const auto& wrong : cases) {
    const Bytes payload = encode(wrong.command);
    const Result<Command> result = decode(payload);
    CHECK(result.status().code() == Code::kCorrupt);
    STRCMP_CONTAINS(wrong.sentence, result.status().sentence().c_str());
  }
}

TEST(Command, the_bytes_of_a_page_are_views_into_the_payload) {
  const Result<Command> decoded = decode(kExample);
  const PageChange& page = std::get<Transaction>(*decoded).changes[0].pages[0];
  POINTERS_EQUAL(kExample.data() + kExample.size() - 2, page.bytes.data());
}

TEST(Command, B16_a_version_kind_or_form_this_build_does_not_know_is_unsupported) {
  struct {
    size_t offset;
    uint8_t value;
    const char* sentence;
  } const cases[] = {{0, 0, "version 0"},    {0, 2, "version 2"},    {0, 255, "version 255"},
                     {1, 0, "kind 0"},       {1, 7, "kind 7"},       {1, 255, "kind 255"},
                     {56, 0, "page form 0"}, {56, 4, "page form 4"}, {56, 255, "page form 255"}};
  for (const auto& wrong : cases) {
    Bytes payload = kExample;
    payload[wrong.offset] = wrong.value;
    const Result<Command> result = decode(payload);
    CHECK(result.status().code() == Code::kUnsupported);
    STRCMP_CONTAINS(wrong.sentence, result.status().sentence().c_str());
    STRCMP_CONTAINS("upgrade this node", result.status().sentence().c_str());
  }
}

TEST(Command, a_name_that_could_leave_the_directory_is_refused) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("/"),
        std::string("../x"), std::string("a\0b", 3), std::string("\0", 1), std::string(256, 'a')}) {
    CHECK_FALSE(is_database_name(name));
    CHECK(decode(encode(CreateDatabase{name, 4096})).status().code() == Code::kCorrupt);
  }
  for (const std::string& name : {std::string("a"), std::string("app.db"), std::string("..."),
                                  std::string("caf\xc3\xa9 1"), std::string(255, 'a')}) {
    CHECK(is_database_name(name));
    CHECK(decode(encode(CreateDatabase{name, 4096})).is_ok());
  }
}

TEST(Command, a_page_size_that_is_none_is_refused) {
  for (uint32_t size : {0U, 256U, 1000U, 131072U, 0xffffffffU}) {
    CHECK(decode(encode(CreateDatabase{"app.db", size})).status().code() == Code::kCorrupt);
  }
  for (uint32_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    CHECK(decode(encode(CreateDatabase{"app.db", size})).is_ok());
  }
}

TEST(Command, databases_must_ascend_and_come_once) {
  check_refused("no database", [](Transaction& t) { t.changes.clear(); });
  check_refused("database 0, expected one above 0", [](Transaction& t) { t.changes[0].database = 0; });
  check_refused("database 5, expected one above 5",
                [](Transaction& t) { t.changes.push_back(example_change()); });
  check_refused("database 4, expected one above 5", [](Transaction& t) {
    t.changes.push_back(example_change());
    t.changes[1].database = 4;
  });
}

TEST(Command, pages_must_ascend_come_once_and_lie_within_the_database) {
  check_refused("page number 0, expected 1 to 3",
                [](Transaction& t) { t.changes[0].pages[0].page_number = 0; });
  check_refused("page number 4, expected 1 to 3",
                [](Transaction& t) { t.changes[0].pages[0].page_number = 4; });
  check_refused("page number 2, expected 3 to 3",
                [](Transaction& t) { t.changes[0].pages.push_back(t.changes[0].pages[0]); });
  check_refused("page number 1, expected 3 to 3", [](Transaction& t) {
    t.changes[0].pages.push_back({1, PageForm::kDifference, 0, {}});
  });
  check_refused("page count 0", [](Transaction& t) { t.changes[0].page_count = 0; });
}

TEST(Command, a_page_must_have_a_length_that_its_form_allows) {
  static const Bytes large(65537);
  for (size_t size : {0, 511, 1000, 65537}) {
    check_refused("no page size allows", [size](Transaction& t) {
      t.changes[0].pages[0] = {2, PageForm::kWhole, 0, ByteView(large).first(size)};
    });
  }
  for (size_t size : {0, 65536, 65537}) {
    check_refused("no page size allows", [size](Transaction& t) {
      t.changes[0].pages[0] = {2, PageForm::kCompressed, 0, ByteView(large).first(size)};
    });
  }
  check_refused("no page size allows", [](Transaction& t) {
    t.changes[0].pages[0] = {2, PageForm::kDifference, 0, ByteView(large).first(65536)};
  });
  check_refused("1024 bytes, expected 512 as the whole pages before it", [](Transaction& t) {
    t.changes[0].pages = {{1, PageForm::kWhole, 0, ByteView(large).first(512)},
                          {3, PageForm::kWhole, 0, ByteView(large).first(1024)}};
  });
}

TEST(Command, two_databases_may_have_two_page_sizes) {
  static const Bytes large(65536);
  Transaction transaction{{example_change(), example_change()}};
  transaction.changes[1].database = 6;
  transaction.changes[0].pages = {{1, PageForm::kWhole, 0, ByteView(large).first(512)}};
  transaction.changes[1].pages = {{1, PageForm::kWhole, 0, large}};
  CHECK(decode(encode(transaction)).is_ok());
}

// The largest counts, with nothing behind them: an allocation by the count would be 160 GB.
TEST(Command, a_count_is_checked_against_the_remaining_bytes_before_memory_is_taken) {
  Bytes pages(kExample.begin(), kExample.begin() + 52);
  for (size_t offset : {28, 29, 30, 31, 48, 49, 50, 51}) pages[offset] = 0xff;  // page count, number of pages
  const Result<Command> too_many_pages = decode(pages);
  CHECK(too_many_pages.status().code() == Code::kCorrupt);
  STRCMP_CONTAINS("4294967295 pages announced", too_many_pages.status().sentence().c_str());

  Bytes databases = kExample;
  databases[2] = 0xff;
  databases[3] = 0xff;
  const Result<Command> too_many_databases = decode(databases);
  CHECK(too_many_databases.status().code() == Code::kCorrupt);
  STRCMP_CONTAINS("65535 databases announced", too_many_databases.status().sentence().c_str());
}

TEST(Command, nothing_may_follow_a_command) {
  for (Bytes payload : samples()) {
    payload.push_back(0);
    const Result<Command> result = decode(payload);
    CHECK(result.status().code() == Code::kCorrupt);
    STRCMP_CONTAINS("1 bytes too many", result.status().sentence().c_str());
  }
}

TEST(Command, a_command_cut_at_any_byte_is_refused) {
  for (const Bytes& whole : samples()) {
    for (size_t end = 0; end < whole.size(); end++) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(end));
      CHECK(decode(cut).status().code() == Code::kCorrupt);
    }
  }
}

TEST(Command, a_command_with_any_byte_replaced_by_any_other_is_refused_or_another_command) {
  for (Bytes payload : {encode(CreateDatabase{"app.db", 4096}), encode(Checkpoint{}), kExample,
                        encode(example_part()), encode(example_close()), encode(TransactionAbort{9})}) {
    for (uint8_t& byte : payload) {
      const uint8_t original = byte;
      for (unsigned value = 0; value < 256; value++) {
        byte = static_cast<uint8_t>(value);
        CHECK(is_survived(payload, decode(payload)));
      }
      byte = original;
    }
  }
}

TEST(Command, twenty_thousand_mutations_are_refused_or_another_command) {
  test::Random random(2);
  const std::vector<Bytes> originals = samples();
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 20000; i++) {
    const Bytes mutant = random.mutate(originals[random.below(originals.size())]);
    const Result<Command> result = decode(mutant);
    CHECK(is_survived(mutant, result));
    (result ? accepted : refused)++;
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}
