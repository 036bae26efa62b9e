// From frames to a settled transaction: who owns the turn when, and what the committing thread is told.

#include "vfs/committer.h"

#include <future>

#include "codec/command.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

namespace {

// Takes proposals and does nothing with them: the test is the applier.
class Desk : public Replicator {
 public:
  Standing standing() override { return Standing::kLeader; }
  Status bootstrap(bool, Deadline) override { return Status::ok(); }
  void propose(ReplicatedProposal proposal) override {
    std::lock_guard lock(mutex_);
    proposals_.push_back(std::move(proposal));
    changed_.notify_all();
  }
  Status confirm_leadership(uint64_t, Deadline) override { return Status::ok(); }
  Status read_barrier(Deadline) override { return Status::ok(); }
  uint64_t durable_index() override { return 0; }
  bool is_caught_up() override { return true; }
  Status wait_caught_up(Deadline) override { return Status::ok(); }
  Result<uint64_t> request_checkpoint(Deadline) override { return uint64_t{0}; }
  void checkpoint_done() override {}
  void copy_in_doubt(const std::string&) override {}
  void copy_differs(const Status&) override {}
  Result<Bytes> ask_others(const Bytes&, Deadline) override { return Status(Code::kNotFound, "nobody"); }
  std::string fault() override { return ""; }
  std::string leader_address() override { return ""; }

  ReplicatedProposal wait_for(size_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return proposals_.size() > number; });
    return proposals_[number];
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return proposals_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ReplicatedProposal> proposals_;
};

Deadline in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

}  // namespace

TEST_GROUP(Committer) {
  TemporaryDirectory directory;
  std::unique_ptr<TestNode> node;
  Desk desk;
  std::unique_ptr<Committer> committer;
  int connection = 0;  // a key

  void setup() override {
    node = std::make_unique<TestNode>(directory.path());
    Sql sql(*node);
    sql.run("CREATE TABLE t(x); INSERT INTO t VALUES('old')");
    committer = std::make_unique<Committer>(desk);
  }
  void teardown() override {
    node.reset();
  }

  // Page 2 with another byte, on the newest state.
  CommitPart part(uint8_t value, const std::string& name = "app.db") {
    Database& database = node->database(name);
    CommitPart part;
    part.database = &database;
    part.holder = &connection;
    part.base = database.committed();
    part.page_count = part.base.mark.page_count;
    Result<SharedPage> page = database.newest_page(2);
    if (!page) FAIL("no page 2");
    Bytes bytes = **page;
    bytes[100] = value;
    part.frames.push_back({2, std::make_shared<const Bytes>(std::move(bytes))});
    CHECK_TRUE(database.turn().take(&connection));
    return part;
  }
  std::future<Status> commit(uint8_t value, std::chrono::milliseconds time = std::chrono::seconds(60),
                             uint64_t term = 7, const std::string& name = "app.db") {
    std::vector<CommitPart> parts;
    parts.push_back(part(value, name));
    return std::async(std::launch::async, [this, time, term, moved = std::move(parts)]() mutable {
      return committer->commit(std::move(moved), term, in(time)).status();
    });
  }
  // Of a part or of an abort.
  uint64_t set_of(const ReplicatedProposal& proposal) {
    Result<codec::Command> command = codec::decode(*proposal.payload);
    if (!command) FAIL("no command");
    if (const auto* part = std::get_if<codec::TransactionPart>(&*command)) return part->set;
    const auto* abort = std::get_if<codec::TransactionAbort>(&*command);
    return abort == nullptr ? 0 : abort->set;
  }
  uint8_t published() {
    Result<SharedPage> page = node->database().newest_page(2);
    return page ? (**page)[100] : uint8_t{0};
  }
  bool turn_is_free() {
    bool free = node->database().turn().take(this);
    node->database().turn().release(this);
    return free;
  }
};

