// The one ordered queue into the state machine, without a node around it [A1 iv].
#include "raft/node/applier.h"

#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

using Events = std::vector<std::string>;

TEST_GROUP(Applier) {
  Checkpoint file;
  FakeMachine machine{file};
  Published published;
  std::mutex mutex;
  std::vector<std::pair<uint64_t, Result<Index>>> decided;
  Status failure;
  Applier applier{std::make_unique<ThreadLane>(),
                  machine,
                  published,
                  {[] {},
                   [this](const Status& reason) {
                     std::lock_guard lock(mutex);
                     failure = reason;
                   },
                   [this](uint64_t ticket, const Result<Index>& outcome) {
                     std::lock_guard lock(mutex);
                     decided.emplace_back(ticket, outcome);
                   }}};

  void setup() override {
    WORKS(applier.start());
    applier.begin(nullptr, 0);
  }
  // Everything put so far was handled.
  void settle() {
    applier.close();
    CHECK(applier.wait_ended(patience()));
  }
  static Entry command(Index index, Term term, const std::string& text) {
    return {index, term, EntryKind::kCommand, std::make_shared<const Bytes>(text.begin(), text.end())};
  }
  static Entry noop(Index index, Term term) {
    return {index, term, EntryKind::kNoop, nullptr};
  }
  static LeadershipEvent gained(Term term, Index at) {
    return {true, term, at};
  }
  static LeadershipEvent lost() {
    return {false, 0, 0};
  }
};

TEST(Applier, leadership_is_gained_right_behind_its_noop) {
  applier.change_leadership(gained(3, 2));
  applier.apply({command(1, 1, "old")});
  applier.apply({noop(2, 3), command(3, 3, "new")});
  settle();
  CHECK(machine.events() == (Events{"applied old", "gained 3", "applied new"}));
}

TEST(Applier, leadership_lost_before_its_noop_was_never_gained) {
  applier.change_leadership(gained(3, 2));
  applier.apply({command(1, 1, "old")});
  applier.change_leadership(lost());
  applier.apply({noop(2, 4)});
  settle();
  CHECK(machine.events() == (Events{"applied old"}));
}

TEST(Applier, A1_the_loss_comes_before_what_the_next_leader_commits) {
  applier.change_leadership(gained(1, 1));
  applier.apply({noop(1, 1)});
  applier.appended({2, 1}, {7, 0});
  applier.change_leadership(lost());
  applier.truncated(2);
  applier.apply({command(2, 2, "theirs")});
  settle();
  CHECK(machine.events() == (Events{"gained 1", "lost", "dropped 7", "applied theirs"}));
  CHECK(machine.drop_reason(7).code() == Code::kNotCommitted);
}

TEST(Applier, A1_an_entry_is_own_by_index_and_term_whoever_leads) {
  applier.appended({1, 1}, {7, 0});
  applier.appended({2, 1}, {8, 0});
  applier.change_leadership(lost());
  applier.apply({command(1, 1, "mine"), command(2, 2, "theirs")});
  settle();
  CHECK(machine.events() == (Events{"applied mine", "own 7", "dropped 8", "applied theirs"}));
}

TEST(Applier, refused_proposals_are_dropped_in_their_place) {
  applier.appended({1, 1}, {7, 0});
  applier.dropped({8, 0}, {Code::kBusy, "not now"});
  applier.apply({command(1, 1, "x")});
  settle();
  CHECK(machine.events() == (Events{"dropped 8", "applied x", "own 7"}));
  CHECK(machine.drop_reason(8).code() == Code::kBusy);
}

TEST(Applier, what_was_overwritten_is_dropped_when_an_entry_of_a_later_term_is_committed) {
  for (Index index = 1; index <= 4; index++) applier.appended({index, 1}, {index, 0});
  applier.truncated(3);
  applier.apply({command(1, 1, "x"), command(2, 1, "y")});
  applier.apply({noop(3, 2)});  // entry 4 cannot come behind it any more
  settle();
  CHECK(machine.events() == (Events{"applied x", "own 1", "applied y", "own 2", "dropped 3", "dropped 4"}));
  CHECK(machine.drop_reason(4).code() == Code::kNotCommitted);
}

