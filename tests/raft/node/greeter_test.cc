// Who may talk to a member [B7, M11, M12, M13].
#include "raft/node/greeter.h"

#include "raft/node/completion.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(Greeter) {
  TemporaryDirectory directory;
  std::unique_ptr<IdentityFile> file;
  Worker reader{std::make_unique<ThreadLane>()};
  std::unique_ptr<Greeter> greeter;

  void setup() override {
    WORKS(reader.start("reader", [](const Status&) {}));
    begin_life();
  }
  void teardown() override {
    reader.close();
    CHECK(reader.wait_ended(patience()));
  }
  // This node, member 1 of cluster 5, started anew.
  void begin_life() {
    greeter.reset();
    file.reset();
    Result<std::unique_ptr<IdentityFile>> opened = IdentityFile::open(posix_disk(), directory.path() + "/n");
    WORKS(opened.status());
    file = std::move(*opened);
    greeter = std::make_unique<Greeter>(*file, reader);
    Identity identity = file->identity();
    identity.node_id = 1;
    identity.cluster_id = {5, 5};
    greeter->set_identity(identity, "here:1");
    Configuration configuration;
    configuration.members = {{1, identity.instance, "here:1", MemberRole::kVoter, false},
                             {2, 22, "there:2", MemberRole::kVoter, false}};
    greeter->set_configuration(configuration);
  }
  static Member member_2() {
    return {2, 22, "there:2", MemberRole::kVoter, false};
  }
  static net::Hello of_member_2(uint64_t counter = 1, uint64_t nonce = 1) {
    net::Hello hello;
    hello.cluster_id = {5, 5};
    hello.node_id = 2;
    hello.expected_id = 1;
    hello.instance = 22;
    hello.boot_counter = counter;
    hello.boot_nonce = nonce;
    hello.address = "there:2";
    return hello;
  }
  // What was learned is on disk.
  void settle() {
    auto done = std::make_shared<Completion<Status>>();
    reader.post([done] { done->complete(Status::ok()); });
    CHECK(done->wait(patience()).has_value());
  }
};

TEST(Greeter, a_member_is_welcome_and_its_address_remembered) {
  net::Hello hello = of_member_2();
  hello.address = "moved:3";
  WORKS(greeter->judge_greeting(hello));
  STRCMP_EQUAL("moved:3", greeter->heard_address(member_2())->c_str());
}

TEST(Greeter, C2_a_member_of_a_cluster_that_was_left_by_force_is_told_so) {
  Identity identity = file->identity();
  identity.node_id = 1;
  identity.cluster_id = {6, 6};
  identity.former_clusters = {{5, 5}};
  greeter->set_identity(identity, "here:1");
  FAILS_WITH(Code::kRefused, "was made a new cluster of its own by dqlite_recover('force')",
             greeter->judge_greeting(of_member_2()));
  FAILS_WITH(Code::kRefused, "empty its directory, and let it join here:1",
             greeter->judge_greeting(of_member_2()));
}

TEST(Greeter, C3_what_another_member_heard_of_where_a_member_is_now_is_believed) {
  CHECK_FALSE(greeter->heard_address(member_2()).has_value());
  WORKS(greeter->learn({{{22, 7, 9, false, "moved:3"}}}, false));
  STRCMP_EQUAL("moved:3", greeter->heard_address(member_2())->c_str());
  CHECK(greeter->take_news());
  STRCMP_EQUAL("moved:3", greeter->report().starts[1].address.c_str());
  // Of an earlier start, it is old; of the next, nobody has said it yet.
  WORKS(greeter->learn({{{22, 6, 8, false, "there:2"}}}, false));
  STRCMP_EQUAL("moved:3", greeter->heard_address(member_2())->c_str());
  WORKS(greeter->learn({{{22, 8, 10, false}}}, false));
  CHECK_FALSE(greeter->heard_address(member_2()).has_value());
  WORKS(greeter->learn({{{22, 8, 10, false, "again:4"}}}, false));
  STRCMP_EQUAL("again:4", greeter->heard_address(member_2())->c_str());
}

TEST(Greeter, one_who_is_not_in_the_configuration_yet_is_welcome) {
  net::Hello hello = of_member_2();
  hello.node_id = 3;
  hello.instance = 33;
  WORKS(greeter->judge_greeting(hello));
}

TEST(Greeter, M12_another_cluster_is_refused) {
  net::Hello hello = of_member_2();
  hello.cluster_id = {6, 6};
  FAILS_WITH(Code::kRefused, "belongs to cluster", greeter->judge_greeting(hello));
  FAILS_WITH(Code::kRefused, "belongs to cluster", greeter->judge_answer(2, hello));
  hello.node_id = 0;
  FAILS_WITH(Code::kRefused, "belongs to cluster", greeter->judge_greeting(hello));
}

TEST(Greeter, M11_another_instance_under_a_members_id_is_refused) {
  net::Hello hello = of_member_2();
  hello.instance = 23;
  FAILS_WITH(Code::kRefused, "is not the node that joined under this id", greeter->judge_greeting(hello));
}

TEST(Greeter, M9_one_that_was_removed_is_told_so_whomever_it_looks_for) {
  greeter->set_removed([](NodeId id) { return id == 2; });
  FAILS_WITH(Code::kNotFound, "was removed from the cluster", greeter->judge_greeting(of_member_2()));
  net::Hello hello = of_member_2();
  hello.expected_id = 9;
  FAILS_WITH(Code::kNotFound, "was removed from the cluster", greeter->judge_greeting(hello));
  hello.cluster_id = {6, 6};
  FAILS_WITH(Code::kRefused, "belongs to cluster", greeter->judge_greeting(hello));
}

