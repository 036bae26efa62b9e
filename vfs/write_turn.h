// Whose turn it is to write to one database, and who is in line for it.
//
// SQLite lets one transaction at a time write. A connection that asks while another writes gets a ticket and
// SQLITE_BUSY at once; SQLite then calls the busy handler, which sleeps through the VFS's xSleep, and there
// the ticket is awaited, so that the application's busy time-out holds exactly [V-B1]. First come, first
// served; each waiter is woken alone. A ticket whose owner is not waiting when its turn comes (a busy handler
// that sleeps by itself, a statement that gave up) is passed over but keeps its place: `take_before_snapshot`
// uses it [V-B4, B1].
//
// Owners are opaque keys: a connection, or a commit whose fate is not known yet and that still occupies the
// turn. Any thread; nothing is called and no other lock is taken with the mutex held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

namespace dqlite::vfs {

class WriteTurn {
 public:
  using Owner = const void*;
  using Time = std::chrono::steady_clock::time_point;

  // How long a turn stays reserved for a waiter that was woken and has not taken it yet.
  static constexpr std::chrono::milliseconds kReservation{10};
  // The same for one that reads first and writes later.
  static constexpr std::chrono::milliseconds kUpgradeReservation{100};
  // How often a waiter looks whether the one before it let its reservation lapse.
  static constexpr std::chrono::milliseconds kWatch{25};

  // Takes the turn if it is free with nobody waiting, or reserved for (or held by) `owner`. Else `owner` has
  // a ticket from now on, at the end of the line unless it had one.
  bool take(Owner owner);

  // The turn, just taken, goes back to being reserved for `owner`: it needs a newer snapshot first.
  void reserve_again(Owner owner);
  // `owner` has, or gets, a ticket that it will not wait with: it comes back with `take_before_snapshot`. If
  // it holds the turn, the turn is passed on and the ticket is the first in line.
  void step_back(Owner owner);

  // Waits with `owner`'s ticket until the turn is reserved for it. False at `deadline`, the ticket stays;
  // false at once without a ticket.
  bool await(Owner owner, Time deadline);

  // For an owner that was passed over: waits for the turn and has it reserved, for the time of an upgrade,
  // before it looks at the database. False at `deadline`.
  bool take_before_snapshot(Owner owner, Time deadline);

  // True if `owner` has a ticket and was passed over, or stepped back.
  [[nodiscard]] bool was_passed_over(Owner owner);
  [[nodiscard]] bool has_ticket(Owner owner);
  [[nodiscard]] bool holds(Owner owner);

  // The turn, held by `from`, is `to`'s from now on.
  void hand_over(Owner from, Owner to);
  // Passes the turn on if `owner` holds it or has it reserved. Its ticket, if any, goes too.
  void release(Owner owner);
  // Wakes every waiter: leadership has gone, so that each asks again and gets the right answer.
  void wake_all();

  [[nodiscard]] size_t waiting();   // in line
  [[nodiscard]] size_t sleeping();  // of these, in `await` or `take_before_snapshot` now

 private:
  struct Ticket {
    Owner owner;
    std::condition_variable* signal = nullptr;  // set while its owner waits
    bool passed_over = false;                   // the turn went by while it did not
  };

  std::list<Ticket>::iterator find(Owner owner);
  void drop_ticket(Owner owner);
  bool owner_may_take(Owner owner, Time now);
  void expire_reservation(Time now);
  void pass_on(Time now);
  bool await_locked(std::unique_lock<std::mutex>& lock, Owner owner, Time deadline);

  std::mutex mutex_;        // guards everything below
  Owner holder_ = nullptr;  // of the turn or of its reservation
  bool reserved_ = false;   // holder_ was woken and has not taken it yet
  Time reserved_until_;
  std::list<Ticket> line_;
  uint64_t wake_ups_ = 0;  // counts wake_all
};

}  // namespace dqlite::vfs
