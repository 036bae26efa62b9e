// Virtual time: events in the order of their moment, and of their making where moments are equal. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace dqlite::raft::sim {

using Micros = uint64_t;
constexpr Micros kMillisecond = 1000;
constexpr Micros kSecond = 1000 * kMillisecond;

class Timeline {
 public:
  using Event = std::function<void()>;

  [[nodiscard]] Micros now() const { return now_; }
  void after(Micros delay, Event event) {
    heap_.push_back({now_ + delay, next_number_++, std::move(event)});
    std::push_heap(heap_.begin(), heap_.end(), is_later);
  }
  [[nodiscard]] bool has_event_before(Micros end) const { return !heap_.empty() && heap_.front().when < end; }
  void advance_to(Micros moment) { now_ = std::max(now_, moment); }
  // False: nothing will ever happen again.
  bool run_next() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), is_later);
    const Item item = std::move(heap_.back());
    heap_.pop_back();
    now_ = item.when;
    events_run_++;
    item.event();
    return true;
  }
  [[nodiscard]] uint64_t events_run() const { return events_run_; }

 private:
  struct Item {
    Micros when;
    uint64_t number;
    Event event;
  };
  static bool is_later(const Item& a, const Item& b) {
    return a.when != b.when ? a.when > b.when : a.number > b.number;
  }

  std::vector<Item> heap_;
  Micros now_ = 0;
  uint64_t next_number_ = 0;
  uint64_t events_run_ = 0;
};

}  // namespace dqlite::raft::sim
