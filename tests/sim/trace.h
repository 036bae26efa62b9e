// What happened, in a number for comparing two runs, and in lines for reading one. One thread.
#pragma once

#include <cstdio>
#include <string>

#include "tests/sim/timeline.h"

namespace dqlite::raft::sim {

class Trace {
 public:
  explicit Trace(const Timeline& timeline) : timeline_(timeline) {}

  void print(bool on) { is_printed_ = on; }
  [[nodiscard]] bool is_printed() const { return is_printed_; }
  // `host` 0: the whole world. `what` names the kind of event; the numbers tell two of a kind apart.
  void note(int host, const char* what, uint64_t a = 0, uint64_t b = 0) {
    for (const char* letter = what; *letter != 0; letter++) mix(static_cast<uint64_t>(*letter));
    mix(static_cast<uint64_t>(host));
    mix(timeline_.now());
    mix(a);
    mix(b);
    if (is_printed_) line(host, std::string(what) + " " + std::to_string(a) + " " + std::to_string(b));
  }
  // Only for reading.
  void line(int host, const std::string& text) const {
    if (!is_printed_) return;
    std::printf("%12.6f  %s  %s\n", static_cast<double>(timeline_.now()) / 1e6,
                host == 0 ? "--" : ("h" + std::to_string(host)).c_str(), text.c_str());
  }
  [[nodiscard]] uint64_t hash() const { return hash_; }

 private:
  void mix(uint64_t value) {
    hash_ ^= value + 0x9e3779b97f4a7c15ULL + (hash_ << 6) + (hash_ >> 2);
    hash_ *= 0xff51afd7ed558ccdULL;
  }

  const Timeline& timeline_;
  uint64_t hash_ = 1;
  bool is_printed_ = false;
};

}  // namespace dqlite::raft::sim
