// read=linearizable: the barrier where a transaction begins.
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(LinearizableRead) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
    Sql sql(*node);
    sql.run("CREATE TABLE t(x)");
    sql.run("INSERT INTO t VALUES(1)");
  }
  void teardown() override {
    node.reset();
  }
  size_t barriers_of(Sql & sql, const std::string& statement) {
    const size_t before = node->cluster().barriers();
    sql.run(statement);
    return node->cluster().barriers() - before;
  }
};

TEST(LinearizableRead, a_transaction_sees_what_is_committed_while_its_barrier_waits) {
  Sql reader(*node, "app.db", "&read=linearizable");
  Sql writer(*node);
  STRCMP_EQUAL("1", reader.value("SELECT count(*) FROM t").c_str());
  for (const char* expected : {"2", "3", "4"}) {
    node->cluster().at_barrier([&] {
      writer.run("INSERT INTO t VALUES(2)");
      return Status::ok();
    });
    STRCMP_EQUAL(expected, reader.value("SELECT count(*) FROM t").c_str());
  }
}

TEST(LinearizableRead, each_transaction_takes_one_barrier_whether_the_database_changed_or_not) {
  Sql reader(*node, "app.db", "&read=linearizable");
  Sql writer(*node);
  reader.run("SELECT * FROM t");
  LONGS_EQUAL(1, barriers_of(reader, "SELECT * FROM t"));
  writer.run("INSERT INTO t VALUES(2)");
  LONGS_EQUAL(1, barriers_of(reader, "SELECT * FROM t"));
  LONGS_EQUAL(1, barriers_of(reader, "BEGIN; SELECT * FROM t; SELECT count(*) FROM t; COMMIT"));
  LONGS_EQUAL(1, barriers_of(reader, "INSERT INTO t VALUES(3)"));
  LONGS_EQUAL(0, barriers_of(writer, "SELECT * FROM t"));
}

TEST(LinearizableRead, one_that_nobody_confirms_fails_and_the_connection_goes_on) {
  Sql reader(*node, "app.db", "&read=linearizable");
  reader.busy_timeout(60000);  // its handler is not asked, or this would take a minute
  reader.run("SELECT * FROM t");
  node->cluster().at_barrier([] { return Status(Code::kNoQuorum, "nobody leads"); });
  LONGS_EQUAL(kReadUnconfirmed, reader.attempt("SELECT * FROM t"));
  STRCMP_EQUAL("read=linearizable: nobody leads", reader.sentence().c_str());
  LONGS_EQUAL(1, barriers_of(reader, "SELECT * FROM t"));
}

TEST(LinearizableRead, a_new_node_has_nothing_to_ask_about) {
  TemporaryDirectory other;
  TestNode fresh(other.path());
  fresh.cluster().set_standing(Standing::kNew);
  Sql reader(fresh, "app.db", "&read=linearizable");
  STRCMP_EQUAL("0", reader.value("SELECT count(*) FROM sqlite_schema").c_str());
  LONGS_EQUAL(0, fresh.cluster().barriers());
}

TEST(LinearizableRead, other_words_are_refused) {
  Sql reader("file:" + node->directory() + "/app.db?vfs=dqlite&read=newest");
  LONGS_EQUAL(SQLITE_CANTOPEN, reader.open_result());
  STRCMP_EQUAL("read=newest in the URI: expected local or linearizable", last_error(nullptr).c_str());
  Sql local(*node, "app.db", "&read=local");
  LONGS_EQUAL(0, barriers_of(local, "SELECT * FROM t"));
}
