// Who may talk to this node: judges every greeting, and the answers to its own.
//
// Refused, each with a sentence: another cluster, a member id with another instance or this node's own id,
// somebody else than was expected, and a boot counter that went back (or stands still with another nonce):
// the sign of a directory that was copied or restored from a backup, which could vote twice [B7]. Boot
// counters of peers are kept durably by the identity file; the nonces only while this process lives. Loop
// thread; the writes go to the reader.
#pragma once

#include <functional>
#include <map>
#include <optional>

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

  // Where members said in this life that they are: newer than the configuration.
  [[nodiscard]] const std::map<NodeId, std::string>& heard_addresses() const { return heard_addresses_; }

 private:
  struct Boot {
    uint64_t counter = 0;
    uint64_t nonce = 0;
  };

  [[nodiscard]] Status judge_cluster(const net::Hello& hello) const;
  [[nodiscard]] Status not_a_member() const;
  [[nodiscard]] bool is_of_removed(const net::Hello& hello) const;
  Status judge_member(const net::Hello& hello);
  Status judge_boot(const net::Hello& hello);

  BootMemory& boot_memory_;
  Worker& reader_;
  Identity identity_;
  std::string address_;
  Place place_;
  std::map<NodeId, Place> places_;
  Configuration configuration_;
  std::function<bool(NodeId)> was_removed_;
  std::map<uint64_t, Boot> boots_;  // by instance, of this life
  std::map<NodeId, std::string> heard_addresses_;
};

}  // namespace dqlite::raft
