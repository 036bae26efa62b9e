#include "vfs/write_turn.h"

#include <algorithm>

namespace dqlite::vfs {

using std::chrono::steady_clock;

std::list<WriteTurn::Ticket>::iterator WriteTurn::find(Owner owner) {
  return std::find_if(line_.begin(), line_.end(),
                      [&](const Ticket& ticket) { return ticket.owner == owner; });
}

void WriteTurn::drop_ticket(Owner owner) {
  auto ticket = find(owner);
  if (ticket != line_.end()) line_.erase(ticket);
}

// The turn is free: reserves it for the first in line who waits, if there is one.
void WriteTurn::pass_on(Time now) {
  holder_ = nullptr;
  reserved_ = false;
  for (Ticket& ticket : line_) {
    if (ticket.signal == nullptr) {
      ticket.passed_over = true;
      continue;
    }
    holder_ = ticket.owner;
    reserved_ = true;
    reserved_until_ = now + kReservation;
    ticket.signal->notify_one();
    return;
  }
}

void WriteTurn::expire_reservation(Time now) {
  if (reserved_ && now >= reserved_until_) pass_on(now);
}

bool WriteTurn::owner_may_take(Owner owner, Time now) {
  expire_reservation(now);
  if (holder_ == owner) return true;
  bool somebody_waits =
      std::any_of(line_.begin(), line_.end(), [](const Ticket& ticket) { return ticket.signal != nullptr; });
  return holder_ == nullptr && !somebody_waits;
}

bool WriteTurn::take(Owner owner) {
  std::lock_guard lock(mutex_);
  if (owner_may_take(owner, steady_clock::now())) {
    holder_ = owner;
    reserved_ = false;
    drop_ticket(owner);
    return true;
  }
  if (find(owner) == line_.end()) line_.push_back({owner});
  return false;
}

bool WriteTurn::await_locked(std::unique_lock<std::mutex>& lock, Owner owner, Time deadline) {
  auto ticket = find(owner);
  if (ticket == line_.end()) return holder_ == owner;
  std::condition_variable signal;
  ticket->signal = &signal;
  uint64_t wake_ups = wake_ups_;
  Time now = steady_clock::now();
  if (holder_ == nullptr) pass_on(now);
  while (holder_ != owner && now < deadline && wake_ups == wake_ups_) {
    // Whoever waits also watches over the reservation of the one before, which may begin unnoticed: each
    // waiter is woken alone.
    Time watch = reserved_ ? reserved_until_ : now + kWatch;
    signal.wait_until(lock, std::min(deadline, watch));
    now = steady_clock::now();
    if (holder_ != owner) expire_reservation(now);
  }
  ticket->signal = nullptr;
  if (holder_ == owner) reserved_until_ = now + kReservation;  // the time runs from the waking
  return holder_ == owner;
}

void WriteTurn::reserve_again(Owner owner) {
  std::lock_guard lock(mutex_);
  if (holder_ != owner) return;
  if (find(owner) == line_.end()) line_.push_front({owner});
  reserved_ = true;
  reserved_until_ = steady_clock::now() + kReservation;
}

void WriteTurn::step_back(Owner owner) {
  std::lock_guard lock(mutex_);
  bool held = holder_ == owner;
  if (find(owner) == line_.end()) line_.insert(held ? line_.begin() : line_.end(), {owner});
  find(owner)->passed_over = true;
  if (held) pass_on(steady_clock::now());
}

bool WriteTurn::was_passed_over(Owner owner) {
  std::lock_guard lock(mutex_);
  auto ticket = find(owner);
  return ticket != line_.end() && ticket->passed_over;
}

bool WriteTurn::await(Owner owner, Time deadline) {
  std::unique_lock lock(mutex_);
  return await_locked(lock, owner, deadline);
}

bool WriteTurn::take_before_snapshot(Owner owner, Time deadline) {
  std::unique_lock lock(mutex_);
  if (find(owner) == line_.end()) return holder_ == owner;
  if (!await_locked(lock, owner, deadline)) return false;
  // If it only reads after all, its next transaction must not take the turn again: one reservation, one
  // ticket.
  drop_ticket(owner);
  reserved_until_ = steady_clock::now() + kUpgradeReservation;
  return true;
}

bool WriteTurn::has_ticket(Owner owner) {
  std::lock_guard lock(mutex_);
  return find(owner) != line_.end();
}

bool WriteTurn::holds(Owner owner) {
  std::lock_guard lock(mutex_);
  return holder_ == owner;
}

void WriteTurn::hand_over(Owner from, Owner to) {
  std::lock_guard lock(mutex_);
  if (holder_ == from) {
    holder_ = to;
    reserved_ = false;
  }
}

void WriteTurn::release(Owner owner) {
  std::lock_guard lock(mutex_);
  drop_ticket(owner);
  if (holder_ == owner) pass_on(steady_clock::now());
}

void WriteTurn::wake_all() {
  std::lock_guard lock(mutex_);
  wake_ups_++;
  for (Ticket& ticket : line_) {
    if (ticket.signal != nullptr) ticket.signal->notify_one();
  }
}

size_t WriteTurn::waiting() {
  std::lock_guard lock(mutex_);
  return line_.size();
}

size_t WriteTurn::sleeping() {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(line_.begin(), line_.end(),
                                           [](const Ticket& ticket) { return ticket.signal != nullptr; }));
}

}  // namespace dqlite::vfs
