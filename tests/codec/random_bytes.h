// Random and mutated byte strings for the tests of this folder: the same on every machine for the same seed.
#pragma once

#include <cstdint>
#include <random>

#include "codec/bytes.h"

namespace dqlite::test {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t next() { return engine_(); }
  // From 0 to bound - 1 (not by a distribution of the library: those differ between implementations).
  size_t below(size_t bound) { return static_cast<size_t>(engine_() % bound); }

  Bytes bytes(size_t size) {
    Bytes out(size);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(engine_());
    return out;
  }

  // One to four changes of the kinds that break parsers: bits, lengths, pieces that are gone, extra or
  // swapped.
  Bytes mutate(const Bytes& original) {
    Bytes out = original;
    for (size_t i = below(4) + 1; i > 0; i--) mutate_once(out);
    return Bytes(out.begin(), out.end());  // no spare capacity: the address sanitizer sees each byte too far
  }

 private:
  void mutate_once(Bytes& out) {
    if (out.empty()) {
      out.push_back(static_cast<uint8_t>(next()));
      return;
    }
    const size_t at = below(out.size());
    switch (below(7)) {
      case 0:
        out[at] = static_cast<uint8_t>(out[at] ^ (1U << below(8)));
        break;
      case 1:
        out[at] = static_cast<uint8_t>(next());
        break;
      case 2:
        out.resize(at);
        break;
      case 3:
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 4:
        out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), static_cast<uint8_t>(next()));
        break;
      case 5:  // an integer at its limits
        for (size_t i = at; i < out.size() && i < at + 4; i++) out[i] = (at & 1) != 0 ? 0xff : 0;
        break;
      default: {  // a piece copied over another
        const size_t from = below(out.size());
        for (size_t i = 0; i < 8 && at + i < out.size() && from + i < out.size(); i++)
          out[at + i] = out[from + i];
      }
    }
  }

  std::mt19937_64 engine_;
};

}  // namespace dqlite::test
