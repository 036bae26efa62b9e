// What a node keeps across its death, and how it catches up.
#include "raft/node/install_note.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

using Commands = std::vector<std::string>;

namespace {

constexpr size_t kSnapshotCommands = 300;
constexpr uint64_t kFirstPiece = 256 << 10;  // always comes: the leader does not know yet what is held
constexpr uint64_t kMuchOfSnapshot = 12 * kFirstPiece;  // of the 9 MB that those commands take

}  // namespace

TEST_GROUP(NodeRestart) {
  TestNode a, b, c;

  void found_two() {
    a.start();
    a.found();
    b.start();
    b.join(a);
    give_vote(a, b);
    CHECK(eventually([this] { return a.voters() == 2 && b.voters() == 2; }));
  }
  void write_many(TestNode & leader, int count) {
    for (int i = 0; i < count; i++) leader.propose("command " + std::to_string(i));
    CHECK(leader.machine->wait_commands(static_cast<size_t>(count)));
  }
  // Three members; what `c`, which is down, needs to go on is in no log any more.
  void leave_behind_with_large_snapshot() {
    a.options.log_tail_bytes = b.options.log_tail_bytes = 0;
    found_two();
    c.start();
    c.join(a);
    CHECK(eventually([this] { return a.voters() == 3; }));
    c.kill();
    const std::string large(30000, 'x');
    for (size_t i = 0; i < kSnapshotCommands; i++) a.propose(std::to_string(i) + large);
    CHECK(a.machine->wait_commands(kSnapshotCommands));
    CHECK(b.machine->wait_commands(kSnapshotCommands));
    // Whichever of the two leads then.
    for (TestNode* node : {&a, &b}) {
      node->checkpoint();
      CHECK(eventually([node] { return node->node->status().log_start >= kSnapshotCommands; }));
    }
  }
};

TEST(NodeRestart, A2_an_orderly_stop_keeps_all_and_the_next_open_returns_with_all_of_it) {
  a.start();
  a.found();
  write_many(a, 100);
  a.stop();
  a.start();
  LONGS_EQUAL(100, a.machine->commands().size());
  WORKS(a.node->wait_caught_up(patience()));
  CHECK(leader_of({&a}).machine->wait_commands(100));
}

TEST(NodeRestart, a_killed_node_knows_all_when_it_leads_again) {
  a.start();
  a.found();
  write_many(a, 100);
  a.kill();
  a.start();
  WORKS(a.node->wait_caught_up(patience()));
  leader_of({&a}).write("next");
  LONGS_EQUAL(101, a.machine->commands().size());
}

TEST(NodeRestart, replay_begins_behind_the_checkpoint) {
  a.start();
  a.found();
  write_many(a, 10);
  a.checkpoint();
  leader_of({&a}).write("next");
  a.stop();
  a.start();
  LONGS_EQUAL(11, a.machine->commands().size());
  LONGS_EQUAL(1, a.machine->count_events("applied"));
}

TEST(NodeRestart, A2_a_follower_shows_only_what_it_knows_to_be_committed_until_a_leader_speaks) {
  found_two();
  a.write("x");
  CHECK(b.machine->wait_commands(1));
  a.kill();
  b.kill();
  b.start();
  CHECK(!b.node->is_caught_up() || b.machine->commands() == Commands{"x"});
  a.start();
  WORKS(b.node->wait_caught_up(patience()));
  WORKS(a.node->wait_caught_up(patience()));
  CHECK(b.machine->wait_commands(1));
}

TEST(NodeRestart, a_follower_that_was_away_catches_up_from_the_log) {
  found_two();
  c.start();
  c.join(a);
  CHECK(eventually([this] { return a.voters() == 3; }));
  c.kill();
  write_many(a, 300);
  c.start();
  CHECK(c.machine->wait_commands(300));
  CHECK(c.machine->commands() == a.machine->commands());
  LONGS_EQUAL(0, c.machine->count_events("installed"));
}

TEST(NodeRestart, S1_a_follower_behind_the_log_gets_a_snapshot_and_goes_on_from_there) {
  a.options.log_tail_bytes = b.options.log_tail_bytes = 0;
  found_two();
  c.start();
  c.join(a);
  CHECK(eventually([this] { return a.voters() == 3; }));
  c.kill();
  const std::string large(3000, 'x');  // several pieces
  for (int i = 0; i < 300; i++) a.propose(large + std::to_string(i));
  CHECK(a.machine->wait_commands(300));
  a.checkpoint();
  CHECK(eventually([this] { return a.node->status().log_start >= 300; }));
  c.start();
  CHECK(c.machine->wait_event("installed"));
  a.write("next");
  CHECK(c.machine->wait_commands(301));
  CHECK(c.machine->commands() == a.machine->commands());
  // And it is durable: log and state agree at the next start.
  c.kill();
  c.start();
  CHECK(c.machine->wait_commands(301));
}

TEST(NodeRestart, S3_follower_restart_mid_install_resumes) {
  leave_behind_with_large_snapshot();
  c.hold_incoming_at = kMuchOfSnapshot;
  c.start();
  CHECK(c.machine->wait_incoming_held());
  CHECK(eventually([this] { return c.node->status().snapshot_received >= kFirstPiece; }));
  CHECK(c.node->status().snapshot_size > kMuchOfSnapshot);
  CHECK(c.node->status().snapshot_received <= c.node->status().snapshot_size);
  c.kill();
  c.start();
  CHECK(c.machine->wait_event("installed"));
  CHECK(eventually([this] { return c.node->status().snapshot_size == 0; }));
  CHECK(c.machine->commands() == a.machine->commands());
  CHECK(c.machine->incoming_bytes_written() <= encode(a.file).size() - kMuchOfSnapshot + kFirstPiece);
}

