// The log's promises to its callers: append, read, compact, reset, and what happens when the disk fails.
#include "raft/log/log.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;
using Survival = FaultDisk::Survival;

TEST_GROUP(Log) {
  LogFixture node;
  void setup() override {
    OPENS(node.open());
  }

  std::string read(Index from, Index to, size_t max_bytes = 1 << 20) {
    Result<std::vector<Entry>> entries = node.log->read(from, to, max_bytes);
    if (!entries) return entries.status().sentence();
    std::string text;
    for (const Entry& entry : *entries) text += std::to_string(entry.index) + " ";
    return text;
  }
};

// --- append ---

TEST(Log, several_persists_take_one_write_and_one_sync) {
  std::vector<Persist> persists(5);
  for (Index i = 0; i < 5; i++) persists[i].entries.push_back(make_entry(i + 1, 1, 100));
  uint64_t calls = node.disk.calls();
  OK(node.log->append(persists));
  LONGS_EQUAL(2, node.disk.calls() - calls);
  LONGS_EQUAL(1, node.log->sync_count());
  LONGS_EQUAL(5, node.log->last_index());
}

TEST(Log, a_commit_index_alone_takes_no_write_and_rides_with_the_next_batch) {
  OK(node.write(2));
  Persist persist;
  persist.commit = 2;
  uint64_t calls = node.disk.calls();
  OK(node.log->append({persist}));
  LONGS_EQUAL(0, node.disk.calls() - calls);
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(2, node.log->recovered().commit);
}

TEST(Log, X5_term_and_vote_are_durable_before_the_entries_of_the_same_call) {
  Persist persist;
  persist.hard_state = HardState{5, 2};
  persist.entries.push_back(make_entry(1, 5, 10));
  // Whenever the entry is there, term and vote are; tried at every call.
  for (uint64_t call = 1; call <= 4; call++) {
    LogFixture other;
    CHECK(other.open());
    other.disk.crash_at(call);
    CHECK_FALSE(other.log->append({persist}).is_ok());
    CHECK(other.reopen_after_power_loss(Survival::kEverything));
    if (other.log->last_index() == 1) LONGS_EQUAL(5, other.log->hard_state().term);
  }
}

TEST(Log, an_unchanged_term_and_vote_take_no_write) {
  OK(node.vote(3, 1));
  uint64_t calls = node.disk.calls();
  OK(node.vote(3, 1));
  LONGS_EQUAL(0, node.disk.calls() - calls);
}

TEST(Log, a_term_takes_one_write_and_one_sync) {
  OK(node.vote(1, 1));
  uint64_t calls = node.disk.calls();
  OK(node.vote(2, 1));
  LONGS_EQUAL(2, node.disk.calls() - calls);
}

TEST(Log, E7_a_vote_cannot_be_taken_back_or_given_twice) {
  OK(node.vote(3, 1));
  FAILS(Code::kInvalid, "cannot be taken back", node.vote(3, 2));
  FAILS(Code::kPoisoned, "cannot be taken back", node.write(1));
  OPENS(node.open());
  FAILS(Code::kInvalid, "cannot be taken back", node.vote(2, 2));
}

TEST(Log, R6_a_truncation_of_committed_entries_poisons) {
  OK(node.write(4));
  OK(node.write(1, 100, 3));
  FAILS(Code::kInvalid, "entry 3 is committed", node.replace_from(3, 1));
  FAILS(Code::kPoisoned, "entry 3 is committed", node.write(1));
  OPENS(node.open());
  node.term = 2;
  OK(node.replace_from(4, 1));
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100 4@2#100");
}

TEST(Log, R13_non_contiguous_entries_are_refused) {
  OK(node.write(1));
  Persist persist;
  persist.entries.push_back(make_entry(3, 1, 10));
  FAILS(Code::kInvalid, "entry 3 behind entry 1", node.log->append({persist}));
}

