#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

using Commands = std::vector<std::string>;

TEST_GROUP(Node) {
  TestNode a, b, c;

  void found_two() {
    a.start();
    a.found();
    b.start();
    b.join(a);
  }
};

TEST(Node, a_new_node_belongs_to_no_cluster_and_proposes_nothing) {
  a.start();
  CHECK(a.node->standing() == Standing::kNew);
  CHECK(a.node->is_caught_up());
  const ProposalId id = a.propose("x");
  CHECK(a.machine->wait_event("dropped " + std::to_string(id)));
  FAILS_WITH(Code::kNoQuorum, "no cluster", a.machine->drop_reason(id));
  FAILS_WITH(Code::kNoQuorum, "no cluster", a.node->wait_leader(patience()));
}

TEST(Node, bootstrap_makes_a_leader_that_commits_alone) {
  a.start();
  a.found();
  a.write("x");
  CHECK(a.machine->commands() == Commands{"x"});
  LONGS_EQUAL(1, a.node->status().identity.node_id);
  CHECK(a.node->status().identity.cluster_id.is_set());
}

TEST(Node, leadership_is_gained_after_the_noop_and_before_any_command) {
  a.start();
  a.found();
  a.write("x");
  const std::vector<std::string> events = a.machine->events();
  STRCMP_EQUAL("gained 2", events.at(0).c_str());
  STRCMP_EQUAL("applied x", events.at(1).c_str());
}

TEST(Node, bootstrap_again_is_the_same_cluster) {
  a.start();
  a.found();
  const ClusterId first = a.node->status().identity.cluster_id;
  a.found();
  CHECK(a.node->status().identity.cluster_id == first);
}

TEST(Node, a_node_without_network_is_a_cluster_of_one) {
  a.options.listen.clear();
  a.start();
  a.found();
  a.write("x");
  FAILS_WITH(Code::kRefused, "listen=host:port", a.node->join("127.0.0.1:1", patience()));
}

TEST(Node, two_more_join_and_apply_everything) {
  a.start();
  a.found();
  a.write("x");
  b.start();
  b.join(a);
  CHECK(b.machine->commands() == Commands{"x"});  // what was committed before the join, when it returns
  c.start();
  c.join(a);
  a.write("y");
  CHECK(b.machine->wait_commands(2));
  CHECK(c.machine->wait_commands(2));
  CHECK(c.machine->commands() == (Commands{"x", "y"}));
  CHECK(eventually([this] { return a.voters() == 3; }));
  CHECK(a.node->status().identity.cluster_id == c.node->status().identity.cluster_id);
}

TEST(Node, a_join_sent_to_a_follower_is_sent_on_to_the_leader) {
  found_two();
  c.start();
  c.join(b);
  a.write("x");
  CHECK(c.machine->wait_commands(1));
}

TEST(Node, a_join_again_is_the_same_membership) {
  found_two();
  const NodeId id = b.node->status().identity.node_id;
  b.join(a);
  b.join(b);
  CHECK(b.node->status().identity.node_id == id);
  LONGS_EQUAL(2, a.node->status().members.size());
}

TEST(Node, a_proposal_on_a_follower_is_dropped_and_named_once) {
  found_two();
  const ProposalId id = b.propose("x");
  CHECK(b.machine->wait_event("dropped " + std::to_string(id)));
  CHECK(b.machine->drop_reason(id).code() == Code::kNotLeader);
  LONGS_EQUAL(1, b.machine->count_events("dropped"));
}

TEST(Node, every_proposal_of_a_leader_comes_back_once_and_in_order) {
  found_two();
  std::vector<ProposalId> ids;
  for (int i = 0; i < 500; i++) ids.push_back(a.propose("command " + std::to_string(i)));
  CHECK(a.machine->wait_event("own " + std::to_string(ids.back())));
  LONGS_EQUAL(500, a.machine->count_events("own "));
  LONGS_EQUAL(0, a.machine->count_events("dropped"));
  CHECK(b.machine->wait_commands(500));
  CHECK(a.machine->commands() == b.machine->commands());
  LONGS_EQUAL(0, b.machine->count_events("own "));
}

TEST(Node, A1_a_proposal_of_another_term_is_dropped) {
  a.start();
  a.found();
  const ProposalId id = a.propose("x", 1);
  CHECK(a.machine->wait_event("dropped " + std::to_string(id)));
  CHECK(a.machine->drop_reason(id).code() == Code::kNotCommitted);
}

TEST(Node, a_command_may_be_proposed_anywhere) {
  found_two();
  const std::string text = "x";
  const Result<Index> index =
      b.node->propose_anywhere(std::make_shared<const Bytes>(text.begin(), text.end()), patience());
  WORKS(index.status());
  WORKS(b.node->wait_applied(*index, patience()));
  CHECK(b.machine->commands() == Commands{"x"});
  WORKS(a.node->wait_applied(*index, patience()));
  LONGS_EQUAL(0, a.machine->count_events("own "));  // nobody's own
  LONGS_EQUAL(0, a.machine->count_events("dropped"));
}

