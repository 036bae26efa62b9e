#include "raft/node/loop.h"

#include <array>
#include <semaphore>
#include <thread>

#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

TEST_GROUP(Loop) {
  class Turns final : public LoopDelegate {
   public:
    std::string order;  // t: turn ended, s: sent, p: posted job
    void on_tick() override {}
    void on_soon() override {}
    void on_turn_end() override { order += 't'; }
    void on_turn_sent() override { order += 's'; }
  };
  Turns turns;
  Loop loop{turns};
  std::atomic<int> failures{0};
  std::atomic<bool> took_jobs_when_told{false};

  void start() {
    WORKS(loop.start(10, [this](const Status&) {
      took_jobs_when_told = loop.post([] {});
      failures++;
    }));
  }
  void setup() override {
    WORKS(loop.open());
  }
};

TEST(Loop, one_that_failed_takes_no_more_jobs_and_keeps_none) {
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> is_kept = kept;
  CHECK(loop.post([this, kept] {
    loop.post([kept] {});  // for the turn that never comes
    throw std::bad_alloc();
  }));
  kept.reset();
  start();
  CHECK(loop.wait_ended(patience()));
  LONGS_EQUAL(1, failures);
  CHECK_FALSE(took_jobs_when_told);
  CHECK_FALSE(loop.post([] {}));
  CHECK(is_kept.expired());
}

TEST(Loop, one_that_was_ended_takes_no_more_jobs) {
  CHECK(loop.post([this] { loop.end(); }));
  start();
  CHECK(loop.wait_ended(patience()));
  LONGS_EQUAL(0, failures);
  CHECK_FALSE(loop.post([] {}));
}

TEST(Loop, what_a_job_asks_for_is_sent_before_the_threads_are_told) {
  CHECK(loop.post([this] { turns.order += 'p'; }));
  CHECK(loop.post([this] { loop.end(); }));
  start();
  CHECK(loop.wait_ended(patience()));
  STRCMP_EQUAL("tsp", turns.order.c_str());
}

TEST(Loop, no_wake_of_many_threads_is_lost) {
  constexpr int kThreads = 4;
  constexpr int kJobs = 2000;
  start();
  int done = 0;  // the loop's own
  std::array<std::binary_semaphore, kThreads> ran{std::binary_semaphore{0}, std::binary_semaphore{0},
                                                  std::binary_semaphore{0}, std::binary_semaphore{0}};
  std::vector<std::thread> threads;
  for (std::binary_semaphore& mine : ran) {
    threads.emplace_back([this, &done, &mine] {
      for (int job = 0; job < kJobs; job++) {
        loop.post([&done, &mine] {
          done++;
          mine.release();
        });
        loop.poke();
        mine.acquire();  // so that posts find the loop asleep, or about to sleep
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(loop.post([this] { loop.end(); }));
  CHECK(loop.wait_ended(patience()));
  LONGS_EQUAL(kThreads * kJobs, done);
}
