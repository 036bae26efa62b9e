#include "raft/core/log_window.h"

#include <CppUTest/TestHarness.h>

namespace dqlite::raft {

namespace {

Entry sized_entry(Index index, Term term, size_t size = 0) {
  return {index, term, EntryKind::kCommand,
          size == 0 ? nullptr : std::make_shared<const Bytes>(size, uint8_t{1})};
}

LogWindow window(EntryId start, const std::vector<Term>& terms) {
  LogWindow log(start, {}, start.index);
  for (Term term : terms) log.append(sized_entry(log.last_index() + 1, term));
  return log;
}

void check(const LogWindow& log) {
  STRCMP_EQUAL("", log.check_invariants().sentence().c_str());
}

}  // namespace

TEST_GROUP(LogWindow){};

TEST(LogWindow, knows_the_term_of_every_entry_from_its_start_to_its_end) {
  LogWindow log({10, 3}, {{11, 3}, {13, 5}}, 14);
  CHECK_FALSE(log.term_at(9).has_value());
  CHECK_EQUAL(3, *log.term_at(10));
  CHECK_EQUAL(3, *log.term_at(12));
  CHECK_EQUAL(5, *log.term_at(13));
  CHECK_EQUAL(5, *log.term_at(14));
  CHECK_FALSE(log.term_at(15).has_value());
  CHECK(log.last() == (EntryId{14, 5}));
  CHECK_TRUE(log.holds({13, 5}));
  CHECK_FALSE(log.holds({13, 3}));
  CHECK_EQUAL(15, log.cache_begin());
  check(log);
}

TEST(LogWindow, the_hint_is_the_largest_entry_that_may_match) {
  const LogWindow log = window({0, 0}, {1, 1, 4, 4, 6, 6});
  CHECK(log.largest_not_above(9, 6) == (EntryId{6, 6}));
  CHECK(log.largest_not_above(6, 5) == (EntryId{4, 4}));
  CHECK(log.largest_not_above(5, 6) == (EntryId{5, 6}));
  CHECK(log.largest_not_above(6, 3) == (EntryId{2, 1}));
  CHECK(log.largest_not_above(6, 0) == (EntryId{0, 0}));
  // Never below the start, which is committed.
  const LogWindow later = window({10, 3}, {5, 5});
  CHECK(later.largest_not_above(12, 4) == (EntryId{10, 3}));
  CHECK(later.largest_not_above(12, 1) == (EntryId{10, 3}));
  CHECK(later.largest_not_above(7, 1) == (EntryId{7, 0}));
}

TEST(LogWindow, truncation_removes_runs_and_entries) {
  LogWindow log = window({0, 0}, {1, 1, 2, 2, 3});
  log.truncate_from(4);
  CHECK(log.last() == (EntryId{3, 2}));
  check(log);
  log.append(sized_entry(4, 4));
  CHECK(log.last() == (EntryId{4, 4}));
  check(log);
  log.truncate_from(1);
  CHECK(log.last() == (EntryId{0, 0}));
  check(log);
}

TEST(LogWindow, compaction_at_every_index_keeps_the_rest_right) {
  const std::vector<Term> terms = {1, 1, 1, 2, 4, 4, 5};
  for (Index at = 1; at <= terms.size(); at++) {
    LogWindow log = window({0, 0}, terms);
    log.compact_to({at, terms[at - 1]});
    check(log);
    CHECK_FALSE(log.term_at(at - 1).has_value());
    for (Index i = at; i <= terms.size(); i++) CHECK_EQUAL(terms[i - 1], *log.term_at(i));
    log.append(sized_entry(8, 5));
    check(log);
    CHECK_EQUAL(5, *log.term_at(8));
  }
}

TEST(LogWindow, a_reset_leaves_an_empty_log_behind_the_snapshot) {
  LogWindow log = window({0, 0}, {1, 2});
  log.reset({50, 7});
  CHECK(log.last() == (EntryId{50, 7}));
  CHECK_EQUAL(51, log.cache_begin());
  check(log);
}

TEST(LogWindow, a_slice_stops_at_its_bytes_but_never_before_the_first_entry) {
  LogWindow log({0, 0}, {}, 0);
  for (Index i = 1; i <= 4; i++) log.append(sized_entry(i, 1, 100));
  CHECK_EQUAL(2, log.slice(1, 4, 250).size());
  CHECK_EQUAL(1, log.slice(2, 4, 10).size());
  CHECK_EQUAL(2, log.slice(2, 3, 10000).size());
  CHECK_EQUAL(0, log.slice(5, 9, 10000).size());
}

TEST(LogWindow, eviction_takes_the_oldest_first_and_only_what_it_may) {
  LogWindow log({0, 0}, {}, 0);
  for (Index i = 1; i <= 10; i++) log.append(sized_entry(i, 1, 1000));
  log.evict(6, 5000);
  CHECK_EQUAL(7, log.cache_begin());  // the limit would take more, what is above 6 stays
  CHECK_EQUAL(0, log.slice(6, 10, 99999).size());
  CHECK_EQUAL(4, log.slice(7, 10, 99999).size());
  CHECK_EQUAL(1, *log.term_at(3));
  check(log);
}

}  // namespace dqlite::raft
