// Parts that arrive at a follower: put aside until the set is closed, whatever restarts, checkpoints and snapshots come
// in between.

#include <algorithm>
#include <future>

#include "codec/command.h"
#include "tests/vfs/parts_fixture.h"
#include "vfs/snapshot.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP_BASE(PartStage, PartsFixture){};

TEST(PartStage, A3_a_change_of_the_same_database_ends_a_set_that_nobody_aborted) {
  // The parts of one set, then a transaction that stands on the same entry.
  const std::vector<LogEntry> log = log_with_parts();
  std::vector<LogEntry> other;
  {
    auto node = node_in(third, {log.begin(), log.begin() + 4});
    Sql sql(*node);
    sql.run("UPDATE t SET x = 'new'");
    other = node->cluster().log();
  }
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 6).is_ok());
  CHECK_EQUAL(4U, follower->databases().settled_point().index);
  CHECK_TRUE(follower->databases().apply(7, log[5].term, *other.back().payload, std::nullopt).is_ok());
  follower->databases().applied(7, log[5].term);
  check_settled(*follower);
  STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
}

TEST(PartStage, A3_a_crash_after_any_entry_leaves_the_old_state_and_the_rest_of_the_log_completes_it) {
  const std::vector<LogEntry> log = log_with_parts();
  for (size_t entries = 5; entries < log.size(); entries++) {
    TemporaryDirectory place;
    {
      auto follower = node_in(place);
      CHECK_TRUE(apply(*follower, log, 1, entries).is_ok());
      checkpoint(*follower, "app.db", entries);
      CHECK_EQUAL(4U, follower->databases().durable_point().index);
    }
    // It begins again behind what it said the log may lose.
    auto follower = node_in(place);
    STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
    CHECK_TRUE(apply(*follower, log, 5, log.size()).is_ok());
    STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
    CHECK_TRUE(follower->databases().files().list(place.path() + "/dqlite-node")->size() > 0);
  }
}

TEST(PartStage, A3_a_checkpoint_of_another_database_between_parts_keeps_the_parts_in_the_log) {
  std::vector<LogEntry> log;
  {
    auto node = node_in(directory);
    Sql sql(*node);
    Sql other(*node, "other.db");
    sql.run(kSchema);
    other.run(kSchema);
    std::future<int> code = commit_while_paused(*node, sql);
    const size_t before = node->cluster().proposals();
    node->cluster().commit_one();
    node->cluster().commit_one();
    node->cluster().wait_proposed(before + 2);
    std::future<int> between = std::async(
        std::launch::async, [&other] { return other.attempt("INSERT INTO t VALUES(1, 'between')"); });
    node->cluster().wait_proposed(before + 3);
    node->cluster().resume();
    check_code(SQLITE_OK, between);
    check_code(SQLITE_OK, code);
    log = node->cluster().log();
  }
  const Kinds kinds = kinds_of(log);
  const size_t between = kinds.find('t', kinds.find('p')) + 1;
  const size_t before_parts = kinds.find('p');
  CHECK(between > 1 && between < log.size());
  {
    auto follower = node_in(elsewhere);
    CHECK_TRUE(apply(*follower, log, 1, between).is_ok());
    checkpoint(*follower, "other.db", between);
    checkpoint(*follower, "app.db", between);
    CHECK_EQUAL(before_parts, follower->databases().durable_point().index);
  }
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, before_parts + 1, log.size()).is_ok());
  STRCMP_EQUAL("17|66300\n", rows(*follower).c_str());
  STRCMP_EQUAL("1|7\n", rows(*follower, "other.db").c_str());
}

