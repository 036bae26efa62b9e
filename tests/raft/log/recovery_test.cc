// What a log makes of the files it finds: the rows of the table in raft/log/recovery.h, and raft.md's storage
// scenarios D1 to D18 as far as they concern the log.
#include "raft/log/recovery.h"

#include "tests/raft/log/check.h"
#include "tests/raft/log/log_fixture.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

// Opening fails as damage, says what `words` say, and changed nothing in the log.
#define DAMAGED(words)                             \
  do {                                             \
    auto before = contents(node);                  \
    FAILS(Code::kCorrupt, words, node.try_open()); \
    CHECK(before == contents(node));               \
  } while (false)

namespace {

std::map<std::string, Bytes> contents(const LogFixture& node) {
  std::map<std::string, Bytes> result;
  for (const std::string& path : node.segments()) result[path] = node.disk.content(path);
  return result;
}

}  // namespace

TEST_GROUP(Recovery) {
  LogFixture node;
  void setup() override {
    OPENS(node.open());
  }
};

TEST(Recovery, an_empty_log_stays_empty) {
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 |");
  CHECK(node.log->recovery_note().empty());
}

TEST(Recovery, what_was_acknowledged_is_there_after_a_power_failure) {
  OK(node.vote(1, 7));
  OK(node.write(3));
  OK(node.write(1, 0));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 1/7 | 1@1#100 2@1#100 3@1#100 4@1#0");
  LONGS_EQUAL(4, node.log->recovered().last_index);
}

TEST(Recovery, term_runs_and_configurations_are_told) {
  Configuration one{{{1, 11, "a:1", MemberRole::kVoter}}};
  Configuration two{{{1, 11, "a:1", MemberRole::kVoter}, {2, 22, "b:2", MemberRole::kStandby}}};
  OK(node.write_configuration(one));
  OK(node.write(2));
  node.term = 4;
  OK(node.write(1));
  OK(node.write_configuration(two));
  OPENS(node.reopen_after_power_loss());
  const Recovered& found = node.log->recovered();
  LONGS_EQUAL(2, found.term_runs.size());
  CHECK((found.term_runs[0] == EntryId{1, 1}));
  CHECK((found.term_runs[1] == EntryId{4, 4}));
  LONGS_EQUAL(2, found.configurations.size());
  LONGS_EQUAL(1, found.configurations[0].first);
  LONGS_EQUAL(5, found.configurations[1].first);
  CHECK(two == found.configurations[1].second);
}

TEST(Recovery, a_truncated_configuration_is_not_told) {
  Configuration one{{{1, 11, "a:1", MemberRole::kVoter}}};
  OK(node.write(1));
  OK(node.write_configuration(one));
  node.term = 2;
  OK(node.replace_from(2, 1));
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(0, node.log->recovered().configurations.size());
}

TEST(Recovery, A2_the_commit_index_of_a_batch_is_what_was_durable_before_it) {
  OK(node.write(3, 100, 3));  // not yet durable when it was written: nothing to record
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(0, node.log->recovered().commit);
  OK(node.write(1, 100, 3));
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(3, node.log->recovered().commit);
}

TEST(Recovery, A2_an_orderly_stop_records_the_commit_index_exactly) {
  OK(node.write(3));
  OK(node.log->append_commit(2));
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(2, node.log->recovered().commit);
  uint64_t syncs = node.log->sync_count();
  OK(node.log->append_commit(2));  // known already: no write
  LONGS_EQUAL(syncs, node.log->sync_count());
  OK(node.log->append_commit(9));  // above the log: what is durable
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(3, node.log->recovered().commit);
}

TEST(Recovery, D1_torn_last_record_truncated) {
  OK(node.write(2));
  OK(node.write(1));
  FoundRecord last = node.record_of(3);
  node.rot(last, kRecordHeaderBytes + 50);
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100");
  STRCMP_CONTAINS("cut 168 bytes of an unfinished batch", node.log->recovery_note().c_str());
  node.term = 2;
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@2#100");
}

