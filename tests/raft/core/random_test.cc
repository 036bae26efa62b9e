// The seeds of members that know nothing of each other.
#include "raft/core/random.h"

#include <CppUTest/TestHarness.h>

#include <string>

namespace dqlite::raft {

namespace {

// How many draws the stream of `b` is ahead of that of `a`: SplitMix64 counts in steps of one increment.
int64_t draws_between(uint64_t a, uint64_t b) {
  constexpr uint64_t kIncrement = 0x9e3779b97f4a7c15ULL;
  uint64_t inverse = kIncrement;  // Newton: each round doubles the bits that are right
  for (int i = 0; i < 6; i++) inverse *= 2 - kIncrement * inverse;
  return static_cast<int64_t>((b - a) * inverse);
}

}  // namespace

TEST_GROUP(Random){};

TEST(Random, E3_no_two_members_draw_from_one_stream) {
  CHECK_EQUAL(5, draws_between(7, 7 + 5 * 0x9e3779b97f4a7c15ULL));
  constexpr int64_t kLifetime = 1LL << 32;
  for (uint64_t seed = 0; seed < 20000; seed++) {
    for (uint64_t a = 1; a <= 7; a++) {
      for (uint64_t b = a + 1; b <= 7; b++) {
        const int64_t apart = draws_between(member_seed(seed, a), member_seed(seed, b));
        if (apart > -kLifetime && apart < kLifetime) {
          FAIL(("members " + std::to_string(a) + " and " + std::to_string(b) + " of seed " +
                std::to_string(seed) + " are " + std::to_string(apart) + " draws apart")
                   .c_str());
        }
      }
    }
  }
}

}  // namespace dqlite::raft
