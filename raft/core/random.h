// The core's own source of randomness: a seed gives the same run on every machine, which `std` distributions
// do not promise. SplitMix64 (Steele, Lea, Flood 2014). Not for secrets. One thread.
#pragma once

#include <cstdint>

namespace dqlite::raft {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0 … limit - 1; the bias of the remainder does not matter for small limits.
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

 private:
  uint64_t state_;
};

// The seed of member `self`. Two seeds that differ by a small multiple of the generator's increment give one
// stream, a few draws apart: two members whose clocks go alike would time out together for ever. So each
// number is scrambled on its own.
inline uint64_t member_seed(uint64_t seed, uint64_t self) {
  return Random(seed).next() + Random(~self).next();
}

}  // namespace dqlite::raft
