#include "raft/node/mailbox.h"

#include "tests/raft/node/hand_lane.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(Mailbox) {
  HandLane lane;
  Mailbox<int> mailbox{lane};
  std::vector<int> taken;

  void setup() override {
    const auto take = [this] {
      std::vector<int> items;
      mailbox.take_all(items);
      taken.insert(taken.end(), items.begin(), items.end());
    };
    WORKS(lane.start("taker", {take}, [](const Status&) {}));
  }
};

TEST(Mailbox, an_item_wakes_the_lane_which_takes_all_that_is_there) {
  CHECK(mailbox.put(1));
  CHECK(mailbox.put(2));
  CHECK(lane.run());
  CHECK(taken == (std::vector<int>{1, 2}));
  CHECK_FALSE(lane.run());
}

TEST(Mailbox, what_was_put_quietly_is_taken_at_the_wake) {
  CHECK(mailbox.put_quietly(1));
  CHECK_FALSE(lane.run());
  mailbox.wake();
  CHECK(lane.run());
  LONGS_EQUAL(1, taken.size());
}

TEST(Mailbox, an_empty_one_wakes_nobody) {
  mailbox.wake();
  CHECK_FALSE(lane.run());
}

TEST(Mailbox, what_was_put_quietly_is_taken_with_a_later_item) {
  CHECK(mailbox.put_quietly(1));
  CHECK(mailbox.put(2));
  CHECK(lane.run());
  CHECK(taken == (std::vector<int>{1, 2}));
}

TEST(Mailbox, what_was_put_quietly_is_taken_at_the_close) {
  CHECK(mailbox.put_quietly(1));
  mailbox.close();
  CHECK(lane.run());
  LONGS_EQUAL(1, taken.size());
  CHECK_FALSE(mailbox.put_quietly(2));
  CHECK_FALSE(mailbox.put(3));
  mailbox.wake();
  CHECK_FALSE(lane.run());
}