// Entry 2 of term 1 is on two of five disks. The leader of term 2, which nobody else hears, overwrites it on one of
// them; the other leads term 3 and brings it back.
TEST(Applier, R2_an_entry_that_was_overwritten_and_comes_back_is_own) {
  applier.appended({1, 1}, {7, 0});
  applier.appended({2, 1}, {8, 0});
  applier.appended({3, 1}, {9, 0});
  applier.truncated(2);
  applier.truncated(2);
  applier.apply({command(1, 1, "x"), command(2, 1, "y"), noop(3, 3)});
  settle();
  CHECK(machine.events() == (Events{"applied x", "own 7", "applied y", "own 8", "dropped 9"}));
}

TEST(Applier, an_entry_in_the_place_of_one_that_was_overwritten_has_its_own_fate) {
  applier.appended({1, 1}, {7, 0});
  applier.truncated(1);
  applier.appended({1, 3}, {8, 0});
  applier.apply({command(1, 3, "x")});
  settle();
  CHECK(machine.events() == (Events{"dropped 7", "applied x", "own 8"}));
}

TEST(Applier, a_ticket_is_the_nodes_own_business) {
  applier.appended({1, 1}, {0, 5});
  applier.dropped({0, 6}, {Code::kBusy, "not now"});
  applier.apply({command(1, 1, "x")});
  settle();
  CHECK(machine.events() == (Events{"applied x"}));
  LONGS_EQUAL(2, decided.size());
  LONGS_EQUAL(6, decided[0].first);
  CHECK(decided[0].second.status().code() == Code::kBusy);
  LONGS_EQUAL(5, decided[1].first);
  LONGS_EQUAL(1, *decided[1].second);
}

TEST(Applier, a_snapshot_leaves_the_fate_of_what_it_covers_unknown) {
  Checkpoint state{{10, 2}, {"a", "b"}};
  Result<std::unique_ptr<SnapshotSink>> sink = machine.begin_install(state.last, 0);
  WORKS((*sink)->write(0, encode(state)));
  applier.appended({1, 1}, {7, 0});
  Status installed(Code::kUnknown, "never called");
  applier.install(std::move(*sink), state.last, [&](const Status& status) { installed = status; });
  applier.apply({command(11, 2, "c")});
  settle();
  WORKS(installed);
  CHECK(machine.events() == (Events{"installed", "dropped 7", "applied c"}));
  CHECK(machine.drop_reason(7).code() == Code::kUnknown);
  LONGS_EQUAL(11, published.applied.load());
}

TEST(Applier, a_gap_is_refused_before_it_is_applied) {
  applier.apply({command(1, 1, "x"), command(3, 1, "z")});
  applier.apply({command(2, 1, "y")});
  settle();
  CHECK(machine.events() == (Events{"applied x"}));
  // Before the state machine sees it, which has eyes of its own here.
  FAILS_WITH(Code::kCorrupt, "entry 3 was to be applied behind entry 1", failure);
}

TEST(Applier, nothing_is_applied_or_answered_after_the_poison) {
  applier.close();
  CHECK(applier.wait_ended(patience()));
  Checkpoint empty;
  FakeMachine other(empty);
  Published fresh;
  Applier second(std::make_unique<ThreadLane>(), other, fresh,
                 {[] {}, [](const Status&) {}, [](uint64_t, const Result<Index>&) {}});
  second.begin(nullptr, 0);
  second.apply({command(1, 1, "x")});
  second.appended({2, 1}, {7, 0});
  second.poison({Code::kPoisoned, "broken"});
  second.dropped({8, 0}, {Code::kBusy, "late"});
  WORKS(second.start());
  second.close();
  CHECK(second.wait_ended(patience()));
  CHECK(other.events() == (Events{"poisoned"}));
}

TEST(Applier, an_exception_wakes_the_waiters_of_the_state_machine_and_tells_the_node) {
  machine.fail_by_exception();
  applier.appended({1, 1}, {7, 0});
  applier.apply({command(1, 1, "x")});
  settle();
  CHECK(machine.events() == (Events{"poisoned"}));
  CHECK(failure.code() == Code::kIo);
}