TEST(Recovery, D2_A8_torn_batch_of_two_records_is_cut) {
  OK(node.write(1));
  OK(node.write(2));  // one batch: the disk kept the second record's sectors and not the first's
  node.lose(node.record_of(2));
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
  // The batch that follows gets the same number and the same length: the old second record must not come
  // back.
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100");
}

TEST(Recovery, A8_what_was_cut_is_zeros_afterwards) {
  OK(node.write(1));
  OK(node.write(3, 1000));
  FoundRecord second = node.record_of(2);
  node.rot(second, 0);
  OPENS(node.open());
  OPENS(node.reopen_after_power_loss());
  Bytes content = node.disk.content(second.path);
  auto behind = content.begin() + static_cast<ptrdiff_t>(second.offset);
  CHECK(std::all_of(behind, content.end(), [](uint8_t byte) { return byte == 0; }));
}

TEST(Recovery, A8_a_commit_index_never_names_an_entry_of_its_own_batch) {
  // As a follower's: a truncation, entries that cross into a new segment, and all of it committed.
  Persist persist;
  persist.truncate_from = 2;
  persist.entries = {make_entry(2, 2, 9000), make_entry(3, 2, 9000)};
  persist.commit = 3;
  bool first_part_alone_was_seen = false;
  for (uint64_t call = 1; call <= 10; call++) {
    LogFixture crashed;
    CHECK_TEXT(crashed.open(), crashed.failure.c_str());
    OK(crashed.write(3));
    crashed.disk.crash_at(call);
    CHECK_FALSE(crashed.log->append({persist}).is_ok());
    CHECK_TEXT(crashed.reopen_after_power_loss(), crashed.failure.c_str());
    LONGS_EQUAL(crashed.log->term_at(2) == 2 ? 1 : 0, crashed.log->recovered().commit);
    first_part_alone_was_seen |= crashed.log->term_at(2) == 2 && crashed.log->last_index() == 2;
  }
  CHECK(first_part_alone_was_seen);
}

TEST(Recovery, A8_a_footer_before_a_truncation_does_not_count_what_replaces_its_entries_as_committed) {
  uint64_t room =
      node.options.segment_bytes - kSegmentHeaderBytes - kBeginBytes - 3 * kRecordHeaderBytes - kFooterBytes;
  OK(node.write(1, room));
  OK(node.write(1, 8));  // entries 1 and 2: the segment has no room but for its footer
  Persist persist;
  persist.truncate_from = 2;
  persist.entries = {make_entry(2, 2, 100)};
  persist.commit = 2;
  OK(node.log->append({persist}));
  LONGS_EQUAL(2, node.segments().size());
  OPENS(node.reopen_after_power_loss());
  LONGS_EQUAL(1, node.log->recovered().commit);
  LONGS_EQUAL(2, node.log->term_at(2));
}

TEST(Recovery, A8_a_batch_whose_last_record_is_torn_leaves_no_part_of_itself) {
  OK(node.write(1));
  OK(node.write(3));
  node.rot(node.record_of(4), 20);
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
}

TEST(Recovery, A8_a_batch_torn_twice_in_a_row_is_no_damage) {
  OK(node.write(1));
  for (int i = 0; i < 3; i++) {
    OK(node.write(3));
    node.lose(node.record_of(2));
    OPENS(node.open());
    LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
  }
}

