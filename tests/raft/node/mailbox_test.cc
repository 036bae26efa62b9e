#include "raft/node/mailbox.h"

#include <thread>

#include "tests/raft/node/test_node.h"

using namespace dqlite::raft;

TEST_GROUP(Mailbox) {
  Mailbox<int> mailbox;
  std::atomic<int> taken{0};
  std::thread thread;

  void take_until_closed() {
    thread = std::thread([this] {
      std::vector<int> items;
      while (mailbox.take_all(items)) {
        taken.fetch_add(static_cast<int>(items.size()));
        taken.notify_all();
      }
    });
  }
  void wait_taken(int count) {
    for (int now = taken.load(); now < count; now = taken.load()) taken.wait(now);
  }
  void end() {
    mailbox.close();
    thread.join();
  }
};

TEST(Mailbox, what_was_put_quietly_is_taken_at_the_wake) {
  take_until_closed();
  for (int round = 1; round <= 1000; round++) {
    CHECK(mailbox.put_quietly(round));
    mailbox.wake();
    wait_taken(round);
  }
  end();
}

TEST(Mailbox, what_was_put_quietly_is_taken_with_a_later_item) {
  take_until_closed();
  for (int round = 1; round <= 1000; round++) {
    CHECK(mailbox.put_quietly(round));
    CHECK(mailbox.put(round));
    wait_taken(2 * round);
  }
  end();
}

TEST(Mailbox, what_was_put_quietly_is_taken_at_the_close) {
  CHECK(mailbox.put_quietly(1));
  take_until_closed();
  end();
  LONGS_EQUAL(1, taken);
  CHECK_FALSE(mailbox.put_quietly(2));
  CHECK_FALSE(mailbox.put(3));
  mailbox.wake();
}
