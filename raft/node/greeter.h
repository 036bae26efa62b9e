// Who may talk to this node: judges every greeting, and the answers to its own.
//
// Refused, each with a sentence: another cluster, a member id with another instance or this node's own id,
// somebody else than was expected, and a boot counter that went back (or stands still with another nonce):
// the sign of a directory that was copied or restored from a backup, which could vote twice [B7]. Boot
// counters of peers are kept durably by the identity file; the nonces only while this process lives. A start
// is refused, too, while another process of the same member is heard [M13].
//
// Members tell each other which starts they know and where these are, so that all refuse a copy of a directory whose
// original only some have met, and the leader finds a member that moved and knows no way to it: each its news at
// once, everybody the leader and the leader everybody from time to time. Of two
// processes with one identity the leader's opinion counts, and the other one, when it is told, fails. Loop
// thread; the writes go to the reader.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "raft/log/identity.h"
#include "raft/net/wire.h"
#include "raft/node/worker.h"

namespace dqlite::raft {

// What a member's user said of the place where it runs.
struct Place {
  std::string failure_domain;
  uint64_t weight = 0;
};

// What a removed node is told by members, and what it answers to its own users.
Status refusal_to_removed(const std::string& name);
Status refusal_of_removed();

class Greeter {
 public:
  Greeter(BootMemory& boot_memory, Worker& reader) : boot_memory_(boot_memory), reader_(reader) {}

  void set_identity(const Identity& identity, const std::string& address);
  void set_configuration(const Configuration& configuration) { configuration_ = configuration; }

  void set_place(const Place& place) { place_ = place; }
  // As this node has heard in this life, or knows of itself.
  [[nodiscard]] std::optional<Place> place_of(NodeId id) const;

  // Tells who was removed from the cluster: these are refused with kNotFound, from which they learn it.
  void set_removed(std::function<bool(NodeId)> was_removed) { was_removed_ = std::move(was_removed); }

  [[nodiscard]] net::Hello greeting() const;
  Status judge_greeting(const net::Hello& hello);
  Status judge_answer(NodeId peer, const net::Hello& answer);

  [[nodiscard]] uint64_t boot_counter_of(uint64_t instance) const { return newest(instance).counter; }
  // What this node knows, to be told to others.
  [[nodiscard]] net::BootReport report() const;
  // Something is known since the last call that others may not know.
  bool take_news() { return std::exchange(has_news_, false); }
  // A failure: this very process is not the newest start of its member.
  Status learn(const net::BootReport& report, bool from_leader);
  // What a leader said of who is alive is old.
  void forget_alive() { alive_.clear(); }
  // Of a connection that was accepted: has a newer start of the member shown itself since?
  [[nodiscard]] Status judge_again(const net::Hello& hello) const;
  // Tells whether a start of a member, by instance and nonce, is heard just now.
  void set_hears(std::function<bool(uint64_t, uint64_t)> hears) { hears_ = std::move(hears); }

  // Its newest start is connected to this node.
  [[nodiscard]] bool is_heard(const Member& member) const;
  // Where its newest start said that it is: newer than the configuration. Unset: not heard in this life.
  [[nodiscard]] std::optional<std::string> heard_address(const Member& member) const;

 private:
  struct Boot {
    uint64_t counter = 0;
    uint64_t nonce = 0;
    std::string address{};  // empty: not known

    bool operator==(const Boot&) const = default;
  };

  [[nodiscard]] Status judge_cluster(const net::Hello& hello) const;
  [[nodiscard]] Status not_a_member() const;
  [[nodiscard]] bool is_of_removed(const net::Hello& hello) const;
  Status judge_member(const net::Hello& hello);
  Status judge_boot(const net::Hello& hello);
  [[nodiscard]] bool is_outdated(const net::Hello& hello) const;
  [[nodiscard]] bool runs_elsewhere(const net::Hello& hello) const;
  [[nodiscard]] Boot newest(uint64_t instance) const;
  void remember(uint64_t instance, const Boot& boot);

  BootMemory& boot_memory_;
  Worker& reader_;
  Identity identity_;
  std::string address_;
  Place place_;
  std::map<NodeId, Place> places_;
  Configuration configuration_;
  std::function<bool(NodeId)> was_removed_;
  std::map<uint64_t, Boot> boots_;      // by instance, of this life
  std::map<uint64_t, uint64_t> alive_;  // by instance: the nonce of the start that the leader hears
  std::function<bool(uint64_t, uint64_t)> hears_;
  bool has_news_ = false;
};

}  // namespace dqlite::raft
