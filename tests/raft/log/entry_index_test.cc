#include "raft/log/entry_index.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(EntryIndex) {
  EntryIndex index;
  uint64_t offset = 4096;

  // Entries of 100 bytes, one behind the other.
  void add(Term term, int count) {
    for (int i = 0; i < count; i++) {
      index.append(term, 3, offset, 104);
      offset += 104;
    }
  }
};

TEST(EntryIndex, knows_where_an_entry_is_and_of_which_term) {
  add(1, 2);
  add(4, 2);
  LONGS_EQUAL(4, index.last_index());
  EntryPlace third = index.place(3);
  LONGS_EQUAL(3, third.segment);
  LONGS_EQUAL(4096 + 2 * 104, third.offset);
  LONGS_EQUAL(104, third.record_bytes);
  LONGS_EQUAL(4, third.term);
  LONGS_EQUAL(1, index.term_at(2));
  LONGS_EQUAL(0, index.term_at(5));
  LONGS_EQUAL(416, index.size_bytes());
}

TEST(EntryIndex, a_truncation_removes_entries_and_runs) {
  add(1, 2);
  add(4, 2);
  index.truncate(3);
  LONGS_EQUAL(2, index.last_index());
  LONGS_EQUAL(1, index.term_runs().size());
  LONGS_EQUAL(208, index.size_bytes());
  add(5, 1);
  LONGS_EQUAL(5, index.term_at(3));
  index.truncate(1);
  LONGS_EQUAL(0, index.last_index());
  LONGS_EQUAL(0, index.term_runs().size());
}

TEST(EntryIndex, a_dropped_prefix_leaves_its_last_term) {
  add(1, 2);
  add(4, 3);
  index.drop_prefix({3, 4});
  CHECK_FALSE(index.contains(3));
  CHECK(index.contains(4));
  LONGS_EQUAL(4, index.term_at(3));
  LONGS_EQUAL(0, index.term_at(2));
  LONGS_EQUAL(208, index.size_bytes());
  CHECK((index.term_runs() == std::vector<EntryId>{{4, 4}}));
  index.drop_prefix({5, 4});
  LONGS_EQUAL(5, index.last_index());
  LONGS_EQUAL(0, index.size_bytes());
  CHECK(index.term_runs().empty());
  add(6, 1);
  LONGS_EQUAL(6, index.last_index());
  LONGS_EQUAL(104, index.place(6).record_bytes);
}

TEST(EntryIndex, a_drop_at_the_border_of_two_terms_keeps_the_second_run_whole) {
  add(1, 2);
  add(4, 2);
  index.drop_prefix({2, 1});
  CHECK((index.term_runs() == std::vector<EntryId>{{3, 4}}));
  LONGS_EQUAL(1, index.term_at(2));
}

TEST(EntryIndex, tail_begin_is_the_smallest_index_with_at_most_that_many_bytes_above) {
  add(1, 10);
  LONGS_EQUAL(10, index.tail_begin(0));
  LONGS_EQUAL(10, index.tail_begin(103));
  LONGS_EQUAL(9, index.tail_begin(104));
  LONGS_EQUAL(5, index.tail_begin(5 * 104 + 103));
  LONGS_EQUAL(0, index.tail_begin(1 << 20));
  index.drop_prefix({4, 1});
  LONGS_EQUAL(4, index.tail_begin(1 << 20));
  LONGS_EQUAL(9, index.tail_begin(104));
}