TEST(PartStage, A3_a_snapshot_between_parts_lets_its_receiver_get_all_of_them_from_the_log) {
  const std::vector<LogEntry> log = log_with_parts();
  auto sender = node_in(elsewhere);
  CHECK_TRUE(apply(*sender, log, 1, 7).is_ok());
  checkpoint(*sender, "app.db", 7);
  auto receiver = node_in(third);
  CHECK_TRUE(apply(*receiver, log, 1, 6).is_ok());  // its own parts are of no use behind a snapshot
  {
    auto reader = SnapshotReader::open(sender->databases());
    CHECK_TRUE(reader.is_ok());
    CHECK_EQUAL(4U, (*reader)->last().index);
    auto writer = SnapshotWriter::open(receiver->databases());
    CHECK_TRUE(writer.is_ok());
    auto bytes = (*reader)->read(0, (*reader)->size_bytes());
    CHECK_TRUE(bytes.is_ok() && (*writer)->write(0, *bytes).is_ok());
    CHECK_TRUE((*writer)->install().is_ok());
  }
  check_settled(*receiver);
  CHECK_TRUE(apply(*receiver, log, 5, log.size()).is_ok());
  STRCMP_EQUAL("18|66303\n", rows(*receiver).c_str());
}

TEST(PartStage, A3_a_snapshot_that_cannot_be_installed_for_now_leaves_the_parts_that_came) {
  const std::vector<LogEntry> log = log_with_parts();
  auto sender = node_in(elsewhere);
  CHECK_TRUE(apply(*sender, log, 1, 7).is_ok());
  checkpoint(*sender, "app.db", 7);
  auto receiver = node_in(third);
  CHECK_TRUE(apply(*receiver, log, 1, 6).is_ok());
  {
    auto reader = SnapshotReader::open(sender->databases());
    auto writer = SnapshotWriter::open(receiver->databases());
    CHECK_TRUE(reader.is_ok() && writer.is_ok());
    auto bytes = (*reader)->read(0, (*reader)->size_bytes());
    CHECK_TRUE(bytes.is_ok() && (*writer)->write(0, *bytes).is_ok());
    faults.journals_full = true;
    CHECK_TRUE((*writer)->install().code() == Code::kFull);
    faults.journals_full = false;
  }
  // The node goes on from its own log.
  CHECK_EQUAL(4U, receiver->databases().settled_point().index);
  CHECK_TRUE(apply(*receiver, log, 7, log.size()).is_ok());
  STRCMP_EQUAL("18|66303\n", rows(*receiver).c_str());
}

TEST(PartStage, A5_parts_of_what_is_in_the_file_are_passed_over) {
  const std::vector<LogEntry> log = log_with_parts();
  {
    auto follower = node_in(elsewhere);
    CHECK_TRUE(apply(*follower, log, 1, log.size()).is_ok());
    checkpoint(*follower, "app.db", log.size());
    CHECK_EQUAL(log.size(), follower->databases().durable_point().index);
  }
  // The tail of the log may begin with any of them.
  for (size_t begin = 5; begin <= log.size(); begin++) {
    auto follower = node_in(elsewhere);
    const size_t writes = faults.writes;
    CHECK_TRUE(apply(*follower, log, begin, log.size()).is_ok());
    CHECK_EQUAL(writes, faults.writes);
    check_settled(*follower);
    STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
  }
}

TEST(PartStage, A3_a_closing_entry_without_all_of_its_parts_is_found_out) {
  const std::vector<LogEntry> log = log_with_parts();
  for (size_t missing = 5; missing < log.size(); missing++) {
    TemporaryDirectory place;
    auto follower = node_in(place);
    CHECK_TRUE(apply(*follower, log, 1, missing - 1).is_ok());
    CHECK_TRUE(apply(*follower, log, missing + 1, log.size() - 1).is_ok());
    const Status status = apply(*follower, log, log.size(), log.size());
    CHECK_TRUE(status.code() == Code::kCorrupt);
    STRCMP_CONTAINS("completes a transaction of 6 parts", status.sentence().c_str());
    STRCMP_EQUAL("1|3\n", rows(*follower).c_str());
  }
}