TEST(Node, a_command_without_a_leader_waits_for_one_until_its_deadline) {
  found_two();
  a.kill();
  CHECK(eventually([this] { return b.node->standing() == Standing::kLeaderless; }));
  const std::string text = "x";
  const Result<Index> index = b.node->propose_anywhere(
      std::make_shared<const Bytes>(text.begin(), text.end()), Clock::now() + std::chrono::milliseconds(100));
  FAILS_WITH(Code::kNoQuorum, "could not be proposed", index.status());
}

TEST(Node, Q1_only_the_leader_confirms_its_leadership) {
  found_two();
  WORKS(a.node->confirm_leadership(a.node->status().term, patience()));
  FAILS_WITH(Code::kNotLeader, "", a.node->confirm_leadership(a.node->status().term + 1, patience()));
  FAILS_WITH(Code::kNotLeader, "", b.node->confirm_leadership(b.node->status().term, patience()));
}

TEST(Node, Q5_follower_read_index_forwarded) {
  found_two();
  for (int i = 0; i < 20; i++) {
    a.write(std::to_string(i));
    WORKS(b.node->read_barrier(patience()));
    LONGS_EQUAL(i + 1, b.machine->commands().size());
  }
  WORKS(a.node->read_barrier(patience()));
}

TEST(Node, Q5_a_read_survives_its_leader) {
  found_three(a, b, c);
  a.write("x");
  a.kill();
  WORKS(b.node->read_barrier(patience()));
  WORKS(c.node->read_barrier(patience()));
  LONGS_EQUAL(1, b.machine->commands().size());
  LONGS_EQUAL(1, c.machine->commands().size());
}

TEST(Node, Q5_a_read_without_a_majority_ends_at_its_deadline) {
  found_two();
  a.kill();
  const Status status = b.node->read_barrier(Clock::now() + std::chrono::milliseconds(100));
  FAILS_WITH(Code::kTimeout, "confirmed with a majority", status);
}

TEST(Node, Q5_a_node_without_a_cluster_has_nothing_to_wait_for_and_says_so) {
  a.start();
  FAILS_WITH(Code::kNoQuorum, "belongs to no cluster", a.node->read_barrier(patience()));
}

TEST(Node, a_leader_that_dies_is_replaced_and_nothing_is_lost) {
  found_three(a, b, c);
  a.write("x");
  CHECK(b.machine->wait_commands(1));
  CHECK(c.machine->wait_commands(1));
  a.kill();
  TestNode& next = leader_of({&b, &c});
  next.write("y");
  CHECK(next.machine->commands() == (Commands{"x", "y"}));
  a.start();
  CHECK(a.machine->wait_commands(2));
  CHECK(a.machine->commands() == (Commands{"x", "y"}));
}

TEST(Node, an_orderly_stop_hands_leadership_over) {
  found_three(a, b, c);
  const Term before = a.node->status().term;
  a.stop();
  TestNode& next = leader_of({&b, &c});
  // One campaign, asked for by the old leader: nobody waited for an election time-out.
  LONGS_EQUAL(before + 1, next.node->status().term);
}

TEST(Node, a_leader_that_loses_its_majority_steps_down_and_tells_the_state_machine) {
  found_two();
  give_vote(a, b);
  a.write("x");
  b.kill();
  CHECK(a.machine->wait_event("lost"));
  b.start();
  write_somewhere({&a, &b}, "y");
}

TEST(Node, a_stopped_node_tells_its_state_machine_and_refuses_everything) {
  a.start();
  a.found();
  a.node->stop(patience());
  CHECK(a.machine->wait_event("poisoned"));
  CHECK(a.node->standing() == Standing::kStopped);
  CHECK(!a.node->bootstrap(false, patience()));
  CHECK(!a.node->wait_applied(1000, patience()));
  CHECK(!a.node->confirm_leadership(0, patience()));
}

TEST(Node, B6_a_stop_never_waits_beyond_its_deadline) {
  a.start();
  a.found();
  a.machine->close_gate();
  a.propose("x");
  a.node->stop(Clock::now() + std::chrono::milliseconds(50));
  CHECK(a.node->standing() == Standing::kStopped || a.node->standing() == Standing::kLeader);
}

TEST(Node, a_failing_apply_poisons_the_node_and_says_why) {
  a.start();
  a.found();
  a.machine->fail_with({Code::kIo, "the disk is on fire"});
  a.propose("x");
  CHECK(a.machine->wait_event("poisoned"));
  CHECK(eventually([this] { return a.node->standing() == Standing::kPoisoned; }));
  STRCMP_CONTAINS("the disk is on fire", a.node->status().fault.c_str());
  FAILS_WITH(Code::kPoisoned, "the disk is on fire", a.node->wait_applied(1000, patience()));
}

TEST(Node, an_address_in_use_is_an_error_that_says_what_to_do) {
  a.start();
  b.options.listen = a.address();
  FAILS_WITH(Code::kBusy, "address already in use; choose another listen=", b.try_start());
}

TEST(Node, an_address_that_nobody_could_connect_to_is_refused) {
  a.options.listen = "0.0.0.0:0";
  FAILS_WITH(Code::kInvalid, "0.0.0.0:0", a.try_start());
  a.options.listen = "nonsense";
  FAILS_WITH(Code::kInvalid, "is not host:port", a.try_start());
}
