// A transaction's pages through an entry and back, on a copy that is the same, and on one that is not.

#include "vfs/change_codec.h"

#include <random>

#include "codec/checksum.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(ChangeCodec) {
  TemporaryDirectory here;
  TemporaryDirectory there;
  std::unique_ptr<TestNode> leader;
  std::unique_ptr<TestNode> follower;
  std::mt19937_64 random{1};
  uint64_t index = 1000;

  void setup() override {
    leader = std::make_unique<TestNode>(here.path());
    Sql sql(*leader);
    sql.run("PRAGMA page_size = 512; CREATE TABLE t(x)");
    for (int i = 0; i < 5; i++) sql.run("INSERT INTO t VALUES(zeroblob(1500))");
    follower = std::make_unique<TestNode>(there.path(), leader->cluster().log());
  }
  void teardown() override {
    leader.reset();
    follower.reset();
  }
  Database& ours() {
    return leader->database();
  }
  Database& theirs() {
    return follower->database();
  }

  SharedPage random_page() {
    Bytes bytes(512);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return std::make_shared<const Bytes>(std::move(bytes));
  }
  // As it is, but for a few bytes.
  SharedPage touched(uint32_t number) {
    Result<SharedPage> page = ours().newest_page(number);
    Bytes bytes = page && *page ? **page : Bytes(512);
    bytes[200 + random() % 100] ^= 0x5a;
    return std::make_shared<const Bytes>(std::move(bytes));
  }
  EncodedChange encode(const std::vector<PageImage>& frames, uint32_t page_count) {
    const CommittedView base = ours().committed();
    ChangeEncoder encoder(ours(), base, frames, page_count);
    Result<EncodedChange> encoded = encoder.next(SIZE_MAX);
    if (!encoded) FAIL(encoded.status().sentence().c_str());
    Result<codec::DatabaseChange> whole = encoder.close();
    if (!whole) FAIL(whole.status().sentence().c_str());
    encoded->change.checksum_after = whole->checksum_after;
    return std::move(*encoded);
  }
  Result<CommitMark> decode(const codec::DatabaseChange& change, uint64_t entry,
                            std::vector<PageImage>& frames) {
    return decode_change(theirs(), change, entry, 1, [&frames](uint32_t number, Bytes page) {
      frames.emplace_back(number, std::make_shared<const Bytes>(std::move(page)));
      return Status::ok();
    });
  }
  // The entry on both nodes.
  void commit(const std::vector<PageImage>& frames, uint32_t page_count) {
    EncodedChange encoded = encode(frames, page_count);
    index++;
    std::vector<PageImage> decoded;
    Result<CommitMark> mark = decode(encoded.change, index, decoded);
    if (!mark) FAIL(mark.status().sentence().c_str());
    ours().publish(frames, {0, index, 1, page_count, encoded.change.checksum_after});
    theirs().publish(decoded, *mark);
    check_equal();
  }
  void check_equal() {
    CommitMark left = ours().committed().mark;
    CommitMark right = theirs().committed().mark;
    CHECK_EQUAL(left.page_count, right.page_count);
    CHECK_TRUE(left.checksum == right.checksum);
    uint64_t checksum = 0;
    static const Bytes zeros(512);
    for (uint32_t number = 1; number <= left.page_count; number++) {
      Result<SharedPage> mine = ours().newest_page(number);
      Result<SharedPage> other = theirs().newest_page(number);
      CHECK_TRUE(mine.is_ok() && other.is_ok());
      CHECK_TRUE((*mine ? **mine : zeros) == (*other ? **other : zeros));
      if (*mine) checksum ^= codec::page_hash(number, **mine);
    }
    CHECK_TRUE(checksum == left.checksum);  // the rolling one is the whole one
  }
  void refused(const codec::DatabaseChange& change, const char* sentence) {
    std::vector<PageImage> ignored;
    Result<CommitMark> decoded = decode(change, index + 1, ignored);
    CHECK_FALSE(decoded.is_ok());
    CHECK_TRUE(decoded.status().code() == Code::kCorrupt);
    STRCMP_CONTAINS("differs from the cluster's", decoded.status().sentence().c_str());
    STRCMP_CONTAINS(sentence, decoded.status().sentence().c_str());
  }
};

TEST(ChangeCodec, changed_new_and_twice_written_pages_arrive) {
  uint32_t count = ours().committed().mark.page_count;
  commit({{2, touched(2)}, {3, random_page()}}, count);
  commit({{2, random_page()}, {2, touched(2)}, {1, touched(1)}}, count);  // the last of a page counts
  commit({{count + 1, random_page()}, {count + 2, random_page()}, {1, touched(1)}}, count + 2);
}