TEST(Greeter, M13_this_nodes_own_id_is_refused) {
  net::Hello hello = of_member_2();
  hello.node_id = 1;
  FAILS_WITH(Code::kRefused, "one of the two directories is a copy", greeter->judge_greeting(hello));
}

TEST(Greeter, one_who_looks_for_another_member_is_told) {
  net::Hello hello = of_member_2();
  hello.expected_id = 9;
  FAILS_WITH(Code::kRefused, "member 9 was expected", greeter->judge_greeting(hello));
  FAILS_WITH(Code::kRefused, "member 3 was expected, but this is member 2",
             greeter->judge_answer(3, of_member_2()));
}

TEST(Greeter, B7_a_boot_counter_that_goes_back_is_refused_also_after_a_restart) {
  WORKS(greeter->judge_greeting(of_member_2(7, 1)));
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(6, 2)));
  settle();
  begin_life();
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(6, 2)));
  WORKS(greeter->judge_greeting(of_member_2(8, 3)));
}

TEST(Greeter, B7_the_same_boot_with_another_nonce_is_a_copy) {
  WORKS(greeter->judge_greeting(of_member_2(7, 1)));
  WORKS(greeter->judge_greeting(of_member_2(7, 1)));
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(7, 2)));
}

TEST(Greeter, B7_a_node_that_is_no_member_yet_takes_no_part) {
  greeter->set_identity(file->identity(), "here:1");
  FAILS_WITH(Code::kNoQuorum, "is member of no cluster yet", greeter->judge_greeting(of_member_2()));
  net::Hello joiner;
  WORKS(greeter->judge_greeting(joiner));
}

TEST(Greeter, B7_what_another_member_knows_of_a_start_is_believed_also_after_a_restart) {
  WORKS(greeter->judge_greeting(of_member_2(3, 1)));
  CHECK(greeter->take_news());
  WORKS(greeter->learn({{{22, 7, 9, false}}}, false));
  CHECK(greeter->take_news() && !greeter->take_news());
  LONGS_EQUAL(7, greeter->boot_counter_of(22));
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(6, 2)));
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(7, 2)));
  // The connection of the start that was the newest before.
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_again(of_member_2(3, 1)));
  WORKS(greeter->judge_again(of_member_2(7, 9)));
  // Old news changes nothing.
  WORKS(greeter->learn({{{22, 5, 5, false}}}, true));
  LONGS_EQUAL(7, greeter->boot_counter_of(22));
  settle();
  begin_life();
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(6, 2)));
  const net::BootReport report = greeter->report();
  LONGS_EQUAL(2, report.starts.size());
  LONGS_EQUAL(7, report.starts[1].counter);
}

TEST(Greeter, M13_a_start_is_refused_while_another_process_of_the_member_is_heard) {
  WORKS(greeter->judge_greeting(of_member_2(3, 1)));
  bool heard = true;
  greeter->set_hears(
      [&](uint64_t instance, uint64_t nonce) { return heard && instance == 22 && nonce == 1; });
  WORKS(greeter->judge_greeting(of_member_2(3, 1)));
  FAILS_WITH(Code::kBusy, "runs as another process at this moment",
             greeter->judge_greeting(of_member_2(4, 2)));
  // Nor is it believed of somebody who does not lead.
  WORKS(greeter->learn({{{22, 4, 2, false}}}, false));
  LONGS_EQUAL(3, greeter->boot_counter_of(22));
  heard = false;
  WORKS(greeter->judge_greeting(of_member_2(4, 2)));
}

TEST(Greeter, M13_whom_the_leader_hears_is_not_replaced_until_its_word_is_old) {
  WORKS(greeter->learn({{{22, 3, 1, true}}}, true));
  FAILS_WITH(Code::kBusy, "runs as another process", greeter->judge_greeting(of_member_2(4, 2)));
  greeter->forget_alive();
  WORKS(greeter->judge_greeting(of_member_2(4, 2)));
}

TEST(Greeter, M13_of_two_processes_with_one_start_the_leaders_counts_and_the_other_fails) {
  WORKS(greeter->judge_greeting(of_member_2(3, 1)));
  WORKS(greeter->learn({{{22, 3, 2, false}}}, false));
  WORKS(greeter->judge_greeting(of_member_2(3, 1)));
  WORKS(greeter->learn({{{22, 3, 2, false}}}, true));
  FAILS_WITH(Code::kRefused, "copied or restored directory", greeter->judge_greeting(of_member_2(3, 1)));
  const Identity& own = file->identity();
  WORKS(greeter->learn({{{own.instance, own.boot_counter, own.boot_nonce, false}}}, true));
  WORKS(greeter->learn({{{own.instance, own.boot_counter, own.boot_nonce + 1, false}}}, false));
  FAILS_WITH(Code::kPoisoned, "a copy of its directory was started",
             greeter->learn({{{own.instance, own.boot_counter, own.boot_nonce + 1, false}}}, true));
  FAILS_WITH(Code::kPoisoned, "a copy of its directory was started",
             greeter->learn({{{own.instance, own.boot_counter + 1, 0, false}}}, true));
}
