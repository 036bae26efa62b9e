// A node that doubts its own copy leaves it to others to lead.
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(NodeDoubt) {
  TestNode a, b, c;

  static bool warns(const TestNode& node, const std::string& of) {
    return node.node->status().warning == of;
  }
};

TEST(NodeDoubt, B9_a_leader_in_doubt_hands_over_and_the_doubt_is_shown) {
  found_three(a, b, c);
  CHECK(a.leads());
  a.node->set_doubt("page 7 is rotten");
  CHECK(eventually([this] { return b.leads() || c.leads(); }));
  CHECK(warns(a, "page 7 is rotten"));
  write_somewhere({&b, &c}, "x");
  CHECK(a.machine->wait_commands(1));
  a.node->set_doubt("");
  CHECK(eventually([this] { return warns(a, ""); }));
}

TEST(NodeDoubt, B9_a_follower_in_doubt_does_not_campaign) {
  found_three(a, b, c);
  b.node->set_doubt("rot");
  CHECK(eventually([this] { return warns(b, "rot"); }));
  a.kill();
  CHECK(eventually([this] { return b.leads() || c.leads(); }));
  CHECK(c.leads());
  c.write("x");
  CHECK(b.machine->wait_commands(1));
}

TEST(NodeDoubt, B9_a_leader_in_doubt_hands_over_to_the_one_that_is_in_none) {
  found_three(a, b, c);
  b.node->set_doubt("rot");
  CHECK(eventually([this] { return warns(b, "rot"); }));
  a.node->set_doubt("rot");
  CHECK(eventually([this] { return c.leads(); }));
  CHECK_FALSE(b.leads());
}

TEST(NodeDoubt, B9_a_leader_in_doubt_like_all_others_hands_over_when_one_of_them_is_well) {
  found_three(a, b, c);
  for (TestNode* each : {&b, &c, &a}) each->node->set_doubt("rot");
  CHECK(eventually([this] { return warns(a, "rot") && warns(b, "rot") && warns(c, "rot"); }));
  a.write("x");
  c.node->set_doubt("");
  CHECK(eventually([this] { return c.leads(); }));
}

TEST(NodeDoubt, B9_where_all_are_in_doubt_one_leads_after_a_while) {
  found_three(a, b, c);
  for (TestNode* each : {&b, &c}) each->node->set_doubt("rot");
  CHECK(eventually([this] { return warns(b, "rot") && warns(c, "rot"); }));
  a.kill();
  CHECK(eventually([this] { return b.leads() || c.leads(); }));
}

TEST(NodeDoubt, a_node_that_is_alone_leads_on) {
  a.start();
  a.found();
  a.node->set_doubt("rot");
  CHECK(eventually([this] { return warns(a, "rot"); }));
  a.write("x");
  CHECK(a.leads());
}

TEST(NodeDoubt, a_state_that_is_wrong_for_good_ends_the_node) {
  a.start();
  a.found();
  a.node->fail({Code::kCorrupt, "it differs"});
  CHECK(eventually([this] { return a.node->standing() == Standing::kPoisoned; }));
  STRCMP_CONTAINS("it differs", a.node->status().fault.c_str());
}
