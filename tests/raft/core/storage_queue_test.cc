#include "raft/core/storage_queue.h"

#include <CppUTest/TestHarness.h>

namespace dqlite::raft {

namespace {

Entry empty_entry(Index index, Term term) {
  return {index, term, EntryKind::kNoop, nullptr};
}

Message message(NodeId to) {
  return {1, to, 1, TimeoutNow{}};
}

}  // namespace

TEST_GROUP(StorageQueue){};

TEST(StorageQueue, changes_of_one_turn_share_one_persist) {
  StorageQueue queue({1, 0}, 4);
  CHECK_TRUE(queue.is_idle());
  queue.set_hard_state({2, 3});
  queue.truncate_from(4);
  queue.append(empty_entry(4, 2));
  queue.append(empty_entry(5, 2));
  queue.after(message(9));
  const auto persists = queue.take(2, 0);
  CHECK_EQUAL(1, persists.size());
  CHECK(*persists[0].hard_state == (HardState{2, 3}));
  CHECK_EQUAL(4, persists[0].truncate_from);
  CHECK_EQUAL(2, persists[0].entries.size());
  CHECK_EQUAL(2, persists[0].commit);
  CHECK_EQUAL(1, persists[0].after.size());
  CHECK_EQUAL(3, queue.durable_index());
  CHECK_FALSE(queue.is_durable(3));  // the term is not
  queue.persisted(persists[0].token);
  CHECK_EQUAL(5, queue.durable_index());
  CHECK_TRUE(queue.is_durable(5));
  CHECK_TRUE(queue.is_idle());
}

TEST(StorageQueue, a_truncation_never_joins_a_persist_whose_promises_it_would_undo) {
  StorageQueue queue({1, 0}, 0);
  queue.append(empty_entry(1, 1));
  queue.after(message(2));
  queue.truncate_from(1);
  queue.append(empty_entry(1, 2));
  const auto persists = queue.take(0, 0);
  CHECK_EQUAL(2, persists.size());
  CHECK_EQUAL(1, persists[0].entries[0].term);
  CHECK_EQUAL(1, persists[0].after.size());
  CHECK_EQUAL(1, persists[1].truncate_from);
  CHECK_EQUAL(2, persists[1].entries[0].term);
  CHECK(persists[1].token > persists[0].token);
  queue.persisted(persists[0].token);
  CHECK_EQUAL(0, queue.durable_index());
  queue.persisted(persists[1].token);
  CHECK_EQUAL(1, queue.durable_index());
}

TEST(StorageQueue, a_completion_counts_only_for_the_log_of_now) {
  StorageQueue queue({1, 0}, 0);
  for (Index i = 1; i <= 3; i++) queue.append(empty_entry(i, 1));
  const auto first = queue.take(0, 0);
  queue.truncate_from(2);
  queue.append(empty_entry(2, 1));  // the same index and term again
  const auto second = queue.take(0, 0);
  queue.persisted(first[0].token);
  CHECK_EQUAL(1, queue.durable_index());
  queue.persisted(second[0].token);
  CHECK_EQUAL(2, queue.durable_index());
}

TEST(StorageQueue, one_completion_covers_all_before_it) {
  StorageQueue queue({1, 0}, 0);
  queue.append(empty_entry(1, 1));
  queue.take(0, 5);
  queue.append(empty_entry(2, 1));
  const auto second = queue.take(0, 9);
  CHECK_EQUAL(5, *queue.oldest_tick());
  queue.persisted(second[0].token);
  CHECK_EQUAL(2, queue.durable_index());
  CHECK_FALSE(queue.oldest_tick().has_value());
}

TEST(StorageQueue, tokens_ascend_and_a_promise_alone_is_a_persist_too) {
  StorageQueue queue({1, 0}, 0);
  queue.append(empty_entry(1, 1));
  const auto first = queue.take(0, 0);
  CHECK_TRUE(queue.changes_log());
  queue.after(message(2));
  const auto second = queue.take(0, 0);
  CHECK(second[0].token > first[0].token);
  CHECK_TRUE(second[0].entries.empty());
  queue.persisted(first[0].token);
  CHECK_FALSE(queue.changes_log());
  CHECK_FALSE(queue.is_idle());
}

TEST(StorageQueue, a_snapshot_makes_its_index_durable_and_old_completions_worthless) {
  StorageQueue queue({1, 0}, 0);
  queue.append(empty_entry(1, 1));
  const auto old = queue.take(0, 0);
  queue.reset(50);
  CHECK_EQUAL(50, queue.durable_index());
  queue.persisted(old[0].token);
  CHECK_EQUAL(50, queue.durable_index());
}

TEST(StorageQueue, no_persist_calls_an_entry_committed_that_the_next_one_removes) {
  StorageQueue queue({1, 0}, 0);
  for (Index i = 1; i <= 4; i++) queue.append(empty_entry(i, 1));
  queue.truncate_from(4);
  queue.append(empty_entry(4, 2));
  queue.truncate_from(2);
  for (Index i = 2; i <= 4; i++) queue.append(empty_entry(i, 3));
  const auto persists = queue.take(4, 0);
  CHECK_EQUAL(3, persists.size());
  CHECK_EQUAL(1, persists[0].commit);
  CHECK_EQUAL(1, persists[1].commit);
  CHECK_EQUAL(4, persists[2].commit);
}

}  // namespace dqlite::raft
