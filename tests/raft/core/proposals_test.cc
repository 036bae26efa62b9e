// Compare and append: what a proposal's content stands on is what it is appended to [A1].
#include <CppUTest/TestHarness.h>

#include "tests/raft/core/cluster.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kStream = 3;

struct Pipeline {
  explicit Pipeline(int voters) : cluster(voters) { cluster.elect(1); }

  Status propose(EntryId base, Term term = 0, uint64_t stream = kStream) {
    return cluster.try_propose(1, {.id = next_id++,
                                   .term = term == 0 ? cluster.core(1).term() : term,
                                   .bases = {{stream, base}},
                                   .payload = command("change")});
  }
  EntryId entry() { return cluster.member(1).proposals.front().entry; }

  Cluster cluster;
  uint64_t next_id = 1;
};

}  // namespace

TEST_GROUP(Proposals){};

TEST(Proposals, a_follower_refuses_and_names_the_leader) {
  Cluster cluster(3);
  cluster.elect(2);
  cluster.tick_all(3);
  const Status refused = cluster.try_propose(1, {.id = 9, .payload = command("a")});
  CHECK(refused.code() == Code::kNotLeader);
  CHECK(refused.sentence().find("member 2") != std::string::npos);
  CHECK_EQUAL(9, cluster.member(1).proposals.front().id);
}

TEST(Proposals, a_content_that_depends_on_nothing_is_accepted_in_any_term) {
  Cluster cluster(1);
  cluster.elect(1);
  CHECK(cluster.try_propose(1, {.id = 1, .payload = command("a")}).is_ok());
  CHECK_EQUAL(2, cluster.member(1).proposals.front().entry.index);
}

TEST(Proposals, A1_each_entry_of_a_stream_stands_on_the_one_before) {
  Pipeline p(1);
  p.cluster.settle();
  CHECK(p.propose({0, 0}).is_ok());
  const EntryId first = p.entry();
  CHECK(p.propose(first).is_ok());
  const EntryId second = p.entry();
  CHECK(p.propose(first).code() == Code::kNotCommitted);  // overtaken
  CHECK(p.propose(second).is_ok());
  // Another stream has its own newest entry.
  CHECK(p.propose(second, 0, kStream + 1).code() == Code::kNotCommitted);
  CHECK(p.propose({0, 0}, 0, kStream + 1).is_ok());
}

TEST(Proposals, A1_i_reelected_with_uncommitted_entries_a_proposal_of_the_old_term_is_refused) {
  Cluster cluster(3);
  cluster.elect(1);
  cluster.tick_all(3);
  const Term old_term = cluster.core(1).term();
  const EntryId committed = cluster.propose(1, "10");
  cluster.settle();
  // 11 … 15 of the first term are only in its own log.
  cluster.isolate(1);
  EntryId newest = committed;
  for (int i = 0; i < 5; i++) {
    CHECK(cluster
              .try_propose(1, {.id = 1,
                               .term = old_term,
                               .bases = {{kStream, i == 0 ? EntryId{} : newest}},
                               .payload = command("speculative")})
              .is_ok());
    newest = cluster.member(1).proposals.front().entry;
  }
  cluster.tick_silently(1, 45);
  CHECK(cluster.core(1).role() != Role::kLeader);
  cluster.heal();
  cluster.drop_all();
  cluster.elect(1);
  const Term new_term = cluster.core(1).term();
  CHECK(new_term > old_term);
  // The writer computed on the committed state of the first term: whatever it names, it is refused.
  for (EntryId base : {EntryId{}, committed, newest}) {
    const Status refused = cluster.try_propose(
        1, {.id = 2, .term = old_term, .bases = {{kStream, base}}, .payload = command("late")});
    CHECK(refused.code() == Code::kNotCommitted);
  }
  // What is computed on the state after the no-op stands on the last of them.
  CHECK(
      cluster
          .try_propose(1, {.id = 3, .term = new_term, .bases = {{kStream, newest}}, .payload = command("b")})
          .is_ok());
}