TEST(Log, a_batch_that_crosses_segments_is_read_back_whole) {
  OK(node.write(20, 3000));
  OK(node.write(1, 100000));  // larger than a segment
  OK(node.write(20, 3000));
  CHECK(node.segments().size() > 5);
  std::string text = node.text();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
  LONGS_EQUAL(41, node.log->last_index());
}

// --- read ---

TEST(Log, reads_what_was_asked_for_and_no_more) {
  OK(node.write(10));
  STRCMP_EQUAL("3 4 5 ", read(3, 5).c_str());
  STRCMP_EQUAL("8 9 10 ", read(8, 99).c_str());
  STRCMP_EQUAL("3 4 ", read(3, 9, 250).c_str());
  STRCMP_EQUAL("3 ", read(3, 9, 1).c_str());
  FAILS(Code::kNotFound, "entry 11 is not in the log, which holds entries 1 to 10",
        node.log->read(11, 12, 100).status());
}

TEST(Log, entries_below_the_start_are_not_found) {
  OK(node.write(10));
  OK(node.compact_to(4));
  FAILS(Code::kNotFound, "holds entries 5 to 10", node.log->read(4, 9, 100).status());
  STRCMP_EQUAL("5 6 ", read(5, 6).c_str());
}

TEST(Log, D13_EIO_on_read_of_old_entry_is_told_and_harms_nothing_else) {
  OK(node.write(3));
  FoundRecord second = node.record_of(2);
  node.disk.fail_reads(second.path, second.offset, 8);
  FAILS(Code::kIo, "entry 2 of term 1", node.log->read(1, 3, 1000).status());
  STRCMP_EQUAL("1 ", read(1, 1).c_str());
  OK(node.write(1));
}

TEST(Log, a_rotten_entry_is_never_given_out) {
  OK(node.write(3));
  FoundRecord second = node.record_of(2);
  for (uint64_t byte = 0; byte < kRecordHeaderBytes + 100; byte++) {
    node.rot(second, byte);
    LONGS_EQUAL(static_cast<long>(Code::kCorrupt),
                static_cast<long>(node.log->read(2, 2, 1000).status().code()));
    node.rot(second, byte);
  }
  STRCMP_EQUAL("2 ", read(2, 2).c_str());
}

TEST(Log, kinds_terms_and_payloads_come_back) {
  Persist persist;
  persist.entries = {{1, 2, EntryKind::kNoop, nullptr}, make_entry(2, 3, 0), make_entry(3, 3, 17)};
  OK(node.log->append({persist}));
  Result<std::vector<Entry>> entries = node.log->read(1, 3, 1000);
  CHECK(entries.is_ok());
  CHECK((*entries)[0].kind == EntryKind::kNoop);
  CHECK((*entries)[1].kind == EntryKind::kCommand);
  CHECK((*entries)[1].payload == nullptr);
  CHECK(*(*entries)[2].payload == *make_payload(3, 3, 17));
  LONGS_EQUAL(2, node.log->term_at(1));
  LONGS_EQUAL(3, node.log->term_at(3));
}

TEST(Log, entries_are_read_while_others_are_written_and_dropped) {
  OK(node.write(40, 1000));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> reads{0};
  std::thread reader([&] {
    while (!stop) {
      Index first = node.log->start().last.index + 1;
      Result<std::vector<Entry>> entries = node.log->read(first, first + 20, 1 << 20);
      if (!entries) {
        if (entries.status().code() != Code::kNotFound) wrong++;  // dropped in between
        continue;
      }
      for (const Entry& entry : *entries) {
        if (*entry.payload != *make_payload(entry.index, entry.term, entry.size_bytes())) wrong++;
      }
      reads++;
    }
  });
  std::atomic<int> compactions{0};
  std::thread compactor([&] {
    while (!stop) {
      Index last = node.log->last_index();
      if (!node.compact_to(last - 25).is_ok()) wrong++;
      compactions++;
    }
  });
  for (int i = 0; i < 100 || reads < 20 || compactions < 20; i++) {
    CHECK(node.write(3, 1000).is_ok());
    if (i % 10 == 0) CHECK(node.vote(node.log->hard_state().term + 1, 1).is_ok());
  }
  stop = true;
  reader.join();
  compactor.join();
  LONGS_EQUAL(0, wrong);
  std::string text = node.text();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
}