TEST(ChangeCodec, a_small_change_travels_as_a_small_difference) {
  EncodedChange encoded = encode({{2, touched(2)}}, ours().committed().mark.page_count);
  CHECK_EQUAL(1U, encoded.change.pages.size());
  CHECK(encoded.bytes.size() < 64);
  CHECK_TRUE(encoded.change.pages[0].form == codec::PageForm::kDifference);
  CHECK_TRUE(encoded.change.pages[0].previous_hash == codec::page_hash(2, **ours().newest_page(2)));
}

TEST(ChangeCodec, pages_that_are_as_before_do_not_travel) {
  EncodedChange encoded = encode({{2, *ours().newest_page(2)}}, ours().committed().mark.page_count);
  CHECK_TRUE(encoded.change.pages.empty());
  CHECK_TRUE(encoded.change.checksum_before == encoded.change.checksum_after);
}

TEST(ChangeCodec, A4_shrinking_and_growing_again_agree_whatever_each_node_checkpointed) {
  uint32_t count = ours().committed().mark.page_count;
  for (int way = 0; way < 4; way++) {
    commit({{1, touched(1)}, {count, random_page()}}, count - 4);
    if (way == 1) leader->checkpoint();
    if (way == 2) follower->checkpoint();
    commit({{1, touched(1)}, {count - 2, random_page()}}, count);
    if (way == 3) leader->checkpoint();
    commit({{count - 3, random_page()}, {count, touched(count)}}, count);
  }
}

TEST(ChangeCodec, A4_random_transactions_keep_two_nodes_equal) {
  for (int step = 0; step < 120; step++) {
    uint32_t before = ours().committed().mark.page_count;
    uint32_t count = random() % 3 == 0 ? static_cast<uint32_t>(5 + random() % 25) : before;
    std::vector<PageImage> frames;
    for (uint64_t i = random() % 5; i > 0; i--) {
      auto number = static_cast<uint32_t>(1 + random() % (count + 2));
      frames.push_back({number, number > 1 && random() % 2 == 0 ? random_page() : touched(number)});
    }
    if (count != before || frames.empty()) frames.push_back({1, touched(1)});
    commit(frames, count);
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    if (random() % 6 == 0) CHECK_TRUE(ours().checkpoint(index, deadline).is_ok());
    if (random() % 6 == 0) CHECK_TRUE(theirs().checkpoint(index - random() % 3, deadline).is_ok());
  }
}

TEST(ChangeCodec, A6_a_copy_that_differs_is_found_by_its_entry) {
  EncodedChange encoded = encode({{2, touched(2)}}, ours().committed().mark.page_count);
  codec::DatabaseChange change = encoded.change;
  change.base_index--;
  refused(change, "stands on entry");
  change = encoded.change;
  change.base_term++;
  refused(change, "stands on entry");
}

TEST(ChangeCodec, A6_a_copy_that_differs_is_found_by_the_checksum_before) {
  codec::DatabaseChange change = encode({{2, touched(2)}}, ours().committed().mark.page_count).change;
  change.checksum_before ^= 1;
  refused(change, "the checksums before entry");
}

TEST(ChangeCodec, A6_a_page_that_differs_is_found_before_it_serves_as_a_dictionary) {
  EncodedChange encoded = encode({{2, touched(2)}}, ours().committed().mark.page_count);
  codec::DatabaseChange change = encoded.change;
  change.pages[0].previous_hash ^= 1;
  refused(change, "page 2 is not the version that entry");
}

TEST(ChangeCodec, A6_a_result_that_differs_is_found_by_the_checksum_after) {
  EncodedChange encoded = encode({{2, touched(2)}}, ours().committed().mark.page_count);
  codec::DatabaseChange change = encoded.change;
  change.checksum_after ^= 1;
  refused(change, "the checksums after entry");
}

TEST(ChangeCodec, bytes_that_decode_to_nothing_are_corrupt) {
  EncodedChange encoded = encode({{2, touched(2)}}, ours().committed().mark.page_count);
  codec::DatabaseChange change = encoded.change;
  change.pages[0].bytes = change.pages[0].bytes.subspan(0, change.pages[0].bytes.size() - 1);
  std::vector<PageImage> ignored;
  CHECK_FALSE(decode(change, index + 1, ignored).is_ok());
}