TEST(Recovery, A8_entries_replaced_by_others_of_equal_length_do_not_come_back) {
  OK(node.write(3));
  node.term = 2;
  OK(node.replace_from(2, 1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@2#100");
}

TEST(Recovery, A8_a_torn_replacement_leaves_what_it_would_have_replaced) {
  OK(node.write(3));
  node.term = 2;
  OK(node.replace_from(2, 1));
  node.rot(node.record_of(2), kRecordHeaderBytes);
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
}

TEST(Recovery, D3_bit_flip_in_middle_not_truncated) {
  OK(node.write(2));
  OK(node.write(1));
  OK(node.write(2));
  FoundRecord third = node.record_of(3);
  node.rot(third, kRecordHeaderBytes + 7);
  DAMAGED("entries 3 to 5 are in doubt");
  DAMAGED((third.path + ", offset " + std::to_string(third.offset)).c_str());
}

TEST(Recovery, D3_every_bit_of_a_record_is_guarded) {
  OK(node.write(1));
  OK(node.write(1));
  OK(node.write(1));
  FoundRecord second = node.record_of(2);
  for (uint64_t byte = 0; byte < kRecordHeaderBytes + second.header.payload_length; byte++) {
    node.disk.flip_bit(second.path, second.offset + byte, static_cast<int>(byte % 8));
    Status status = node.try_open();
    LONGS_EQUAL(static_cast<long>(Code::kCorrupt), static_cast<long>(status.code()));
    node.disk.flip_bit(second.path, second.offset + byte, static_cast<int>(byte % 8));
  }
  OPENS(node.open());
}

TEST(Recovery, D4_bit_flip_in_last_committed_record) {
  OK(node.write(2));
  OK(node.log->append_commit(2));
  node.rot(node.record_of(2), kRecordHeaderBytes);
  DAMAGED("entries 1 to 2 are in doubt");  // the batch of both entries
}

TEST(Recovery, D4_an_entry_below_the_logs_start_is_not_needed_but_its_rot_is_told) {
  OK(node.write(1));
  OK(node.write(1));
  OK(node.compact_to(2));
  node.rot(node.record_of(2), kRecordHeaderBytes);
  DAMAGED("entry 2 is known to be committed");
}

TEST(Recovery, D5_all_zero_tail_is_clean_end) {
  OK(node.write(2));
  OPENS(node.open());
  CHECK(node.log->recovery_note().empty());
  LONGS_EQUAL(2, node.log->last_index());
}

TEST(Recovery, D6_recycled_segment_old_records_not_read) {
  OK(node.write(2));
  // The bytes of another segment of this very log, record by record as it was: another salt made their
  // checksums.
  Bytes other = node.disk.content(node.segments()[0]);
  OK(node.reset_to({2, 1}));
  OPENS(node.open());
  node.disk.put(node.segments()[0], kSegmentHeaderBytes, ByteView(other).subspan(kSegmentHeaderBytes));
  OPENS(node.open());
  LOG_IS("start 2/1 | vote 0/0 |");
}

TEST(Recovery, D7_lost_write_detected_by_chain) {
  OK(node.write(1));
  node.disk.lose_writes(node.segments()[0]);
  OK(node.write(1));  // acknowledged, and nowhere
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());  // both gone: as if they had never been; the chain cannot tell
  LONGS_EQUAL(1, node.log->last_index());
}

TEST(Recovery, D7_a_lost_write_before_a_kept_one_is_damage) {
  OK(node.write(1));
  OK(node.write(1));
  FoundRecord second = node.record_of(2);
  OK(node.write(1));
  node.lose(second);
  DAMAGED("entries 2 to 3 are in doubt");
}

TEST(Recovery, D7_an_old_record_in_the_place_of_a_lost_one_is_damage) {
  OK(node.write(1));
  OK(node.write(1));
  OK(node.write(1));
  FoundRecord first = node.record_of(1);
  FoundRecord second = node.record_of(2);
  Bytes content = node.disk.content(first.path);
  node.disk.put(second.path, second.offset, ByteView(content).subspan(first.offset, record_bytes(100)));
  DAMAGED("entries 2 to 3 are in doubt");
}

TEST(Recovery, D7_a_record_whose_predecessor_was_another_is_not_accepted) {
  OK(node.write(1));
  OK(node.write(1));
  FoundRecord second = node.record_of(2);
  RecordHeader header = second.header;
  header.previous ^= 1;
  Bytes bytes(kRecordHeaderBytes);
  encode_record_header(header, second.salt, bytes);
  node.disk.put(second.path, second.offset, bytes);
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
}

TEST(Recovery, D7_a_record_of_another_batch_is_not_accepted) {
  OK(node.write(1));
  OK(node.write(1));
  FoundRecord second = node.record_of(2);
  RecordHeader header = second.header;
  header.batch++;
  Bytes bytes(kRecordHeaderBytes);
  encode_record_header(header, second.salt, bytes);
  node.disk.put(second.path, second.offset, bytes);
  DAMAGED(("yet batch " + std::to_string(header.batch) + " is at").c_str());
}

TEST(Recovery, D8_misdirected_write_into_a_later_segment_is_detected) {
  for (int i = 0; i < 5; i++) OK(node.write(1, 4000));
  std::string second = node.segments().at(1);
  FoundRecord first = node.record_of(1);
  Bytes content = node.disk.content(first.path);
  node.disk.put(second, kSegmentHeaderBytes, ByteView(content).subspan(kSegmentHeaderBytes, 256));
  DAMAGED(second.c_str());
}

TEST(Recovery, D8_two_segments_with_each_others_names_are_damage) {
  for (int i = 0; i < 10; i++) OK(node.write(1, 4000));
  std::vector<std::string> names = node.segments();
  Bytes one = node.disk.content(names[0]);
  Bytes two = node.disk.content(names[1]);
  node.disk.put(names[0], 0, two);
  node.disk.put(names[1], 0, one);
  DAMAGED(names[0].c_str());
}

TEST(Recovery, D13_EIO_on_read_is_damage_and_never_a_torn_tail) {
  OK(node.write(2));
  FoundRecord last = node.record_of(2);
  node.disk.fail_reads(last.path, last.offset + kRecordHeaderBytes, 8);
  DAMAGED("injected fault");
}

TEST(Recovery, D14_a_segment_whose_name_was_lost_is_damage) {
  for (int i = 0; i < 5; i++) OK(node.write(1, 4000));
  node.disk.drop_file(node.segments().back());
  DAMAGED("missing");
}

TEST(Recovery, D14_a_segment_missing_in_the_middle_is_damage) {
  for (int i = 0; i < 10; i++) OK(node.write(1, 4000));
  CHECK(node.segments().size() >= 3);
  node.disk.drop_file(node.segments()[1]);
  DAMAGED("segment 2 of the log is missing");
}

TEST(Recovery, D14_a_log_without_any_segment_is_damage) {
  OK(node.write(1));
  node.disk.drop_file(node.segments()[0]);
  DAMAGED("segment 1 of the log is missing");
}

TEST(Recovery, a_log_whose_oldest_segment_begins_too_late_is_damage) {
  for (int i = 0; i < 5; i++) OK(node.write(1, 4000));
  OK(node.compact_to(4));
  OK(node.write(10, 4000));
  // The state of before the compaction, with its first segment raised: as if a file had been taken for
  // another.
  DurableState state;
  state.start.last = {1, 1};
  state.first_segment = parse_segment_name(node.segments()[0].substr(5))->sequence;
  state.first_batch = node.records()[0].header.batch;
  StateFile file(node.disk, kDirectory);
  CHECK(*file.load());
  OK(file.save(state));
  DAMAGED("the log begins behind entry 1");
}

TEST(Recovery, D17_truncate_suffix_then_crash_before_new_append) {
  OK(node.write(4));
  node.term = 2;
  OK(node.replace_from(3, 0));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100");
  OK(node.write(1));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@2#100");
}

TEST(Recovery, D18_what_was_not_synced_is_gone_and_the_rest_is_there) {
  OK(node.write(2));
  uint64_t calls = node.disk.calls();
  OK(node.write(1));
  LONGS_EQUAL(2, node.disk.calls() - calls);  // one write, one sync
  node.disk.crash_at(2);
  CHECK_FALSE(node.write(1).is_ok());
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
}

TEST(Recovery, A12_what_survived_a_kill_in_the_page_cache_is_durable_before_open_returns) {
  OK(node.write(1));
  node.disk.crash_at(2);  // the write happens, the sync does not
  CHECK_FALSE(node.write(2).is_ok());
  OPENS(node.reopen_after_kill());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
}

TEST(Recovery, A12_what_a_failed_sync_left_in_the_page_cache_is_written_again) {
  OK(node.write(1));
  node.disk.fail_call(2, Code::kIo);  // the sync: its pages are clean now, and not on the disk
  CHECK_FALSE(node.write(2).is_ok());
  OPENS(node.reopen_after_kill());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100 2@1#100 3@1#100");
}

TEST(Recovery, A12_a_footer_in_the_page_cache_is_made_durable_too) {
  OK(node.write(2, 4000));
  node.disk.set_space(1 << 20);
  // The next entry needs a new segment: zeros, sync, rename, directory sync, footer, and its sync fails to
  // happen.
  uint64_t calls = 0;
  {
    std::unique_ptr<FaultDisk> dry = node.disk.clone();
    LogFixture other;
    Result<std::unique_ptr<Log>> log = Log::open(*dry, kDirectory, other.options);
    CHECK(log.is_ok());
    calls = dry->calls();
    Persist persist;
    persist.entries.push_back(make_entry(3, 1, 4000));
    OK((*log)->append({persist}));
    calls = dry->calls() - calls;
  }
  OPENS(node.open());
  node.disk.crash_at(calls - 2);  // the sync of the footer; then the new segment's write and sync
  CHECK_FALSE(node.write(1, 4000).is_ok());
  OPENS(node.reopen_after_kill());
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#4000 2@1#4000");
  LONGS_EQUAL(2, node.segments().size());
  OK(node.write(1, 4000));
  OPENS(node.reopen_after_power_loss());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#4000 2@1#4000 3@1#4000");
}

TEST(Recovery, A12_recovery_writes_nothing_but_the_last_batch) {
  OK(node.write(3));
  OK(node.write(1));
  FoundRecord last = node.record_of(4);
  std::unique_ptr<FaultDisk> before = node.disk.clone();
  OPENS(node.open());
  CHECK(before->content(last.path) == node.disk.content(last.path));
}

TEST(Recovery, B12_a_bad_header_under_a_spare_name_is_nothing) {
  OK(node.write(1));
  {
    Result<std::unique_ptr<File>> spare = node.disk.open(std::string(kDirectory) + "/spare-77", true);
    CHECK(spare.is_ok());
    OK((*spare)->write(0, Bytes(100, 0xFF)));
  }
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 | 1@1#100");
  for (const std::string& path : node.disk.files()) CHECK(path.find("spare") == std::string::npos);
}

TEST(Recovery, B12_a_bad_header_under_a_live_name_is_damage) {
  OK(node.write(1));
  node.disk.flip_bit(node.segments()[0], 17);
  DAMAGED("header");
}

TEST(Recovery, B12_a_segment_cut_short_is_damage) {
  OK(node.write(1));
  node.disk.resize(node.segments()[0], 8192);
  DAMAGED("8192 bytes long, its header says 16384");
}

TEST(Recovery, B12_a_segment_of_before_the_start_that_came_back_is_ignored) {
  for (int i = 0; i < 10; i++) OK(node.write(1, 4000));
  std::string oldest = node.segments()[0];
  Bytes content = node.disk.content(oldest);
  OK(node.compact_to(8));
  CHECK(node.segments()[0] != oldest);
  {
    Result<std::unique_ptr<File>> back = node.disk.open(oldest, true);
    CHECK(back.is_ok());
    OK((*back)->write(0, content));
  }
  OPENS(node.open());
  LOG_IS("start 8/1 | vote 0/0 | 9@1#4000 10@1#4000");
  CHECK(node.segments()[0] != oldest);
}

TEST(Recovery, B16_an_unknown_record_type_stops_the_node) {
  OK(node.write(1));
  FoundRecord last = node.record_of(1);
  auto previous =
      decode_record_header(ByteView(node.disk.content(last.path)).subspan(last.offset), last.salt);
  for (int what = 0; what < 2; what++) {
    RecordHeader unknown;
    unknown.type = what == 0 ? static_cast<RecordType>(99) : RecordType::kEntry;
    unknown.kind = 77;
    unknown.ends_batch = true;
    unknown.payload_checksum = last.salt;
    unknown.previous = previous->checksum;
    unknown.batch = last.header.batch + 1;
    unknown.index = 2;
    Bytes bytes(kRecordHeaderBytes);
    encode_record_header(unknown, last.salt, bytes);
    node.disk.put(last.path, last.offset + record_bytes(100), bytes);
    Status status = node.try_open();
    LONGS_EQUAL(static_cast<long>(Code::kUnsupported), static_cast<long>(status.code()));
    STRCMP_CONTAINS("newer build", status.sentence().c_str());
  }
}

TEST(Recovery, a_log_of_another_cluster_is_refused) {
  node.close();
  FaultDisk fresh;
  LogOptions options = node.options;
  options.cluster_id_high = 5;
  CHECK(Log::open(fresh, kDirectory, options).is_ok());
  CHECK(Log::open(fresh, kDirectory, options).is_ok());
  options.cluster_id_high = 6;
  Status status = Log::open(fresh, kDirectory, options).status();
  LONGS_EQUAL(static_cast<long>(Code::kRefused), static_cast<long>(status.code()));
  // That one was left by force, and its segments are still this log's.
  options.former_clusters = {{5, 0}};
  OK(Log::open(fresh, kDirectory, options).status());
  // A segment of a node that was new belongs to any cluster.
  node.options.cluster_id_high = 6;
  OPENS(node.open());
}

TEST(Recovery, reads_large_payloads_in_bounded_pieces) {
  OK(node.write(1, 5 << 20));
  node.disk.forget_counts();
  OPENS(node.open());
  CHECK(node.disk.largest_read() <= (1 << 20));
  LONGS_EQUAL(1, node.log->last_index());
}

TEST(Recovery, a_length_field_that_lies_allocates_nothing) {
  OK(node.write(1));
  FoundRecord last = node.record_of(1);
  RecordHeader header = last.header;
  header.payload_length = 0xFFFFFFF0;
  Bytes bytes(kRecordHeaderBytes);
  encode_record_header(header, last.salt, bytes);  // with a right checksum, too
  node.disk.put(last.path, last.offset, bytes);
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 0/0 |");
}

// --- damage put aside: what is readable stays, the rest is kept under another name ---

namespace {

std::vector<std::string> files_aside(const LogFixture& node) {
  std::vector<std::string> found;
  for (const std::string& path : node.disk.files()) {
    if (path.find("/damaged-log-") != std::string::npos) found.push_back(path);
  }
  return found;
}

}  // namespace

TEST_GROUP(PutAside) {
  LogFixture node;
  void setup() override {
    OPENS(node.open());
    OK(node.vote(3, 2));
  }
  void put_aside() {
    node.options.on_damage = OnDamage::kPutAside;
    node.options.raise_term_to = 4;
    OPENS(node.open());
    node.options.on_damage = OnDamage::kRefuse;
  }
  // It goes on as any other log does, through a loss of power.
  void goes_on() {
    node.term = 4;
    OK(node.write(2));
    const std::string before = node.text();
    OPENS(node.reopen_after_power_loss());
    LOG_IS(before.c_str());
    CHECK(node.log->damage().empty());
  }
};

TEST(PutAside, D3_the_readable_part_stays_and_the_log_goes_on_from_there) {
  OK(node.write(2));
  OK(node.write(1));
  OK(node.write(2));
  const FoundRecord third = node.record_of(3);
  node.rot(third, kRecordHeaderBytes + 7);
  const Bytes damaged = node.disk.content(third.path);
  put_aside();
  LOG_IS("start 0/0 | vote 4/0 | 1@1#100 2@1#100");
  STRCMP_CONTAINS("entries 3 to 5 are in doubt", node.log->damage().c_str());
  LONGS_EQUAL(1, files_aside(node).size());
  CHECK(damaged == node.disk.content(files_aside(node)[0]));
  goes_on();
}

TEST(PutAside, D3_a_second_damage_of_the_same_segment_is_kept_beside_the_first) {
  for (int round = 1; round <= 3; round++) {
    OK(node.write(1));
    OK(node.write(1));
    const Index first = node.log->last_index() - 1;
    OK(node.log->append_commit(first + 1));
    node.rot(node.record_of(first), kRecordHeaderBytes);
    put_aside();
    LONGS_EQUAL(first - 1, node.log->last_index());
    LONGS_EQUAL(round, files_aside(node).size());
  }
  goes_on();
}

TEST(PutAside, D4_damage_below_the_start_leaves_an_empty_log_behind_the_start) {
  OK(node.write(1));
  OK(node.write(1));
  OK(node.write(1));
  OK(node.compact_to(2));
  node.rot(node.record_of(1), kRecordHeaderBytes);
  put_aside();
  LOG_IS("start 2/1 | vote 4/0 |");
  LONGS_EQUAL(2, node.log->recovered().commit);
  goes_on();
}

TEST(PutAside, D13_a_sector_that_cannot_be_read_costs_what_lies_behind_it) {
  OK(node.write(1));
  OK(node.write(1));
  const FoundRecord last = node.record_of(2);
  node.disk.fail_reads(last.path, last.offset + kRecordHeaderBytes, 8);
  put_aside();
  LOG_IS("start 0/0 | vote 4/0 | 1@1#100");
  goes_on();
}

TEST(PutAside, D14_a_missing_segment_costs_what_lies_behind_it) {
  for (int i = 0; i < 10; i++) OK(node.write(1, 4000));
  const std::vector<std::string> segments = node.segments();
  CHECK(segments.size() >= 3);
  const Index last_of_first = parse_segment_name(segments[1].substr(segments[1].rfind('/') + 1))->first - 1;
  node.disk.drop_file(segments[1]);
  put_aside();
  LONGS_EQUAL(last_of_first, node.log->last_index());
  LONGS_EQUAL(segments.size() - 2, files_aside(node).size());
  goes_on();
}

TEST(PutAside, B12_a_bad_header_costs_its_segment_and_what_lies_behind_it) {
  for (int i = 0; i < 10; i++) OK(node.write(1, 4000));
  for (const std::string& path : node.segments()) node.disk.flip_bit(path, 20);
  put_aside();
  LOG_IS("start 0/0 | vote 4/0 |");
  goes_on();
}

TEST(PutAside, a_sound_log_loses_nothing_but_takes_the_term) {
  OK(node.write(3));
  put_aside();
  LOG_IS("start 0/0 | vote 4/0 | 1@1#100 2@1#100 3@1#100");
  CHECK(node.log->damage().empty() && files_aside(node).empty());
}

TEST(PutAside, what_is_kept_readable_is_never_written) {
  OK(node.write(1));
  OK(node.write(1));
  OK(node.write(1));
  node.rot(node.record_of(2), kRecordHeaderBytes);
  const auto before = contents(node);
  node.options.on_damage = OnDamage::kKeepReadable;
  OPENS(node.open());
  LOG_IS("start 0/0 | vote 3/2 | 1@1#100");
  LONGS_EQUAL(3, node.log->highest_term());
  FAILS(Code::kPoisoned, "entries 2 to 3 are in doubt", node.write(1));
  FAILS(Code::kPoisoned, "are in doubt", node.compact_to(1));
  FAILS(Code::kPoisoned, "are in doubt", node.reset_to({5, 3}));
  node.close();
  CHECK(before == contents(node));
}

// Whatever is cut off, the next start can go on, and no byte of the log is deleted.
TEST(PutAside, S5_a_crash_at_every_call_loses_no_file_and_can_be_gone_on_from) {
  bool through = false;
  for (uint64_t call = 1; !through; call++) {
    CHECK(call < 300);
    LogFixture each;
    OPENS(each.open());
    for (int i = 0; i < 8; i++) OK(each.write(1, 4000));
    const FoundRecord fifth = each.record_of(5);
    each.rot(fifth, kRecordHeaderBytes);
    const Bytes damaged = each.disk.content(fifth.path);
    each.close();
    each.options.on_damage = OnDamage::kPutAside;
    each.options.raise_term_to = 4;
    each.disk.crash_at(call);
    through = each.try_open().is_ok();
    each.close();
    each.disk.crash_at(0);
    each.disk.power_loss(FaultDisk::Survival::kRandom, call);
    OPENS(each.open());
    CHECK(each.log->last_index() <= 4);
    LONGS_EQUAL(4, each.log->hard_state().term);
    each.term = 4;
    OK(each.write(1));
    each.options.on_damage = OnDamage::kRefuse;
    OPENS(each.reopen_after_power_loss());
    const std::vector<std::string> kept = files_aside(each);
    CHECK(std::any_of(kept.begin(), kept.end(),
                      [&](const std::string& path) { return each.disk.content(path) == damaged; }));
  }
}