TEST(PartStage, a_part_that_does_not_fit_this_copy_is_found_out_before_it_takes_effect) {
  const std::vector<LogEntry> log = log_with_parts();
  const auto altered = [&](size_t entry, const std::function<void(codec::TransactionPart&)>& alter) {
    TemporaryDirectory place;
    auto follower = node_in(place);
    CHECK_TRUE(apply(*follower, log, 1, entry - 1).is_ok());
    Result<codec::Command> command = codec::decode(*log[entry - 1].payload);
    alter(std::get<codec::TransactionPart>(*command));
    const Bytes payload = codec::encode(*command);
    const Status status = follower->databases().apply(entry, log[entry - 1].term, payload, std::nullopt);
    CHECK_TRUE(status.code() == Code::kCorrupt);
    return status.sentence();
  };
  STRCMP_CONTAINS("stands on entry 3", altered(5, [](auto& part) { part.change.base_index--; }).c_str());
  STRCMP_CONTAINS("checksums before",
                  altered(6, [](auto& part) { part.change.checksum_before ^= 1; }).c_str());
  STRCMP_CONTAINS("checksums after", altered(6, [](auto& part) { part.change.checksum_after ^= 1; }).c_str());
  STRCMP_CONTAINS("after page", altered(6, [](auto& part) { part.change.pages[0].page_number = 1; }).c_str());
  STRCMP_CONTAINS("does not have", altered(5, [](auto& part) { part.change.database = 77; }).c_str());
}

TEST(PartStage, a_node_whose_disk_is_full_waits_for_space) {
  const std::vector<LogEntry> log = log_with_parts();
  limits.space_interval = std::chrono::milliseconds(1);
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 4).is_ok());
  faults.full = true;
  const size_t writes = faults.writes;
  auto applied = std::async(std::launch::async, [&] { return apply(*follower, log, 5, log.size()); });
  const auto is_done = [&] { return applied.wait_for(std::chrono::seconds(0)) == std::future_status::ready; };
  while (faults.writes < writes + 500 && !is_done()) std::this_thread::yield();
  STRCMP_CONTAINS("No space left", follower->databases().apply_waits_for().c_str());
  faults.full = false;
  CHECK_TRUE(applied.get().is_ok());
  STRCMP_EQUAL("", follower->databases().apply_waits_for().c_str());
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
}

TEST(PartStage, a_node_that_ends_waits_for_no_space) {
  const std::vector<LogEntry> log = log_with_parts();
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, 4).is_ok());
  faults.full = true;
  auto applied = std::async(std::launch::async, [&] { return apply(*follower, log, 5, log.size()); });
  while (follower->databases().apply_waits_for().empty()) std::this_thread::yield();
  follower->cluster().set_standing(Standing::kFailed);
  const bool has_ended = applied.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  faults.full = false;
  CHECK_TRUE(has_ended);
  CHECK_TRUE(applied.get().code() == Code::kFull);
  STRCMP_EQUAL("", follower->databases().apply_waits_for().c_str());
}

TEST(PartStage, what_is_short_in_the_log_and_large_here_is_put_aside_too) {
  std::vector<LogEntry> log = log_with_parts();
  {
    auto node = node_in(third, log);
    Sql sql(*node);
    sql.run("UPDATE t SET x = CAST(substr(x, 1, length(x) - 1) || 'z' AS BLOB) WHERE id <> 1000");
    log = node->cluster().log();
  }
  CHECK_EQUAL('t', kinds_of(log).back());
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, log.size() - 1).is_ok());
  const size_t writes = faults.writes;
  CHECK_TRUE(apply(*follower, log, log.size(), log.size()).is_ok());
  CHECK(faults.writes > writes);
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
  Sql reader(*follower);
  STRCMP_EQUAL("ok", reader.value("PRAGMA integrity_check").c_str());
}

TEST(PartStage, what_was_sent_in_parts_is_checkpointed_from_the_spill_file) {
  const std::vector<LogEntry> log = log_with_parts();
  auto follower = node_in(elsewhere);
  CHECK_TRUE(apply(*follower, log, 1, log.size()).is_ok());
  faults.rot = true;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const Status refused = follower->database().checkpoint(log.size(), deadline).status();
  CHECK_TRUE(refused.code() == Code::kCorrupt);
  faults.rot = false;
  checkpoint(*follower, "app.db", log.size());
  CHECK_EQUAL(0U, follower->database().wal_frames());
  STRCMP_EQUAL("18|66303\n", rows(*follower).c_str());
}
