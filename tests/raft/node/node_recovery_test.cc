// Members that lost the majority of their cluster, or what nobody else has, and are made a cluster of one by force:
// what they keep, when they refuse, and that the old cluster is another one from then on [B7, C2].
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "raft/node/lone_cluster.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

std::vector<std::string> paths_of(const TestNode& node, const std::string& beginning) {
  std::vector<std::string> found;
  for (const auto& item : std::filesystem::directory_iterator(node.options.directory)) {
    if (item.path().filename().string().starts_with(beginning)) found.push_back(item.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The first place where the log holds this command.
void rot_command(const TestNode& node, const std::string& command) {
  for (const std::string& path : paths_of(node, "log-")) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const size_t at = bytes.find(command);
    if (at == std::string::npos) continue;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at));
    file.put('?');
    return;
  }
  FAIL("the command is not in the log");
}

void rot_votes(const TestNode& node) {
  for (const std::string& path : paths_of(node, "state-")) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    for (std::streamoff at = 40; at < static_cast<std::streamoff>(std::filesystem::file_size(path));
         at += 4096) {
      file.seekp(at);
      file.put('?');
    }
  }
}

std::string recovered_text(TestNode& node, bool force) {
  Result<std::string> text = node.node->recover(force, patience());
  CHECK_TEXT(text.is_ok(), text.status().sentence().c_str());
  return *text;
}

}  // namespace

TEST_GROUP(NodeRecovery) {
  TestNode a, b, c;

  // On the disks of all, and known to be committed by all.
  void write_everywhere(const std::string& command) {
    write_somewhere({&a, &b, &c}, command);
    for (TestNode* node : {&a, &b, &c}) CHECK(node->machine->wait_event("applied " + command));
  }
  static std::string cluster_of(TestNode & node) {
    return node.node->status().identity.cluster_id.text();
  }
};

TEST(NodeRecovery, C2_a_survivor_becomes_a_cluster_of_one_and_others_join_it) {
  found_three(a, b, c);
  for (int i = 0; i < 20; i++) write_everywhere("command " + std::to_string(i));
  const std::string old_cluster = cluster_of(a);
  const NodeId id = c.node->status().identity.node_id;
  const Term old_term = c.node->status().term;
  a.kill();
  b.kill();
  const std::string report = recovered_text(c, true);
  CHECK(c.leads());
  CHECK(cluster_of(c) != old_cluster);
  CHECK(c.node->status().identity.node_id == id);
  CHECK(c.node->status().term > old_term + 1);
  LONGS_EQUAL(1, c.voters());
  STRCMP_CONTAINS(("new id " + cluster_of(c)).c_str(), report.c_str());
  STRCMP_CONTAINS("It forgot 1 (", report.c_str());
  STRCMP_CONTAINS("may have committed behind entry", report.c_str());
  leader_of({&c}).write("alone");
  LONGS_EQUAL(21, c.machine->commands().size());
  // In its next life it is the same, from a log with segments of both clusters.
  CHECK(eventually([this] { return !c.node->status().identity.becomes_alone; }));
  c.stop();
  c.start();
  leader_of({&c}).write("alone again");
  // A member of the old cluster is refused, and says why.
  b.start();
  CHECK(eventually([this] {
    const NodeStatus status = b.node->status();
    return std::any_of(status.members.begin(), status.members.end(), [](const MemberStatus& member) {
      return member.problem.find("was made a new cluster of its own") != std::string::npos;
    });
  }));
  b.kill();
  TestNode fresh;
  fresh.start();
  fresh.join(c);
  write_somewhere({&c}, "for both");
  CHECK(fresh.machine->wait_event("applied for both"));
  CHECK(fresh.machine->commands() == c.machine->commands());
}

