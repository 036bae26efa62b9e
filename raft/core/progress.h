// What a leader knows of one follower: how far its log agrees, what is on its way to it, and whether it is
// alive.
//
// The states are etcd's. Probe: where the logs agree is not known; one message at a time. Replicate: entries
// are sent ahead of their acknowledgement, within a window by count and by bytes. Snapshot: what the follower
// needs is no longer in the log; only heartbeats go until an acknowledgement shows that it can go on from the
// log. Part of the core; one thread.
//
// Invariants: P1 match < next; P2 only in Replicate is anything in flight.
#pragma once

#include <deque>
#include <optional>

#include "raft/core/types.h"

namespace dqlite::raft {

// The messages with entries that were sent and not yet acknowledged.
class Inflights {
 public:
  void add(Index last, size_t bytes);
  void free_to(Index match);
  void clear();
  [[nodiscard]] bool empty() const { return sent_.empty(); }
  [[nodiscard]] size_t count() const { return sent_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Sent {
    Index last;
    size_t bytes;
  };
  std::deque<Sent> sent_;
  size_t bytes_ = 0;
};

struct Progress {
  enum class State : uint8_t { kProbe, kReplicate, kSnapshot };

  State state = State::kProbe;
  Index match = 0;  // acknowledged as durable there
  Index next = 1;   // the next entry to send
  Inflights inflights;
  bool probe_sent = false;           // Probe: wait for an answer before the next message
  uint64_t probe_sent_at = 0;        // tick: lost, if the follower answers other messages a heartbeat later
  bool reading = false;              // entries were asked for from the log
  uint64_t read_again_at = 0;        // tick: not before, after an unreadable answer
  Index match_at_heartbeat = 0;      // to notice a window that does not move
  Index commit_told = 0;             // the follower can know this much to be committed
  bool active = false;               // heard of since the last check of the quorum
  std::optional<uint64_t> heard_at;  // tick
  std::optional<uint64_t> leaving_since;  // tick: no member any more, kept until it knows
  uint64_t round_told = 0;                // ReadIndex: the newest round a message to it carried
  uint64_t acknowledged_round = 0;
  // Catching up in rounds (dissertation 4.2.1): the round's end, and the tick at which it began.
  Index catch_up_target = 0;
  uint64_t catch_up_began = 0;
  bool caught_up = false;
  bool cannot_lead = false;   // it says so itself
  int transfers_in_vain = 0;  // it did not take leadership over

  void become_probe(Index next_index);
  void become_replicate();
  void become_snapshot();
  // `match` was acknowledged. True if it is news: more entries agree, or the probe found where the logs
  // agree.
  bool accept(Index acknowledged);
  // The follower refused what follows `refused`. False if that is old news; else probing goes on from
  // `hint_next`.
  bool reject(Index refused, Index hint_next);
};

}  // namespace dqlite::raft
