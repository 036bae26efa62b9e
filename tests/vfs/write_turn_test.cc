// First come, first served, each waiter woken alone, and no wake-up lost.

#include "vfs/write_turn.h"

#include <CppUTest/TestHarness.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

using namespace dqlite::vfs;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

WriteTurn::Time after(std::chrono::nanoseconds time) {
  return std::chrono::steady_clock::now() + time;
}

constexpr seconds kLong{60};  // never reached by a test that passes

}  // namespace

TEST_GROUP(WriteTurn) {
  WriteTurn turn;
  int keys[8] = {};

  WriteTurn::Owner owner(int number) {
    return &keys[number];
  }
  // `number` waits on a thread of its own until it has the turn.
  std::future<bool> wait_on_a_thread(int number) {
    CHECK_FALSE(turn.take(owner(number)));
    size_t sleeping = turn.sleeping();
    auto result =
        std::async(std::launch::async, [this, number] { return turn.await(owner(number), after(kLong)); });
    while (turn.sleeping() == sleeping) std::this_thread::yield();
    return result;
  }
};

TEST(WriteTurn, a_free_turn_is_taken_at_once_and_again_by_its_holder) {
  CHECK_TRUE(turn.take(owner(0)));
  CHECK_TRUE(turn.take(owner(0)));
  CHECK_TRUE(turn.holds(owner(0)));
  CHECK_FALSE(turn.take(owner(1)));
  CHECK_TRUE(turn.has_ticket(owner(1)));
  turn.release(owner(0));
  CHECK_TRUE(turn.take(owner(1)));
  CHECK_FALSE(turn.has_ticket(owner(1)));
}

TEST(WriteTurn, waiters_get_it_in_the_order_they_came) {
  turn.take(owner(0));
  auto first = wait_on_a_thread(1);
  auto second = wait_on_a_thread(2);
  auto third = wait_on_a_thread(3);
  LONGS_EQUAL(3, turn.waiting());
  turn.release(owner(0));
  CHECK_TRUE(first.get());
  CHECK_TRUE(second.wait_for(milliseconds(0)) == std::future_status::timeout);
  CHECK_TRUE(turn.take(owner(1)));
  turn.release(owner(1));
  CHECK_TRUE(second.get());
  CHECK_TRUE(turn.take(owner(2)));
  turn.release(owner(2));
  CHECK_TRUE(third.get());
}

TEST(WriteTurn, nobody_overtakes_those_who_wait) {
  turn.take(owner(0));
  auto waiter = wait_on_a_thread(1);
  turn.release(owner(0));
  CHECK_FALSE(turn.take(owner(2)));  // reserved for the waiter, woken or not
  CHECK_TRUE(waiter.get());
  CHECK_TRUE(turn.take(owner(1)));
}

TEST(WriteTurn, a_reservation_that_is_not_used_goes_to_the_next_waiter) {
  turn.take(owner(0));
  auto first = wait_on_a_thread(1);
  auto second = wait_on_a_thread(2);
  turn.release(owner(0));
  CHECK_TRUE(first.get());   // and its statement gives up
  CHECK_TRUE(second.get());  // though nobody calls anything
  CHECK_TRUE(turn.take(owner(2)));
}

TEST(WriteTurn, V_B4_who_was_passed_over_keeps_its_place_and_takes_it_before_its_snapshot) {
  turn.take(owner(0));
  CHECK_FALSE(turn.take(owner(1)));  // its busy handler sleeps elsewhere
  CHECK_FALSE(turn.was_passed_over(owner(1)));
  auto second = wait_on_a_thread(2);
  turn.release(owner(0));
  CHECK_TRUE(second.get());
  CHECK_TRUE(turn.was_passed_over(owner(1)));
  CHECK_TRUE(turn.take(owner(2)));
  auto third = wait_on_a_thread(3);
  auto passed_over =
      std::async(std::launch::async, [this] { return turn.take_before_snapshot(owner(1), after(kLong)); });
  while (turn.sleeping() < 2) std::this_thread::yield();
  turn.release(owner(2));
  CHECK_TRUE(passed_over.get());  // before the one that came later
  CHECK_FALSE(turn.was_passed_over(owner(1)));
  CHECK_TRUE(turn.take(owner(1)));
  turn.release(owner(1));
  CHECK_TRUE(third.get());
}