TEST(NodeRestart, S4_leader_change_mid_install) {
  leave_behind_with_large_snapshot();
  c.hold_incoming_at = kMuchOfSnapshot;
  c.start();
  CHECK(c.machine->wait_incoming_held());
  TestNode& old = leader_of({&a, &b});
  TestNode& next = &old == &a ? b : a;
  old.kill();
  const uint64_t before = c.machine->incoming_bytes_written();
  c.machine->open_gate();
  CHECK(c.machine->wait_event("installed"));
  CHECK(next.leads());
  CHECK(c.machine->commands() == next.machine->commands());
  // The new leader's stream took over what the old one's had brought.
  CHECK(c.machine->incoming_bytes_written() - before <=
        encode(next.file).size() - kMuchOfSnapshot + kFirstPiece);
}

TEST(NodeRestart, S10_corrupt_chunk_detected_and_refetched) {
  leave_behind_with_large_snapshot();
  c.hold_incoming_at = kMuchOfSnapshot;
  c.start();
  CHECK(c.machine->wait_incoming_held());
  c.kill();
  // What lies there is not believed: it is read again, and only what is right is not sent again.
  c.file.incoming[kMuchOfSnapshot / 2] ^= 1;
  c.start();
  CHECK(c.machine->wait_event("installed"));
  CHECK(c.machine->commands() == a.machine->commands());
}

TEST(NodeRestart, B8_an_adopted_state_reaches_a_joiner_by_a_snapshot) {
  a.file = {{1, 1}, {"adopted"}};
  a.start();
  a.found(true);
  a.write("x");
  b.start();
  b.join(a);
  CHECK(b.machine->commands() == (Commands{"adopted", "x"}));
  LONGS_EQUAL(1, b.machine->count_events("installed"));
  a.stop();
  a.start();
  CHECK(a.machine->wait_commands(2));
}

TEST(NodeRestart, the_log_is_cut_behind_the_checkpoint_but_keeps_a_tail) {
  a.options.log_tail_bytes = 0;
  a.start();
  a.found();
  write_many(a, 100);
  LONGS_EQUAL(0, a.node->status().log_start);
  LONGS_EQUAL(0, *a.node->drop_log_prefix(patience()));
  const uint64_t before = a.node->status().log_bytes;
  a.checkpoint();
  const uint64_t dropped = *a.node->drop_log_prefix(patience());
  CHECK(dropped > 100 && dropped <= before);
  CHECK(eventually([this] { return a.node->status().log_start >= 100; }));
  LONGS_EQUAL(before - dropped, a.node->status().log_bytes);
  LONGS_EQUAL(dropped, a.node->status().log_bytes_dropped);
  a.stop();
  a.options.log_tail_bytes = 1 << 30;
  a.start();
  leader_of({&a}).write("next");
  const Index start = a.node->status().log_start;
  a.checkpoint();
  a.write("one more");
  LONGS_EQUAL(start, a.node->status().log_start);
  LONGS_EQUAL(102, a.machine->commands().size());
}

TEST(NodeRestart, C3_a_member_that_moved_is_found_at_its_new_address) {
  found_two();
  b.kill();
  b.options.listen = "127.0.0.1:0";
  b.start();
  // Two voters: nothing is committed without the other.
  write_somewhere({&a, &b}, "x");
  CHECK(eventually([&] {
    for (const MemberStatus& member : a.node->status().members) {
      if (member.member.address == b.address()) return true;
    }
    return false;
  }));
}

TEST(NodeRestart, D20_a_state_ahead_of_its_log_is_refused) {
  a.start();
  a.found();
  a.stop();
  a.file.last = {1000, 1};
  FAILS_WITH(Code::kCorrupt, "the databases stand at entry 1000", a.try_start());
}

TEST(NodeRestart, a_state_behind_the_beginning_of_its_log_is_refused) {
  a.options.log_tail_bytes = 0;
  a.start();
  a.found();
  write_many(a, 10);
  a.checkpoint();
  CHECK(eventually([this] { return a.node->status().log_start >= 10; }));
  a.stop();
  a.file.last = {5, 2};
  FAILS_WITH(Code::kCorrupt, "the log begins behind entry", a.try_start());
}

TEST(NodeRestart, S5_an_install_cut_off_behind_the_state_is_finished_at_the_next_start) {
  a.start();
  a.found();
  a.write("x");
  const std::vector<MemberStatus> members = a.node->status().members;
  const Term term = a.node->status().term;
  a.stop();
  Configuration configuration;
  configuration.members = {members.at(0).member};
  WORKS(write_install_note(posix_disk(), a.options.directory, {{100, term}, configuration, 50}));
  a.file = {{100, term}, {"from the snapshot"}};
  a.start();
  LONGS_EQUAL(100, a.node->status().log_start);
  write_somewhere({&a}, "y");
  CHECK(a.machine->commands() == (Commands{"from the snapshot", "y"}));
  a.stop();
  a.start();
  CHECK(a.machine->wait_commands(2));
}

TEST(NodeRestart, S5_an_install_cut_off_before_the_state_never_was) {
  a.start();
  a.found();
  a.write("x");
  a.stop();
  WORKS(write_install_note(posix_disk(), a.options.directory, {{100, 9}, {}, 50}));
  a.start();
  LONGS_EQUAL(0, a.node->status().log_start);
  CHECK(a.machine->wait_commands(1));
  Result<std::optional<LogStart>> note = read_install_note(posix_disk(), a.options.directory);
  CHECK(note.is_ok() && !*note);
}
