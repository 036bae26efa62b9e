// Copies that are read again: what is found, and that nobody is kept waiting.

#include "vfs/verification.h"

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <thread>

#include "codec/checksum.h"
#include "tests/lib/sanitizers.h"
#include "tests/vfs/failing_new.h"
#include "tests/vfs/fixture.h"
#include "vfs/state_scan.h"
#include "vfs/verifier.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

Status no_pause() {
  return Status::ok();
}

CopyFinding finding_at(uint64_t database, uint64_t index, uint64_t checksum) {
  CopyFinding finding;
  finding.database = database;
  finding.index = index;
  finding.expected = finding.found = checksum;
  return finding;
}

}  // namespace

TEST_GROUP(Verification) {
  TemporaryDirectory directory;

  void fill(Sql & sql, int rows) {
    sql.run("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)");
    for (int i = 0; i < rows; i++) sql.run("INSERT INTO t(x) VALUES(randomblob(3000))");
  }
  static std::string outcome(const CopyFinding& finding) {
    return finding.status ? "ok" : finding.status.sentence();
  }
};

TEST(Verification, a_copy_gives_the_checksum_that_was_agreed_on) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 30);
  node.checkpoint();
  sql.run("UPDATE t SET x = 1 WHERE id % 2 = 0");
  const CopyFinding finding = verify_copy(node.database(), no_pause);
  STRCMP_EQUAL("ok", outcome(finding).c_str());
  const CommittedView view = node.database().committed();
  CHECK_EQUAL(view.mark.index, finding.index);
  CHECK_EQUAL(view.mark.page_count, finding.pages);
  CHECK_EQUAL(view.mark.checksum, finding.found);
  CHECK_EQUAL(0U, finding.wrong_pages);
}

TEST(Verification, A6_pages_that_rotted_in_the_file_are_named_and_counted) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 30);
  node.checkpoint();
  rot_byte(directory.path() + "/app.db", 4096 * 10 + 5);
  CopyFinding finding = verify_copy(node.database(), no_pause);
  CHECK(finding.status.code() == Code::kCorrupt);
  STRCMP_CONTAINS("page 11 of ", outcome(finding).c_str());
  CHECK_EQUAL(1U, finding.wrong_pages);
  CHECK(finding.found != finding.expected);
  rot_byte(directory.path() + "/app.db", 4096 * 20 + 5);
  finding = verify_copy(node.database(), no_pause);
  STRCMP_CONTAINS("page 11 of ", outcome(finding).c_str());
  STRCMP_CONTAINS(", and so are 1 more pages", outcome(finding).c_str());
  CHECK_EQUAL(2U, finding.wrong_pages);
}

TEST(Verification, rot_below_a_newer_version_does_not_count) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 30);
  node.checkpoint();
  sql.run("UPDATE t SET x = randomblob(3000)");
  rot_byte(directory.path() + "/app.db", 4096 * 10 + 5);
  STRCMP_EQUAL("ok", outcome(verify_copy(node.database(), no_pause)).c_str());
}

TEST(Verification, a_file_that_is_too_short_is_found) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 30);
  node.checkpoint();
  CHECK_EQUAL(0, ::truncate((directory.path() + "/app.db").c_str(), 4096 * 20));
  const CopyFinding finding = verify_copy(node.database(), no_pause);
  CHECK(finding.status.code() == Code::kCorrupt);
  STRCMP_CONTAINS("page 21 of ", outcome(finding).c_str());
}

TEST(Verification, a_wrong_page_in_memory_is_found) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 3);
  const CommittedView view = node.database().committed();
  SharedPage newest = node.database().frame(view.mark.sequence).bytes();
  const_cast<Bytes&>(*newest)[100] ^= 1;
  const CopyFinding finding = verify_copy(node.database(), no_pause);
  CHECK(finding.status.code() == Code::kCorrupt);
  CHECK_EQUAL(0U, finding.wrong_pages);
  STRCMP_CONTAINS("so memory is not", outcome(finding).c_str());
  const_cast<Bytes&>(*newest)[100] ^= 1;
}

TEST(Verification, commits_and_checkpoints_go_on_beneath) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 400);
  node.checkpoint();
  const uint64_t index = node.database().committed().mark.index;
  int pauses = 0;
  const CopyFinding finding = verify_copy(node.database(), [&] {
    sql.run("UPDATE t SET x = randomblob(3000) WHERE id % 5 = " + std::to_string(pauses++ % 5));
    node.checkpoint();
    return Status::ok();
  });
  STRCMP_EQUAL("ok", outcome(finding).c_str());
  CHECK_EQUAL(index, finding.index);
  CHECK(pauses > 2);
  CHECK_EQUAL(0U, node.database().versions().kept_bytes());
}

TEST(Verification, members_that_differ_at_one_index_are_told_apart_by_the_majority) {
  std::vector<CopyFinding> three = {finding_at(2, 9, 7), finding_at(2, 9, 8), finding_at(2, 9, 7),
                                    finding_at(2, 10, 1), finding_at(3, 9, 5)};
  std::vector<CopyFinding*> all;
  for (CopyFinding& finding : three) all.push_back(&finding);
  compare_copies(all);
  for (size_t i = 0; i < three.size(); i++) CHECK_EQUAL(i != 1, three[i].status.is_ok());
  std::vector<CopyFinding> two = {finding_at(2, 9, 7), finding_at(2, 9, 8)};
  compare_copies({&two[0], &two[1]});
  CHECK_FALSE(two[0].status.is_ok() || two[1].status.is_ok());
}