TEST(NodeRecovery, C2_without_the_word_force_nothing_is_changed) {
  found_three(a, b, c);
  write_everywhere("x");
  a.kill();
  b.kill();
  CHECK(eventually([this] { return c.node->standing() == Standing::kLeaderless; }));
  const std::string before = cluster_of(c);
  const std::string text = recovered_text(c, false);
  STRCMP_CONTAINS("Nothing was changed", text.c_str());
  STRCMP_CONTAINS("would make this node, member", text.c_str());
  STRCMP_CONTAINS("It would forget 1 (", text.c_str());
  STRCMP_EQUAL(before.c_str(), cluster_of(c).c_str());
  LONGS_EQUAL(3, c.voters());
  a.start();
  write_somewhere({&a, &c}, "y");
}

TEST(NodeRecovery, C2_what_only_the_lost_majority_may_have_acknowledged_is_kept) {
  found_three(a, b, c);
  write_everywhere("x");
  TestNode& leader = leader_of({&a, &b, &c});
  std::vector<TestNode*> others;
  for (TestNode* node : {&a, &b, &c}) {
    if (node != &leader) others.push_back(node);
  }
  // Written, and never known to be committed by the one that survives.
  others[0]->kill();
  others[1]->kill();
  const Index before = leader.node->status().last_index;
  leader.propose("perhaps acknowledged", leader.node->status().term);
  CHECK(eventually([&] { return leader.node->status().last_index > before; }));
  CHECK(eventually([&] { return leader.node->standing() == Standing::kLeaderless; }));
  const std::string report = recovered_text(leader, true);
  STRCMP_CONTAINS("also what it does not know to be committed", report.c_str());
  CHECK(leader.machine->wait_one_of({"applied perhaps acknowledged"}) ||
        leader.machine->commands().back() == "perhaps acknowledged");
}

TEST(NodeRecovery, C2_refused_while_a_majority_answers) {
  found_three(a, b, c);
  write_everywhere("x");
  TestNode& leader = leader_of({&a, &b, &c});
  FAILS_WITH(Code::kRefused, "there is nothing to recover", leader.node->recover(true, patience()).status());
  TestNode& follower = &leader == &a ? b : a;
  FAILS_WITH(Code::kRefused, "a leader, member", follower.node->recover(true, patience()).status());
  STRCMP_CONTAINS("would be refused: the cluster has a leader", recovered_text(follower, false).c_str());
  leader.kill();
  CHECK(!follower.node->recover(true, patience()).is_ok());
  LONGS_EQUAL(3, follower.voters());
  write_somewhere({&a, &b, &c}, "y");
}

TEST(NodeRecovery, C2_a_node_that_holds_nothing_is_not_recovered) {
  a.start();
  FAILS_WITH(Code::kRefused, "belongs to no cluster yet", a.node->recover(true, patience()).status());
  a.found();
  FAILS_WITH(Code::kRefused, "there is nothing to recover", a.node->recover(true, patience()).status());
  b.start();
  b.join(a);
  CHECK(eventually([this] { return b.node->status().last_index >= b.node->status().identity.node_id; }));
  MemberChange change;
  change.action = MemberAction::kRemove;
  change.id = b.node->status().identity.node_id;
  WORKS(a.node->change_members(change, patience()).status());
  CHECK(eventually([this] { return b.node->standing() == Standing::kRemoved; }));
  a.kill();
  FAILS_WITH(Code::kRefused, "was removed from its cluster", b.node->recover(true, patience()).status());
}

TEST(NodeRecovery, C2_a_standby_whose_only_voter_is_lost_goes_on_alone) {
  a.start();
  a.found();
  b.start();
  b.join(a);
  LONGS_EQUAL(1, a.voters());
  a.write("x");
  CHECK(b.machine->wait_event("applied x"));
  FAILS_WITH(Code::kRefused, "the cluster has a leader", b.node->recover(true, patience()).status());
  a.kill();
  recovered_text(b, true);
  leader_of({&b}).write("y");
}

