// Who may leave a cluster by force: nobody while those who answer could go on [C2].
#include "raft/node/roll_call.h"

#include "tests/raft/core/cluster.h"
#include "tests/raft/node/hand_loop.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr int kElectionTicks = 10;

class NoPeers final : public BootMemory {
 public:
  [[nodiscard]] uint64_t peer_boot_counter(uint64_t) const override { return 0; }
  Status remember_peer(uint64_t, uint64_t) override { return Status::ok(); }
};

}  // namespace

TEST_GROUP(RollCall) {
  Cluster cluster{3};
  KeepingNetwork network;
  NoPeers no_peers;
  Worker reader{std::make_unique<ThreadLane>()};
  Greeter greeter{no_peers, reader};

  // What member 1 is told; `each_tick` is what happens meanwhile.
  Status called(const std::function<void()>& each_tick = [] {}) {
    return called_in(cluster, each_tick);
  }
  Status called_in(
      Cluster & members, const std::function<void()>& each_tick = [] {}) {
    RollCall roll(members.core(1), network, greeter, kElectionTicks);
    std::optional<Status> answer;
    roll.begin([&](const Status& refusal) { answer = refusal; });
    for (int tick = 0; tick < 100 && !answer; tick++) {
      each_tick();
      roll.tick();
    }
    CHECK(answer.has_value());
    return *answer;
  }
};

TEST(RollCall, C2_nobody_answers) {
  WORKS(called());
}

TEST(RollCall, C2_one_of_two_others_is_a_majority_with_this_member) {
  network.answering = {2};
  FAILS_WITH(Code::kRefused, "1 (", called());
  FAILS_WITH(Code::kRefused, "2 (", called());
}

TEST(RollCall, C2_one_of_four_others_is_none) {
  Cluster five(5);
  network.answering = {2};
  WORKS(called_in(five));
  network.answering = {2, 3};
  FAILS_WITH(Code::kRefused, "a majority of the voters answers", called_in(five));
}

TEST(RollCall, C2_who_refuses_this_member_answers_and_who_is_new_at_its_address_does_not) {
  network.refusals[2] = {Code::kRefused, "copied"};
  FAILS_WITH(Code::kRefused, "a majority of the voters answers", called());
  network.refusals[2] = {Code::kNoQuorum, "member of no cluster yet"};
  WORKS(called());
}

TEST(RollCall, C2_one_that_comes_up_meanwhile_is_found) {
  int ticks = 0;
  FAILS_WITH(Code::kRefused, "a majority of the voters answers", called([&] {
               if (++ticks == 2 * kElectionTicks) network.answering = {3};
             }));
}

TEST(RollCall, C2_a_leader_that_is_heard_ends_it_and_one_of_before_does_not) {
  cluster.elect(2);
  FAILS_WITH(Code::kRefused, "the cluster has a leader", called([this] { cluster.tick_all(1); }));
  // Its last word is older than the call.
  WORKS(called([this] { cluster.tick_silently(1, 1); }));
}

TEST(RollCall, C2_a_leader_without_a_majority_has_time_to_step_down) {
  cluster.elect(1);
  WORKS(called([this] { cluster.tick_silently(1, 3); }));
  CHECK(cluster.core(1).role() != Role::kLeader);
}

TEST(RollCall, C2_a_leader_that_stays_one_is_refused) {
  cluster.elect(1);
  FAILS_WITH(Code::kRefused, "this node leads", called([this] { cluster.tick_all(1); }));
}

TEST(RollCall, C2_a_majority_of_the_configuration_that_is_agreed_on_counts_too) {
  // Member 3 leaves, which this member alone has in its log: 2 and 3 may go on without knowing.
  cluster.elect(1);
  cluster.isolate(1);
  CHECK(cluster.core(1).remove_member(2).is_ok());
  cluster.collect(cluster.member(1));
  cluster.tick_silently(1, 100);
  network.answering = {2};
  FAILS_WITH(Code::kRefused, "2 (", called());
}
