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
  STRCMP_EQUAL("moved:3", greeter->heard_addresses().at(2).c_str());
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