TEST(NodeRecovery, C2_a_damaged_log_without_other_members_is_cut_at_the_damage) {
  a.start();
  a.found();
  for (int i = 0; i < 10; i++) a.write("command " + std::to_string(i));
  a.stop();
  rot_command(a, "command 6");
  a.start();
  CHECK(a.node->standing() == Standing::kPoisoned);
  STRCMP_CONTAINS("dqlite_recover('force')", a.node->status().fault.c_str());
  const std::string proposal = recovered_text(a, false);
  STRCMP_CONTAINS("Nothing was changed", proposal.c_str());
  STRCMP_CONTAINS("are in doubt", proposal.c_str());
  const std::string report = recovered_text(a, true);
  STRCMP_CONTAINS("takes effect at the next start", report.c_str());
  STRCMP_CONTAINS("are in doubt", report.c_str());
  STRCMP_EQUAL(report.c_str(), recovered_text(a, true).c_str());
  a.stop();
  a.start();
  leader_of({&a}).write("after");
  LONGS_EQUAL(7, a.machine->commands().size());
  LONGS_EQUAL(1, paths_of(a, "damaged-log-").size());
  a.stop();
  a.start();
  leader_of({&a}).write("and again");
}

TEST(NodeRecovery, A5_C2_a_log_cut_below_the_databases_begins_anew_behind_them) {
  a.start();
  a.found();
  for (int i = 0; i < 10; i++) a.write("command " + std::to_string(i));
  a.checkpoint();
  a.stop();
  rot_command(a, "command 2");
  a.start();
  STRCMP_CONTAINS("everything up to entry 12", recovered_text(a, true).c_str());
  a.stop();
  a.start();
  leader_of({&a}).write("after");
  LONGS_EQUAL(11, a.machine->commands().size());
  b.start();
  b.join(a);
  CHECK(b.machine->wait_event("installed") && b.machine->wait_commands(11));
  CHECK(a.machine->commands() == b.machine->commands());
}

TEST(NodeRecovery, B7_a_copy_that_is_alone_does_not_lead_until_it_is_told) {
  a.start();
  a.found();
  a.write("original");
  a.stop();
  std::filesystem::copy(a.options.directory, b.options.directory);
  b.start();
  CHECK(b.node->standing() == Standing::kPoisoned);
  STRCMP_CONTAINS("was copied, restored or moved", b.node->status().fault.c_str());
  CHECK(b.machine->has_event("applied original"));
  b.stop();
  b.start();
  CHECK(b.node->standing() == Standing::kPoisoned);
  recovered_text(b, true);
  b.stop();
  b.start();
  leader_of({&b}).write("copy");
  a.start();
  leader_of({&a}).write("the original goes on");
  CHECK(cluster_of(a) != cluster_of(b));
}

TEST(NodeRecovery, D10_a_node_without_term_and_vote_goes_on_alone_with_its_log) {
  found_three(a, b, c);
  for (int i = 0; i < 10; i++) write_everywhere("command " + std::to_string(i));
  const Term before = c.node->status().term;
  for (TestNode* node : {&a, &b, &c}) node->stop();
  rot_votes(c);
  c.start();
  STRCMP_CONTAINS("term and vote cannot be read", c.node->status().fault.c_str());
  STRCMP_CONTAINS("make sure that none runs", recovered_text(c, false).c_str());
  recovered_text(c, true);
  c.stop();
  c.start();
  leader_of({&c}).write("after");
  CHECK(c.node->status().term > before + 1);
  LONGS_EQUAL(11, c.machine->commands().size());
  c.stop();
  c.start();
  leader_of({&c}).write("again");
}

TEST(NodeRecovery, D3_C2_a_damaged_survivor_goes_on_with_what_it_can_read) {
  found_three(a, b, c);
  for (int i = 0; i < 10; i++) write_everywhere("command " + std::to_string(i));
  for (TestNode* node : {&a, &b, &c}) node->stop();
  rot_command(c, "command 6");
  c.start();
  const std::string report = recovered_text(c, true);
  STRCMP_CONTAINS("takes effect at the next start", report.c_str());
  STRCMP_CONTAINS("are in doubt", report.c_str());
  CHECK(eventually([this] { return c.node->standing() == Standing::kPoisoned; }));
  c.stop();
  c.start();
  leader_of({&c}).write("after");
  LONGS_EQUAL(7, c.machine->commands().size());
  CHECK(paths_of(c, "repairing").empty());
  CHECK(c.node->status().warning.empty());
}