// --- sizes ---

TEST(Log, sizes_are_those_of_the_records_behind_the_start) {
  OK(node.write(10));
  LONGS_EQUAL(10 * record_bytes(100), node.log->size_bytes());
  LONGS_EQUAL(7, node.log->tail_begin(3 * record_bytes(100)));
  OK(node.compact_to(4));
  LONGS_EQUAL(6 * record_bytes(100), node.log->size_bytes());
  OPENS(node.open());
  LONGS_EQUAL(6 * record_bytes(100), node.log->size_bytes());
  LONGS_EQUAL(7, node.log->tail_begin(3 * record_bytes(100)));
}

TEST(Log, B5_reserved_bytes_are_what_can_be_written_on_a_full_disk) {
  uint64_t reserved = node.log->reserved_bytes();
  CHECK(reserved > 10000);
  node.disk.set_space(0);
  uint64_t written = kBeginBytes;
  for (; written + record_bytes(1000) <= reserved; written += record_bytes(1000)) OK(node.write(1, 1000));
  FAILS(Code::kFull, "no space", node.write(1, 1000));
}

// --- compact and reset ---

TEST(Log, compaction_drops_whole_segments_from_the_oldest_on) {
  for (int i = 0; i < 20; i++) OK(node.write(1, 3000));
  size_t before = node.segments().size();
  OK(node.compact_to(11));
  CHECK(node.segments().size() < before);
  LONGS_EQUAL(20, node.log->last_index());
  LONGS_EQUAL(11, node.log->start().last.index);
  std::string text = node.text();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
}

TEST(Log, compaction_keeps_what_a_truncation_needs) {
  OK(node.write(6, 3000));
  node.term = 2;
  OK(node.replace_from(3, 6, 3000));
  OK(node.compact_to(4));
  std::string text = node.text();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
}

TEST(Log, compaction_may_leave_truncated_entries_without_those_before_them) {
  OK(node.write(3, 3500));
  OK(node.write(1));  // entry 4 begins the second segment
  node.term = 2;
  OK(node.replace_from(3, 4));
  OK(node.compact_to(2));  // the first segment goes, and with it the old entry 3
  LONGS_EQUAL(1, node.segments().size());
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 2/1 | vote 0/0 | 3@2#100 4@2#100 5@2#100 6@2#100");
}

TEST(Log, compaction_to_the_end_leaves_an_empty_log_that_goes_on) {
  OK(node.write(5));
  OK(node.compact_to(5));
  LOG_IS("start 5/1 | vote 0/0 |");
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 5/1 | vote 0/0 |");
  LONGS_EQUAL(5, node.log->recovered().commit);
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 5/1 | vote 0/0 | 6@1#100");
}

TEST(Log, compaction_below_the_start_does_nothing_and_beyond_the_end_is_refused) {
  OK(node.write(5));
  OK(node.compact_to(3));
  OK(node.compact_to(2));
  LONGS_EQUAL(3, node.log->start().last.index);
  LogStart beyond;
  beyond.last = {9, 1};
  FAILS(Code::kInvalid, "which is not in the log", node.log->compact(beyond));
  LogStart other_term;
  other_term.last = {4, 7};
  FAILS(Code::kInvalid, "of term 7", node.log->compact(other_term));
  OK(node.write(1));
}

TEST(Log, B12_a_segment_that_cannot_be_removed_is_left_over_and_harmless) {
  for (int i = 0; i < 20; i++) OK(node.write(1, 3000));
  node.disk.fail_call(3, Code::kIo);  // write and sync of the state, then the first removal
  FAILS(Code::kIo, "left over", node.compact_to(11));
  OK(node.write(1));
  std::string text = node.text();
  OPENS(node.reopen_after_power_loss());
  STRCMP_EQUAL(text.c_str(), node.text().c_str());
}

