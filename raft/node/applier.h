// Hands everything to the state machine, on a lane of its own, in ONE order [A1 iv]: committed entries, changes of
// leadership, fates of proposals, arriving snapshots.
//
// The loop thread fills the queue; the applier thread alone calls `StateMachine` (but for the methods that
// are for any thread). What it keeps besides is small: this node's appended proposals whose fate is open.
//   1. `leadership_gained` is delivered after the no-op of its term was applied and before any later entry;
//      `leadership_lost` only after a `leadership_gained` that was delivered.
//   2. Every proposal gets exactly one fate: applied as `own`, or dropped. That this node's log lost its entry decides
//   nothing: only an entry that is committed in its place, or before it in a later term, does. After `poisoned` there
//   are no more fates.
//   3. Entries arrive once and without a gap.
// A failing apply is told once and nothing is applied after it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "raft/log/log.h"
#include "raft/node/mailbox.h"
#include "raft/node/published.h"
#include "raft/state_machine.h"

namespace dqlite::raft {

// Who waits for the fate of a proposal: the state machine, by its own id, or the node itself, by a ticket.
struct Origin {
  ProposalId machine_id = 0;
  uint64_t ticket = 0;  // not 0: the node's own
};

class Applier {
 public:
  struct Events {
    std::function<void()> progressed;  // `Published::applied` has reached `Published::report_at`
    std::function<void(const Status&)> failed;
    std::function<void(uint64_t ticket, Result<Index>)> ticket_decided;
  };

  Applier(std::unique_ptr<Lane> lane, StateMachine& machine, Published& published, Events events)
      : machine_(machine),
        published_(published),
        events_(std::move(events)),
        mailbox_(*lane),
        lane_(std::move(lane)) {}

  // If the thread ends by an exception, it still tells the state machine; nobody would take a `poison`.
  Status start();

  // --- the loop thread, in order ---
  // `applied`: what the state machine holds already.
  void begin(std::shared_ptr<Log> log, Index applied) { put(Begin{std::move(log), applied}); }
  // Begins with them at the next `wake` or earlier.
  void apply(std::vector<Entry> entries);
  void wake() { mailbox_.wake(); }
  // The same, but read from the log when their turn comes: they must be durable here.
  void apply_from_log(Index from, Index to) { put(Range{from, to}); }
  void change_leadership(const LeadershipEvent& event) { put(event); }
  // Counts when the entry's fate is known, which is a later call.
  void appended(EntryId entry, Origin origin) { mailbox_.put_quietly(Appended{entry, origin}); }
  void truncated(Index from) { put(Truncated{from}); }
  void dropped(Origin origin, const Status& reason) { put(Dropped{origin, reason}); }
  // `installed` is called on the applier thread with the outcome.
  void install(std::shared_ptr<SnapshotSink> sink, EntryId last, std::function<void(Status)> installed) {
    put(Install{std::move(sink), last, std::move(installed)});
  }
  // Wakes every waiter of the state machine; nothing is applied afterwards.
  void poison(const Status& reason) {
    mute_.store(true);
    put(Poison{reason});
  }
  void close() { mailbox_.close(); }

  bool wait_ended(Deadline deadline) { return lane_->wait_ended(deadline); }
  // Of entries that wait in the queue with their payloads.
  [[nodiscard]] size_t backlog_bytes() const { return backlog_bytes_.load(); }

 private:
  struct Begin {
    std::shared_ptr<Log> log;
    Index applied;
  };
  struct Entries {
    std::vector<Entry> entries;
  };
  struct Range {
    Index from;
    Index to;
  };
  struct Appended {
    EntryId entry;
    Origin origin;
  };
  struct Truncated {
    Index from;
  };
  struct Dropped {
    Origin origin;
    Status reason;
  };
  struct Install {
    std::shared_ptr<SnapshotSink> sink;
    EntryId last;
    std::function<void(Status)> installed;
  };
  struct Poison {
    Status reason;
  };
  using Item =
      std::variant<Begin, Entries, Range, LeadershipEvent, Appended, Truncated, Dropped, Install, Poison>;

  void put(Item item) { mailbox_.put(std::move(item)); }
  void work();
  void handle(Begin& begin);
  void handle(Entries& entries);
  void handle(Range& range);
  void handle(LeadershipEvent& event);
  void handle(Appended& appended);
  void handle(Truncated& truncated);
  void handle(Dropped& dropped);
  void handle(Install& install);
  void handle(Poison& poison);

  Status apply_one(const Entry& entry);
  std::optional<Origin> decide(const Entry& entry);
  void drop(Origin origin, const Status& reason);
  void drop_all(const Status& reason);
  void fail(const Status& reason);
  void note_applied(Index index);

  StateMachine& machine_;
  Published& published_;
  const Events events_;
  Mailbox<Item> mailbox_;
  std::atomic<size_t> backlog_bytes_{0};
  std::atomic<bool> mute_{false};  // poisoned: what waits in the queue is not applied any more

  // The applier thread's own.
  std::shared_ptr<Log> log_;
  Index applied_ = 0;
  std::deque<std::pair<EntryId, Origin>> pending_;  // ascending by index
  // Gone from this node's log, and still possible: another member that has them may lead and bring them back.
  std::vector<std::pair<EntryId, Origin>> overwritten_;
  std::optional<LeadershipEvent> gaining_;  // its no-op is not applied yet
  bool leads_ = false;
  bool failed_ = false;
  const std::unique_ptr<Lane> lane_;  // ends before the rest does
};

}  // namespace dqlite::raft