TEST(WriteTurn, B1_who_steps_back_from_the_turn_is_the_first_in_line) {
  turn.take(owner(0));
  CHECK_FALSE(turn.take(owner(1)));
  turn.step_back(owner(0));
  CHECK_FALSE(turn.holds(owner(0)));
  CHECK_TRUE(turn.was_passed_over(owner(0)));
  CHECK_TRUE(turn.take(owner(1)));  // the turn itself went on
  turn.release(owner(1));
  CHECK_TRUE(turn.take_before_snapshot(owner(0), after(kLong)));
  CHECK_FALSE(turn.take(owner(2)));
  CHECK_TRUE(turn.take(owner(0)));
}

TEST(WriteTurn, B1_a_reservation_for_a_reader_is_one_and_is_not_renewed_by_itself) {
  turn.take(owner(0));
  turn.step_back(owner(0));
  CHECK_TRUE(turn.take_before_snapshot(owner(0), after(kLong)));
  CHECK_FALSE(turn.has_ticket(owner(0)));
  CHECK_FALSE(turn.was_passed_over(owner(0)));
  CHECK_FALSE(turn.take(owner(1)));
  CHECK_TRUE(turn.await(owner(1), after(kLong)));  // when the reservation has lapsed
  CHECK_FALSE(turn.holds(owner(0)));
}

TEST(WriteTurn, a_wait_ends_at_its_deadline_and_the_place_is_kept) {
  turn.take(owner(0));
  CHECK_FALSE(turn.take(owner(1)));
  CHECK_FALSE(turn.await(owner(1), after(milliseconds(1))));
  CHECK_TRUE(turn.has_ticket(owner(1)));
  CHECK_FALSE(turn.await(owner(2), after(kLong)));  // without a ticket there is nothing to wait for
}

TEST(WriteTurn, what_is_handed_over_is_the_others_alone) {
  turn.take(owner(0));
  turn.hand_over(owner(0), owner(1));
  CHECK_FALSE(turn.holds(owner(0)));
  turn.release(owner(0));  // not its own any more
  CHECK_FALSE(turn.take(owner(2)));
  turn.release(owner(1));
  CHECK_TRUE(turn.take(owner(2)));
  turn.hand_over(owner(0), owner(1));  // of what one does not hold: nothing
  CHECK_TRUE(turn.holds(owner(2)));
}

TEST(WriteTurn, a_reservation_can_be_made_again_by_who_needs_a_newer_snapshot) {
  turn.take(owner(0));
  turn.reserve_again(owner(0));
  CHECK_TRUE(turn.has_ticket(owner(0)));
  CHECK_TRUE(turn.await(owner(0), after(kLong)));  // at once
  CHECK_TRUE(turn.take(owner(0)));
}

TEST(WriteTurn, wake_all_sends_everybody_back_to_ask_again) {
  turn.take(owner(0));
  auto first = wait_on_a_thread(1);
  auto second = wait_on_a_thread(2);
  turn.wake_all();
  CHECK_FALSE(first.get());
  CHECK_FALSE(second.get());
  CHECK_TRUE(turn.has_ticket(owner(1)));
}

TEST(WriteTurn, a_ticket_goes_with_its_owner) {
  turn.take(owner(0));
  CHECK_FALSE(turn.take(owner(1)));
  turn.release(owner(1));
  CHECK_FALSE(turn.has_ticket(owner(1)));
  LONGS_EQUAL(0, turn.waiting());
}

TEST(WriteTurn, eight_threads_all_come_to_their_turns_and_one_at_a_time) {
  constexpr int kTurns = 300;
  std::atomic<int> inside{0};
  std::atomic<int> overlaps{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < kTurns; n++) {
        while (!turn.take(owner(i))) {
          if (n % 7 == 3) {
            turn.take_before_snapshot(owner(i), after(milliseconds(5)));
          } else {
            turn.await(owner(i), after(kLong));
          }
        }
        if (inside.fetch_add(1) != 0) overlaps++;
        inside--;
        if (n % 5 == 0) {
          turn.hand_over(owner(i), &threads);
          turn.release(&threads);
        } else {
          turn.release(owner(i));
        }
        done++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, overlaps.load());
  LONGS_EQUAL(8 * kTurns, done.load());
  LONGS_EQUAL(0, turn.waiting());
}
