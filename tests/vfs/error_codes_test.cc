// The codes that applications see, and the sentences that go with them.

#include "vfs/error_codes.h"

#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(ErrorCodes) {
  TemporaryDirectory directory;

  void setup() override {
    TestProvider::instance();
  }
};

TEST(ErrorCodes, the_numbers_are_fixed) {
  CHECK_EQUAL(8 | 40 << 8, kNotLeader);
  CHECK_EQUAL(5 | 40 << 8, kNoQuorum);
  CHECK_EQUAL(10 | 41 << 8, kLeadershipLost);
  CHECK_EQUAL(10 | 42 << 8, kNotCommitted);
  CHECK_EQUAL(10 | 43 << 8, kNodeFailed);
  CHECK_EQUAL(10 | 44 << 8, kSnapshotLost);
  CHECK_EQUAL(10 | 45 << 8, kReadUnconfirmed);
}

TEST(ErrorCodes, a_sentence_belongs_to_its_connection_and_else_to_the_process) {
  TestNode node(directory.path());
  Sql one(node);
  Sql two(node);
  report_error(nullptr, SQLITE_CANTOPEN, "of the process");
  report_error(one.handle(), kNotLeader, "of the first");
  STRCMP_EQUAL("of the first", last_error(one.handle()).c_str());
  STRCMP_EQUAL("of the process", last_error(two.handle()).c_str());
  report_error(one.handle(), kNotLeader, "newer");
  STRCMP_EQUAL("newer", last_error(one.handle()).c_str());
  forget_errors(one.handle());
  STRCMP_EQUAL("of the process", last_error(one.handle()).c_str());
}

TEST(ErrorCodes, an_open_that_failed_later_is_the_newest_failure_of_every_connection) {
  TestNode node(directory.path());
  Sql one(node);
  report_error(one.handle(), kNotLeader, "older");
  report_error(nullptr, SQLITE_CANTOPEN, "of an ATTACH");
  STRCMP_EQUAL("of an ATTACH", last_error(one.handle()).c_str());
  report_error(one.handle(), kNotLeader, "newest");
  STRCMP_EQUAL("newest", last_error(one.handle()).c_str());
}

TEST(ErrorCodes, V_D12_lines_of_the_nodes_threads_wait_for_an_application_thread) {
  flush_log();
  std::thread([] {
    for (int i = 0; i < 1000; i++) queue_log("line " + std::to_string(i));  // bounded
  }).join();
  flush_log();
  flush_log();
}