TEST(Committer, a_settled_proposal_is_published_and_its_turn_free_before_commit_returns) {
  std::future<Status> status = commit(5);
  ReplicatedProposal proposal = desk.wait_for(0);
  CHECK_EQUAL(7U, proposal.term);
  CHECK_EQUAL(1U, proposal.bases.size());
  CHECK_EQUAL(node->database().committed().mark.index, proposal.bases[0].index);
  CHECK_FALSE(node->database().turn().holds(&connection));
  CHECK_FALSE(turn_is_free());
  Result<bool> settled = committer->settle(proposal.id, 50, 7);
  CHECK_TRUE(settled.is_ok() && *settled);
  CHECK_TRUE(turn_is_free());
  CHECK_TRUE(status.get().is_ok());
  CHECK_EQUAL(5, published());
  CHECK_EQUAL(50U, node->database().committed().mark.index);
}

TEST(Committer, B14_the_proposal_names_what_each_database_stands_on_in_order) {
  Sql second(*node, "second.db");
  second.run("CREATE TABLE t(x)");
  Database& other = node->database("second.db");
  std::vector<CommitPart> parts;
  parts.push_back(part(1));
  CommitPart of_other;
  of_other.database = &other;
  of_other.holder = &connection;
  of_other.base = other.committed();
  of_other.page_count = of_other.base.mark.page_count;
  Bytes bytes = **other.newest_page(2);
  bytes[100] = 9;
  of_other.frames.push_back({2, std::make_shared<const Bytes>(std::move(bytes))});
  CHECK_TRUE(other.turn().take(&connection));
  parts.insert(parts.begin(), std::move(of_other));
  auto result = std::async(std::launch::async, [this, moved = std::move(parts)]() mutable {
    return committer->commit(std::move(moved), 7, in(std::chrono::seconds(60))).status();
  });
  ReplicatedProposal proposal = desk.wait_for(0);
  CHECK_EQUAL(2U, proposal.bases.size());
  CHECK(proposal.bases[0].database < proposal.bases[1].database);
  Result<codec::Command> command = codec::decode(*proposal.payload);
  CHECK_TRUE(command.is_ok());
  CHECK_EQUAL(2U, std::get<codec::Transaction>(*command).changes.size());
  CHECK_TRUE(committer->settle(proposal.id, 60, 7).is_ok());
  CHECK_TRUE(result.get().is_ok());
  CHECK_EQUAL(60U, other.committed().mark.index);
  CHECK_EQUAL(60U, node->database().committed().mark.index);
}

TEST(Committer, a_dropped_proposal_is_certainly_not_committed) {
  std::future<Status> status = commit(5);
  ReplicatedProposal proposal = desk.wait_for(0);
  committer->drop(proposal.id, {Code::kNotLeader, "overwritten"});
  CHECK_TRUE(turn_is_free());
  Status told = status.get();
  CHECK_TRUE(told.code() == Code::kNotCommitted);
  STRCMP_CONTAINS("overwritten", told.sentence().c_str());
  CHECK_FALSE(*committer->settle(proposal.id, 50, 7));  // nobody's any more
}

TEST(Committer, A7_a_proposal_whose_fate_a_snapshot_hides_is_unknown_and_not_called_uncommitted) {
  std::future<Status> status = commit(5);
  ReplicatedProposal proposal = desk.wait_for(0);
  committer->drop(proposal.id, {Code::kUnknown, "a snapshot replaced the state"});
  CHECK_TRUE(turn_is_free());
  Status told = status.get();
  CHECK_TRUE(told.code() == Code::kUnknown);
  STRCMP_CONTAINS("a snapshot replaced the state", told.sentence().c_str());
  CHECK_FALSE(*committer->settle(proposal.id, 50, 7));  // nobody's any more
}

TEST(Committer, a_time_out_is_unknown_and_the_turn_stays_until_the_outcome_is_known) {
  std::future<Status> status = commit(5, std::chrono::milliseconds(1));
  CHECK_TRUE(status.get().code() == Code::kUnknown);
  CHECK_FALSE(turn_is_free());
  CHECK_TRUE(*committer->settle(desk.wait_for(0).id, 50, 7));
  CHECK_TRUE(turn_is_free());
  CHECK_EQUAL(5, published());
}

