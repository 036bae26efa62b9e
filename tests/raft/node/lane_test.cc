#include "raft/node/lane.h"

#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(ThreadLane) {
  ThreadLane lane;
  std::atomic<int> asked{0};  // what the test wants to be seen
  std::atomic<int> seen{0};
  std::atomic<int> calls{0};
  std::atomic<int> ends{0};
  std::atomic<int> failures{0};
  std::function<void()> in_work = [] {};

  void start() {
    const auto work = [this] {
      calls++;
      in_work();
      seen.store(asked.load());
      seen.notify_all();
    };
    WORKS(lane.start("test", {work, [this] { ends++; }}, [this](const Status&) { failures++; }));
  }
  void teardown() override {
    lane.close();
    CHECK(lane.wait_ended(patience()));
  }
  void wait_seen(int value) {
    for (int now = seen.load(); now != value; now = seen.load()) seen.wait(now);
  }
};

TEST(ThreadLane, it_works_after_every_wake_whatever_it_does_at_that_moment) {
  start();
  for (int round = 1; round <= 10000; round++) {
    asked.store(round);
    lane.wake();
    if (round % 3 != 0) wait_seen(round);
  }
  wait_seen(10000);
}

TEST(ThreadLane, many_wakes_are_one_call) {
  std::atomic<bool> entered{false};
  std::atomic<bool> go_on{false};
  in_work = [&] {
    entered = true;
    entered.notify_all();
    go_on.wait(false);
  };
  start();
  lane.wake();
  entered.wait(false);
  for (int i = 0; i < 100; i++) lane.wake();
  asked = 1;
  go_on = true;
  go_on.notify_all();
  CHECK(eventually([this] { return calls == 2; }));
  lane.close();
  CHECK(lane.wait_ended(patience()));
  LONGS_EQUAL(3, calls);
}

TEST(ThreadLane, at_the_close_it_works_once_more_and_then_ends) {
  start();
  asked = 7;
  lane.close();
  CHECK(lane.wait_ended(patience()));
  LONGS_EQUAL(7, seen);
  LONGS_EQUAL(1, calls);
  LONGS_EQUAL(1, ends);
}

TEST(ThreadLane, after_a_rest_it_works_unasked) {
  in_work = [this] {
    if (calls == 1) lane.rest(std::chrono::milliseconds(5));
  };
  start();
  lane.wake();
  CHECK(eventually([this] { return calls >= 2; }));
}

TEST(ThreadLane, a_wake_does_not_shorten_a_rest_and_the_close_does) {
  in_work = [this] { lane.rest(std::chrono::hours(1)); };
  start();
  asked = 1;
  lane.wake();
  wait_seen(1);
  lane.wake();
  lane.close();
  CHECK(lane.wait_ended(patience()));
  LONGS_EQUAL(2, calls);
}

TEST(ThreadLane, an_exception_ends_it_and_is_told) {
  in_work = [] { throw std::bad_alloc(); };
  start();
  lane.wake();
  CHECK(lane.wait_ended(patience()));
  LONGS_EQUAL(1, failures);
  LONGS_EQUAL(0, ends);
}