TEST(Proposals, A1_ii_after_one_refusal_everything_built_on_it_is_refused) {
  Cluster cluster(3);
  cluster.set_options([](CoreOptions& options) { options.max_uncommitted_bytes = 250; });
  cluster.elect(1);
  cluster.isolate(1);
  const Term term = cluster.core(1).term();
  const SharedBytes large = command(std::string(100, 'x'));
  auto propose = [&](EntryId base) {
    return cluster.try_propose(1, {.id = 1, .term = term, .bases = {{kStream, base}}, .payload = large});
  };
  CHECK(propose({}).is_ok());
  const EntryId e11 = cluster.member(1).proposals.front().entry;
  CHECK(propose(e11).is_ok());
  const EntryId e12 = cluster.member(1).proposals.front().entry;
  CHECK(propose(e12).code() == Code::kBusy);  // 13: over the limit
  cluster.heal();
  cluster.tick_all(3);  // the limit clears
  const EntryId e13_that_never_was{e12.index + 1, term};
  CHECK(propose(e13_that_never_was).code() == Code::kNotCommitted);
  // Not even if another entry has taken that very place.
  CHECK_EQUAL(e13_that_never_was.index, cluster.propose(1, "unrelated").index);
  CHECK(propose(e13_that_never_was).code() == Code::kNotCommitted);
  cluster.settle();
  CHECK(propose(e12).is_ok());  // computed again on what there is
}

TEST(Proposals, A1_ii_the_same_for_the_first_entry_of_a_stream_in_the_term) {
  Pipeline p(1);
  p.cluster.settle();
  p.cluster.propose(1, "unrelated");
  const EntryId unrelated = p.entry();
  CHECK(p.propose(unrelated).code() == Code::kNotCommitted);
}

TEST(Proposals, A1_iii_a_proposal_of_another_term_is_refused_whatever_its_base) {
  Pipeline p(1);
  CHECK(p.propose({0, 0}, p.cluster.core(1).term() + 1).code() == Code::kNotCommitted);
  CHECK(p.propose({0, 0}, p.cluster.core(1).term() - 1 == 0 ? 99 : p.cluster.core(1).term() - 1).code() ==
        Code::kNotCommitted);
}

TEST(Proposals, A1_a_base_that_the_log_does_not_hold_is_refused) {
  Cluster cluster(1);
  cluster.set_log(1, {1, 1, 1}, 1);
  cluster.elect(1);
  const Term term = cluster.core(1).term();
  auto propose = [&](EntryId base) {
    return cluster.try_propose(1,
                               {.id = 1, .term = term, .bases = {{kStream, base}}, .payload = command("a")});
  };
  CHECK(propose({2, 7}).code() == Code::kNotCommitted);
  CHECK(propose({4, term}).code() == Code::kNotCommitted);  // the no-op
  CHECK(propose({2, 1}).is_ok());
}

TEST(Proposals, A1_a_stream_may_begin_on_the_entry_that_created_it_in_this_very_term) {
  Pipeline p(1);
  p.cluster.settle();
  const EntryId created = p.cluster.propose(1, "create");
  CHECK(p.propose(created, 0, created.index).is_ok());
  CHECK(p.propose(created, 0, created.index).code() == Code::kNotCommitted);
}

TEST(Proposals, A1_a_base_below_the_log_start_is_taken_from_the_applied_state) {
  Cluster cluster(1);
  cluster.set_log(1, {1, 1, 1, 1}, 1, 4);
  cluster.settle();
  cluster.compact(cluster.member(1), 0);
  cluster.elect(1);
  CHECK(cluster
            .try_propose(1, {.id = 1,
                             .term = cluster.core(1).term(),
                             .bases = {{kStream, {2, 1}}},
                             .payload = command("a")})
            .is_ok());
}

TEST(Proposals, B14_a_proposal_over_several_streams_moves_all_or_none) {
  Pipeline p(1);
  p.cluster.settle();
  CHECK(p.propose({0, 0}, 0, 1001).is_ok());
  const EntryId one = p.entry();
  const Term term = p.cluster.core(1).term();
  const std::vector<Base> wrong = {{1001, one}, {1002, one}};
  CHECK(p.cluster.try_propose(1, {.id = 1, .term = term, .bases = wrong, .payload = command("a")}).code() ==
        Code::kNotCommitted);
  const std::vector<Base> right = {{1001, one}, {1002, {}}};
  CHECK(p.cluster.try_propose(1, {.id = 1, .term = term, .bases = right, .payload = command("a")}).is_ok());
  const EntryId both = p.entry();
  CHECK(p.propose(both, 0, 1002).is_ok());
  CHECK(p.propose(both, 0, 1001).is_ok());
}

TEST(Proposals, leadership_is_told_with_its_noop_and_its_loss_with_the_term_that_was_led) {
  Cluster cluster(3);
  cluster.elect(1);
  const auto& events = cluster.member(1).leadership;
  CHECK_EQUAL(1, events.size());
  CHECK(events[0].gained);
  CHECK_EQUAL(1, events[0].noop);
  const Term led = events[0].term;
  cluster.isolate(1);
  cluster.tick_silently(1, 45);
  CHECK_EQUAL(2, events.size());
  CHECK_FALSE(events[1].gained);
  CHECK_EQUAL(led, events[1].term);
}

}  // namespace dqlite::raft