TEST(Committer, A7_a_waiter_goes_on_waiting_until_its_entry_is_overwritten_or_committed) {
  std::future<Status> status = commit(5);
  ReplicatedProposal proposal = desk.wait_for(0);
  node->cluster().lose_leadership(true);
  CHECK_TRUE(status.wait_for(std::chrono::milliseconds(0)) == std::future_status::timeout);
  CHECK_TRUE(*committer->settle(proposal.id, 50, 7));
  CHECK_TRUE(status.get().is_ok());
}

TEST(Committer, a_node_that_stops_leaves_outcomes_unknown_and_no_turn_taken) {
  std::future<Status> status = commit(5);
  desk.wait_for(0);
  committer->drop_all({Code::kPoisoned, "the disk failed"});
  Status told = status.get();
  CHECK_TRUE(told.code() == Code::kUnknown);
  STRCMP_CONTAINS("the disk failed", told.sentence().c_str());
  CHECK_TRUE(turn_is_free());
}

TEST(Committer, A1_frames_are_not_published_over_another_entry_than_they_stand_on) {
  std::future<Status> status = commit(5);
  ReplicatedProposal proposal = desk.wait_for(0);
  CommittedView now = node->database().committed();
  CommitMark foreign = now.mark;
  foreign.index += 1;
  node->database().publish({}, foreign);
  Result<bool> settled = committer->settle(proposal.id, 50, 7);
  CHECK_FALSE(settled.is_ok());
  CHECK_TRUE(settled.status().code() == Code::kCorrupt);
  CHECK_FALSE(published() == 5);
  committer->drop_all(settled.status());
  CHECK_TRUE(status.get().code() == Code::kUnknown);
}

TEST(Committer, A1_a_database_of_another_page_size_is_refused_before_the_proposal) {
  CommitPart wrong = part(5);
  wrong.frames[0] = {2, std::make_shared<const Bytes>(Bytes(512))};
  std::vector<CommitPart> parts;
  parts.push_back(std::move(wrong));
  Status status = committer->commit(std::move(parts), 7, in(std::chrono::seconds(60))).status();
  CHECK_TRUE(status.code() == Code::kNotCommitted);
  CHECK_TRUE(turn_is_free());
}

TEST(Committer, an_unknown_proposal_is_somebody_elses) {
  CHECK_FALSE(*committer->settle(Committer::next_proposal_id(), 50, 7));
  committer->drop(Committer::next_proposal_id(), {Code::kNotLeader, ""});
  committer->settled_elsewhere(Committer::next_proposal_id());
}

TEST(Committer, A3_a_set_of_an_older_term_that_is_given_up_late_takes_no_newer_one_with_it) {
  Sql second(*node, "second.db");
  second.run("CREATE TABLE t(x)");
  committer = std::make_unique<Committer>(desk, TransactionLimits{.part_bytes = 1, .parts_in_flight = 1});
  const Status refused(Code::kBusy, "a test");
  std::future<Status> older = commit(1, std::chrono::seconds(60), 5);
  const ReplicatedProposal older_part = desk.wait_for(0);
  std::future<Status> newer = commit(2, std::chrono::seconds(60), 7, "second.db");
  const ReplicatedProposal newer_part = desk.wait_for(1);
  committer->drop(newer_part.id, refused);
  CHECK_FALSE(newer.get().is_ok());
  CHECK_EQUAL(set_of(newer_part), set_of(desk.wait_for(2)));
  committer->drop(desk.wait_for(2).id, refused);
  committer->drop(older_part.id, refused);
  CHECK_FALSE(older.get().is_ok());
  for (size_t i = 3; i < desk.count(); i++) committer->drop(desk.wait_for(i).id, refused);
  const size_t before = desk.count();
  committer->retry_aborts(7);
  CHECK_EQUAL(before + 1, desk.count());
  CHECK_EQUAL(set_of(newer_part), set_of(desk.wait_for(before)));
}