TEST(Verification, findings_travel_whole) {
  CopyFinding finding = finding_at(2, 9, 7);
  finding.name = "app.db";
  finding.term = 3;
  finding.pages = 40;
  finding.found = 8;
  finding.wrong_pages = 1;
  finding.status = {Code::kCorrupt, "page 4"};
  const Bytes encoded = encode_findings({finding, finding_at(3, 1, 1)});
  Result<std::vector<CopyFinding>> decoded = decode_findings(encoded);
  CHECK(decoded.is_ok());
  CHECK_EQUAL(2U, decoded->size());
  const CopyFinding& first = decoded->front();
  STRCMP_EQUAL("app.db", first.name.c_str());
  CHECK(first.database == 2 && first.index == 9 && first.term == 3 && first.pages == 40 &&
        first.expected == 7 && first.found == 8 && first.wrong_pages == 1);
  CHECK(first.status.code() == Code::kCorrupt);
  STRCMP_EQUAL("page 4", first.status.sentence().c_str());
  CHECK((*decoded)[1].status.is_ok());
  for (size_t size = 0; size < encoded.size(); size++) {
    CHECK(decode_findings(ByteView(encoded).first(size)).status().code() == Code::kUnsupported);
  }
}

TEST(Verification, the_thread_answers_all_who_asked_before_it_began) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 5);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Result<Bytes>> answers;
  const auto take = [&](Result<Bytes> answer) {
    std::lock_guard lock(mutex);
    answers.push_back(std::move(answer));
    changed.notify_all();
  };
  for (int i = 0; i < 3; i++) node.databases().verifier().ask(encode_verify_question(), take);
  node.databases().verifier().ask(Bytes{9, 9, 9}, take);
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(60), [&] { return answers.size() == 4; }));
  int refused = 0;
  for (const Result<Bytes>& answer : answers) {
    if (answer.status().code() == Code::kUnsupported) {
      refused++;
      continue;
    }
    CHECK(answer.is_ok());
    Result<std::vector<CopyFinding>> findings = decode_findings(*answer);
    CHECK_EQUAL(1U, findings->size());
    STRCMP_EQUAL("ok", outcome(findings->front()).c_str());
  }
  CHECK_EQUAL(1, refused);
}

TEST(Verification, a_question_is_refused_until_the_log_is_replayed) {
  const std::string node_directory = directory.path() + "/dqlite-node";
  std::filesystem::create_directories(node_directory);
  auto databases = DatabaseSet::open(posix_files(), {directory.path(), node_directory});
  CHECK(databases.is_ok());
  FakeReplicator cluster(**databases);
  Status answered;
  bool is_answered = false;
  (*databases)->verifier().ask(encode_verify_question(), [&](const Result<Bytes>& answer) {
    answered = answer.status();
    is_answered = true;
  });
  (*databases)->stop_reading();
  CHECK(is_answered);
  CHECK(answered.code() == Code::kNoQuorum);
  STRCMP_CONTAINS("still reading its log", answered.sentence().c_str());
}

TEST(Verification, who_has_no_memory_for_an_answer_keeps_no_other_from_it) {
  TestNode node(directory.path());
  Sql sql(node);
  fill(sql, 5);
  std::mutex mutex;
  std::condition_variable changed;
  int answers = 0;
  const auto forget = [](const Result<Bytes>&) { throw std::bad_alloc(); };
  const auto take = [&](const Result<Bytes>& answer) {
    std::lock_guard lock(mutex);
    answers += answer.is_ok() ? 1 : 100;
    changed.notify_all();
  };
  const uint64_t hash = codec::page_hash(1, **node.database().newest_page(1));
  const Bytes page = encode_page_question({node.database().id(), 1, hash});
  for (const Bytes& question : {page, encode_verify_question()}) {
    node.databases().verifier().ask(question, forget);
    node.databases().verifier().ask(question, take);
  }
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(60), [&] { return answers >= 2; }));
  LONGS_EQUAL(2, answers);
}

// A sanitizer brings an operator new of its own, which never fails.
#if defined(DQLITE_THREAD_SANITIZER) || defined(DQLITE_ADDRESS_SANITIZER)
constexpr bool kNewCanFail = false;
#else
constexpr bool kNewCanFail = true;
#endif

TEST(Verification, a_checkpoint_that_has_no_memory_for_a_page_ends_the_reading_and_makes_no_difference) {
  bool has_failed = false;
  bool has_ended = false;
  for (int granted = 0; granted < 200; granted++) {
    TemporaryDirectory fresh;
    TestNode node(fresh.path());
    Sql sql(node);
    fill(sql, 3);
    node.checkpoint();
    bool is_through = false;
    StateScan scan(node.database(), [](uint32_t, ByteView, const Status& fault) { return fault; });
    CHECK(scan.begin().is_ok());
    sql.run("UPDATE t SET x = randomblob(3000)");
    const Status ended = scan.run([&] {
      if (std::exchange(is_through, true)) return Status::ok();
      fail_new_after(granted);
      try {
        (void)node.database().checkpoint(node.cluster().durable_index(),
                                         std::chrono::steady_clock::now() + std::chrono::seconds(30));
      } catch (const std::bad_alloc&) {
        // As on its own thread.
      }
      has_failed = new_has_failed();
      fail_new_after(-1);
      return Status::ok();
    });
    if (ended) {
      CHECK_EQUAL(scan.mark().checksum, scan.checksum());
    } else {
      CHECK(ended.code() == Code::kFull);
      has_ended = true;
    }
    if (!has_failed) break;
  }
  CHECK_FALSE(has_failed);
  CHECK(has_ended || !kNewCanFail);
}
