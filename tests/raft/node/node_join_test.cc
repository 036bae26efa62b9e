// Bootstrap, join and identity: what must not make two clusters of one [B7].
#include <filesystem>

#include "raft/net/exchange.h"
#include "tests/raft/net/silent_listener.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

using Commands = std::vector<std::string>;

namespace {

Deadline soon() {
  return Clock::now() + std::chrono::milliseconds(300);
}

// As if it had died between its request and the answer.
void begin_join(const TestNode& node, const std::string& target) {
  Result<std::unique_ptr<IdentityFile>> file = IdentityFile::open(posix_disk(), node.options.directory);
  WORKS(file.status());
  Identity identity = (*file)->identity();
  identity.join_target = target;
  WORKS((*file)->save(identity));
}

// Asks in the name of a node that is not running.
net::JoinReply ask_to_join(const std::string& target, uint64_t instance, const std::string& address) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  net::JoinReply answer;
  {
    net::Context context;
    context.loop = &loop;
    net::Hello hello;
    hello.instance = instance;
    hello.address = address;
    bool done = false;
    net::Exchange exchange(context, *net::parse_address(target), 0, hello, {instance, address, target}, 10000,
                           [&](const Result<net::JoinReply>& reply) {
                             done = true;
                             if (reply) answer = *reply;
                           });
    while (!done) {
      context.flush_all();
      uv_run(&loop, UV_RUN_ONCE);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  uv_loop_close(&loop);
  return answer;
}

}  // namespace

TEST_GROUP(NodeJoin) {
  TestNode a, b, c;
};

TEST(NodeJoin, B7_a_join_waits_for_a_target_that_is_new_until_somebody_writes_there) {
  a.start();
  b.start();
  FAILS_WITH(Code::kTimeout, "yet: write there first", b.node->join(a.address(), soon()));
  CHECK(b.node->standing() == Standing::kJoining);
  a.found();
  a.write("x");
  b.join(a);
  CHECK(b.machine->commands() == Commands{"x"});
}

TEST(NodeJoin, B7_a_join_once_begun_forbids_to_found_a_cluster) {
  a.start();
  b.start();
  FAILS_WITH(Code::kTimeout, a.address().c_str(), b.node->join(a.address(), soon()));
  FAILS_WITH(Code::kRefused, "began to join", b.node->bootstrap(false, soon()));
  b.kill();
  b.start();
  FAILS_WITH(Code::kRefused, "began to join", b.node->bootstrap(false, soon()));
}

TEST(NodeJoin, B7_a_join_cut_off_by_a_crash_goes_on_by_itself) {
  a.start();
  b.start();
  FAILS_WITH(Code::kTimeout, a.address().c_str(), b.node->join(a.address(), soon()));
  b.kill();
  b.start();
  CHECK(b.node->standing() == Standing::kJoining);
  a.found();
  a.write("x");
  CHECK(b.machine->wait_commands(1));
  LONGS_EQUAL(2, a.node->status().members.size());
}

TEST(NodeJoin, B7_a_node_that_died_before_it_stored_its_id_gets_the_same_id_again) {
  a.start();
  a.found();
  a.write("x");
  b.start();
  const uint64_t instance = b.node->status().identity.instance;
  b.kill();
  const net::JoinReply reply = ask_to_join(a.address(), instance, b.options.listen);
  CHECK(reply.code == net::JoinCode::kMember);
  begin_join(b, a.address());
  b.start();
  CHECK(b.machine->wait_commands(1));
  LONGS_EQUAL(reply.node_id, b.node->status().identity.node_id);
  LONGS_EQUAL(2, a.node->status().members.size());
}

TEST(NodeJoin, B7_two_new_nodes_that_join_each_other_are_told_so) {
  a.start();
  b.start();
  FAILS_WITH(Code::kTimeout, "write there first", b.node->join(a.address(), soon()));
  // Whoever asks the other first is told, and a node that nobody can have counted as a member gives up then.
  // One that was restarted does not know that, and goes on: so it is member a that is told here.
  b.kill();
  b.start();
  FAILS_WITH(Code::kRefused, "are both new and join each other", a.node->join(b.address(), patience()));
  // Nobody can have counted it as a member, so it may still do as it was told.
  a.found();
  a.write("x");
  CHECK(b.machine->wait_commands(1));
}

TEST(NodeJoin, a_node_that_joins_itself_is_told_so) {
  a.start();
  FAILS_WITH(Code::kRefused, "is this node itself", a.node->join(a.address(), patience()));
  a.found();
}

TEST(NodeJoin, a_target_that_nobody_listens_at_is_named) {
  a.start();
  const std::string nobody = a.address();
  a.kill();
  b.start();
  FAILS_WITH(Code::kTimeout, nobody.c_str(), b.node->join(nobody, soon()));
  FAILS_WITH(Code::kInvalid, "is not host:port", b.node->join("nowhere", soon()));
}

TEST(NodeJoin, B7_a_second_target_that_cannot_be_stored_leaves_the_join_with_the_first_under_way) {
  a.start();
  const std::string nobody = a.address();
  a.kill();
  b.start();
  FAILS_WITH(Code::kTimeout, nobody.c_str(), b.node->join(nobody, soon()));
  const std::string file = b.options.directory + "/identity";
  std::filesystem::rename(file, file + ".aside");
  std::filesystem::create_directory(file);  // nothing can be written there
  FAILS_WITH(Code::kIo, "storing the target", b.node->join("127.0.0.1:1", patience()));
  CHECK(b.node->standing() == Standing::kJoining);
  std::filesystem::remove(file);
  std::filesystem::rename(file + ".aside", file);
  a.start();
  a.found();
  a.write("x");
  CHECK(b.machine->wait_commands(1));
}

TEST(NodeJoin, B7_a_join_given_up_before_its_answer_came_may_have_had_an_effect) {
  const SilentListener listener;
  b.start();
  FAILS_WITH(Code::kTimeout, "no answer yet", b.node->join(listener.address(), soon()));
  FAILS_WITH(Code::kRefused, "is this node itself", b.node->join(b.address(), patience()));
  CHECK(b.node->standing() == Standing::kJoining);
  FAILS_WITH(Code::kRefused, "began to join", b.node->bootstrap(false, soon()));
}

TEST(NodeJoin, M12_a_member_of_another_cluster_is_refused) {
  a.start();
  a.found();
  b.start();
  b.found();
  FAILS_WITH(Code::kRefused, "is a member of cluster", b.node->join(a.address(), patience()));
  LONGS_EQUAL(1, a.node->status().members.size());
}

TEST(NodeJoin, M11_a_new_directory_cannot_take_the_place_of_a_member) {
  a.start();
  a.found();
  b.start();
  b.join(a);
  c.start();
  c.join(a);
  CHECK(eventually([this] { return a.voters() == 3; }));
  c.kill();
  TestNode other;
  other.options.listen = c.options.listen;
  other.start();
  FAILS_WITH(Code::kRefused, "dqlite_remove(", other.node->join(a.address(), patience()));
}

TEST(NodeJoin, B7_a_directory_restored_from_a_backup_is_refused_by_its_peers) {
  a.start();
  a.found();
  b.start();
  b.join(a);
  c.start();
  c.join(a);
  CHECK(eventually([this] { return a.voters() == 3; }));
  c.stop();
  const std::string backup = c.directory.path() + "/backup";
  std::filesystem::copy(c.options.directory, backup, std::filesystem::copy_options::recursive);
  for (int i = 0; i < 2; i++) {
    c.start();
    const std::string command = "life " + std::to_string(i);
    write_somewhere({&a, &b, &c}, command);
    CHECK(c.machine->wait_event("applied " + command));
    c.stop();
  }
  std::filesystem::remove_all(c.options.directory);
  std::filesystem::rename(backup, c.options.directory);
  c.start();
  write_somewhere({&a, &b}, "after the restore");
  CHECK(a.machine->wait_event("applied after the restore"));
  // It hears of no leader, since nobody talks to it.
  CHECK(c.node->wait_leader(soon()).code() == Code::kNoQuorum);
}

// A copy of a node's directory, beside its own.
static std::string copy_of(const TestNode& original) {
  const std::string path = original.directory.path() + "/copy";
  std::filesystem::copy(original.options.directory, path, std::filesystem::copy_options::recursive);
  return path;
}

static bool has_problem(const TestNode& node, const std::string& words) {
  const std::vector<MemberStatus> members = node.node->status().members;
  return std::any_of(members.begin(), members.end(), [&](const MemberStatus& member) {
    return member.problem.find(words) != std::string::npos;
  });
}

static uint64_t start_of(const TestNode& node, const TestNode& as_seen_by) {
  for (const MemberStatus& member : as_seen_by.node->status().members) {
    if (member.member.address == node.options.listen) return member.boot_counter;
  }
  return 0;
}

TEST(NodeJoin, B7_a_copy_is_refused_also_by_a_member_that_never_met_the_original_since) {
  a.start();
  a.found();
  b.start();
  b.join(a);
  c.start();
  c.join(a);
  CHECK(eventually([this] { return a.voters() == 3 && b.voters() == 3; }));
  c.stop();
  const std::string copy = copy_of(c);
  b.kill();
  for (int i = 0; i < 2; i++) {
    const uint64_t before = start_of(c, a);
    c.start();
    CHECK(eventually([&] { return start_of(c, a) > before; }));
    c.kill();
  }
  b.start();
  CHECK(eventually([&] { return start_of(c, b) == start_of(c, a); }));
  a.kill();
  c.options.directory = copy;
  c.start();
  CHECK(eventually([this] { return has_problem(c, "copied or restored directory"); }));
  // With the vote of the copy there would be a leader.
  CHECK(eventually([this] { return b.node->standing() == Standing::kLeaderless; }));
  FAILS_WITH(Code::kNoQuorum, "", b.node->wait_leader(soon()));
}

TEST(NodeJoin, M13_a_copy_of_a_running_nodes_directory_is_refused_and_the_original_goes_on) {
  found_three(a, b, c);
  TestNode copy;
  copy.options.directory = copy_of(c);
  copy.start();
  CHECK(eventually([&] { return has_problem(copy, "runs as another process"); }));
  write_somewhere({&a, &b, &c}, "with the original");
  CHECK(c.machine->wait_event("applied with the original"));
  FAILS_WITH(Code::kNoQuorum, "", copy.node->wait_leader(soon()));
}

TEST(NodeJoin, C10_a_member_without_its_log_must_not_vote_again) {
  a.start();
  a.found();
  a.stop();
  for (const auto& item : std::filesystem::directory_iterator(a.options.directory)) {
    const std::string name = item.path().filename();
    if (name.starts_with("log-") || name.starts_with("state-")) std::filesystem::remove(item.path());
  }
  a.start();
  CHECK(a.node->standing() == Standing::kPoisoned);
  STRCMP_CONTAINS("its log is gone", a.node->status().fault.c_str());
  FAILS_WITH(Code::kPoisoned, "its log is gone", a.node->bootstrap(false, soon()));
}