TEST(Log, the_start_keeps_its_configuration) {
  OK(node.write(3));
  LogStart start;
  start.last = {2, 1};
  start.configuration = {{{1, 11, "a:1", MemberRole::kVoter}}};
  start.configuration_index = 1;
  OK(node.log->compact(start));
  OPENS(node.reopen_after_power_loss());
  CHECK(node.log->recovered().start.configuration == start.configuration);
  LONGS_EQUAL(1, node.log->start().configuration_index);
}

TEST(Log, a_reset_log_is_empty_and_keeps_the_vote) {
  OK(node.vote(4, 2));
  OK(node.write(5, 5000));
  OK(node.reset_to({3, 2}));  // below the old end: the old entries 4 and 5 are gone
  LOG_IS("start 3/2 | vote 4/2 |");
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 3/2 | vote 4/2 |");
  LONGS_EQUAL(1, node.segments().size());
  node.term = 4;
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 3/2 | vote 4/2 | 4@4#100");
}

TEST(Log, B8_a_log_that_begins_behind_an_adopted_state) {
  OK(node.reset_to({1, 1}));
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 1/1 | vote 0/0 | 2@1#100");
}

// --- failures ---

TEST(Log, D11_fsync_EIO_poisons_no_ack_no_retry) {
  OK(node.write(1));
  node.disk.fail_call(2, Code::kIo);
  Status first = node.write(1);
  LONGS_EQUAL(static_cast<long>(Code::kIo), static_cast<long>(first.code()));
  LONGS_EQUAL(1, node.log->last_index());
  uint64_t calls = node.disk.calls();
  for (int i = 0; i < 3; i++) FAILS(Code::kPoisoned, first.sentence().c_str(), node.write(1));
  FAILS(Code::kPoisoned, first.sentence().c_str(), node.vote(9, 9));
  FAILS(Code::kPoisoned, first.sentence().c_str(), node.compact_to(1));
  FAILS(Code::kPoisoned, first.sentence().c_str(), node.reset_to({9, 9}));
  FAILS(Code::kPoisoned, first.sentence().c_str(), node.log->append_commit(1));
  LONGS_EQUAL(calls, node.disk.calls());  // nothing was tried
  STRCMP_EQUAL("1 ", read(1, 1).c_str());
}

TEST(Log, D12_write_ENOSPC_no_partial_ack) {
  OK(node.write(1));
  node.disk.fail_call(1, Code::kFull);  // in a segment that had its space: no ordinary shortage
  FAILS(Code::kFull, "injected", node.write(2));
  FAILS(Code::kPoisoned, "injected", node.write(1));
  OPENS(node.reopen_after_power_loss(Survival::kEverything));
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
}

TEST(Log, D12_no_space_for_a_segment_is_found_before_anything_is_written) {
  OK(node.vote(1, 1));
  OK(node.write(2, 4000));
  node.disk.set_space(40 << 10);
  Persist persist;
  persist.hard_state = HardState{2, 2};
  for (Index i = 3; i <= 20; i++)
    persist.entries.push_back(make_entry(i, 1, 4000));  // needs several segments
  std::vector<std::string> files = node.disk.files();
  FAILS(Code::kFull, "no space", node.log->append({persist}));
  LOG_IS("start 0/0 | vote 1/1 | 1@1#4000 2@1#4000");
  node.disk.set_space(1 << 20);
  OK(node.log->append({persist}));  // the same call, later
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(20, node.log->last_index());
  LONGS_EQUAL(2, node.log->hard_state().vote);
}

TEST(Log, D12_a_reset_without_space_changes_nothing) {
  OK(node.write(2));
  node.disk.set_space(0);
  FAILS(Code::kFull, "no space", node.reset_to({9, 9}));
  node.disk.set_space(1 << 20);
  OK(node.write(1));
  OK(node.reset_to({9, 9}));
}

TEST(Log, a_node_with_a_full_disk_starts) {
  OK(node.write(2));
  OK(node.vote(1, 1));
  node.disk.set_space(0);
  OPENS(node.reopen_after_kill());
  LOG_IS("start 0/0 | vote 1/1 | 1@1#100 2@1#100");
}
