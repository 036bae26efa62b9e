#include "raft/node/greeter.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

std::string name_of(const net::Hello& hello) {
  return "member " + std::to_string(hello.node_id) + (hello.address.empty() ? "" : " at " + hello.address);
}

}  // namespace

Status refusal_to_removed(const std::string& name) {
  return {Code::kNotFound,
          name +
              " was removed from the cluster: to bring it back, empty its directory and let it "
              "join again (the same address will do)"};
}

Status refusal_of_removed() {
  return {
      Code::kRefused,
      "this node was removed from its cluster and shows the state of then. To bring it back, end its process, "
      "empty its directory and let it join again: the same address will do"};
}

void Greeter::set_identity(const Identity& identity, const std::string& address) {
  identity_ = identity;
  address_ = address;
}

std::optional<Place> Greeter::place_of(NodeId id) const {
  if (id == identity_.node_id) return place_;
  const auto found = places_.find(id);
  return found == places_.end() ? std::nullopt : std::optional<Place>(found->second);
}

net::Hello Greeter::greeting() const {
  net::Hello hello;
  // An id that is only being prepared is nobody's business yet.
  if (identity_.node_id != 0) hello.cluster_id = identity_.cluster_id;
  hello.node_id = identity_.node_id;
  hello.instance = identity_.instance;
  hello.boot_counter = identity_.boot_counter;
  hello.boot_nonce = identity_.boot_nonce;
  hello.address = address_;
  hello.failure_domain = place_.failure_domain;
  hello.weight = place_.weight;
  return hello;
}

Status Greeter::judge_greeting(const net::Hello& hello) {
  // Somebody who wants to join; a member asks so whether a node is of its own cluster.
  if (hello.node_id == 0) return hello.cluster_id.is_set() ? judge_cluster(hello) : Status::ok();
  if (identity_.node_id == 0) return not_a_member();
  if (is_of_removed(hello)) return refusal_to_removed(name_of(hello));
  if (hello.expected_id != 0 && hello.expected_id != identity_.node_id &&
      hello.cluster_id == identity_.cluster_id) {
    return {Code::kRefused, "member " + std::to_string(hello.expected_id) + " was expected at " + address_ +
                                ", but this is member " + std::to_string(identity_.node_id)};
  }
  return judge_member(hello);
}

std::optional<std::string> Greeter::heard_address(const Member& member) const {
  const auto known = boots_.find(member.instance);
  if (known == boots_.end() || known->second.address.empty()) return std::nullopt;
  return known->second.address;
}

bool Greeter::is_heard(const Member& member) const {
  const Boot known = newest(member.instance);
  return known.nonce != 0 && hears_ && hears_(member.instance, known.nonce);
}

Status Greeter::judge_answer(NodeId peer, const net::Hello& answer) {
  if (answer.node_id != peer) {
    return {Code::kRefused, "member " + std::to_string(peer) + " was expected, but this is " +
                                (answer.node_id == 0 ? "a node without a cluster" : name_of(answer))};
  }
  return judge_member(answer);
}

Status Greeter::judge_cluster(const net::Hello& hello) const {
  if (identity_.node_id == 0) return not_a_member();
  if (hello.cluster_id == identity_.cluster_id) return Status::ok();
  const auto& former = identity_.former_clusters;
  if (std::find(former.begin(), former.end(), hello.cluster_id) != former.end()) {
    return {
        Code::kRefused,
        "the node at " + address_ +
            " was made a new cluster of its own by dqlite_recover('force') when most members of cluster " +
            hello.cluster_id.text() + " were taken for lost, and the node at " + hello.address +
            " still belongs to the old one. What was written since is in the new one: end this node's process, empty "
            "its directory, and let it join " +
            address_};
  }
  return {Code::kRefused, "the node at " + hello.address + " belongs to cluster " + hello.cluster_id.text() +
                              ", but the node at " + address_ + " to cluster " + identity_.cluster_id.text()};
}

Status Greeter::not_a_member() const {
  return {Code::kNoQuorum, "the node at " + address_ + " is member of no cluster yet"};
}

bool Greeter::is_of_removed(const net::Hello& hello) const {
  return hello.cluster_id == identity_.cluster_id && was_removed_ && was_removed_(hello.node_id);
}

Status Greeter::judge_member(const net::Hello& hello) {
  Status same_cluster = judge_cluster(hello);
  if (!same_cluster) return same_cluster;
  if (hello.node_id == identity_.node_id) {
    return {
        Code::kRefused,
        name_of(hello) + " has the same id as the node at " + address_ +
            ": one of the two directories is a copy. End it, empty it and let it join at an address of its own"};
  }
  const Member* member = configuration_.find(hello.node_id);
  if (member != nullptr && member->instance != hello.instance) {
    return {Code::kRefused, name_of(hello) + " is not the node that joined under this id: " + kJoinAnew};
  }
  return judge_boot(hello);
}

Status Greeter::judge_boot(const net::Hello& hello) {
  if (is_outdated(hello)) return judge_again(hello);
  if (runs_elsewhere(hello)) {
    return {Code::kBusy, name_of(hello) +
                             " runs as another process at this moment: two processes with one "
                             "identity could vote twice. End one of the two; if this directory is "
                             "a copy, end this one and " +
                             kJoinAnew};
  }
  places_[hello.node_id] = {hello.failure_domain, hello.weight};
  remember(hello.instance, {hello.boot_counter, hello.boot_nonce, hello.address});
  return Status::ok();
}

Status Greeter::judge_again(const net::Hello& hello) const {
  if (!is_outdated(hello)) return Status::ok();
  return {Code::kRefused, name_of(hello) + " was started from a copied or restored directory (its start " +
                              std::to_string(hello.boot_counter) + " comes after its start " +
                              std::to_string(newest(hello.instance).counter) +
                              "). If the original runs, end this one and use that; else " + kJoinAnew};
}

bool Greeter::is_outdated(const net::Hello& hello) const {
  const Boot known = newest(hello.instance);
  const bool is_other_life =
      hello.boot_counter == known.counter && known.nonce != 0 && hello.boot_nonce != known.nonce;
  return hello.boot_counter < known.counter || is_other_life;
}

bool Greeter::runs_elsewhere(const net::Hello& hello) const {
  const Boot known = newest(hello.instance);
  if (known.nonce == 0 || known.nonce == hello.boot_nonce) return false;
  const auto alive = alive_.find(hello.instance);
  return (alive != alive_.end() && alive->second == known.nonce) ||
         (hears_ && hears_(hello.instance, known.nonce));
}

// Nonce 0: of an earlier life of this node.
Greeter::Boot Greeter::newest(uint64_t instance) const {
  const auto known = boots_.find(instance);
  const uint64_t durable = boot_memory_.peer_boot_counter(instance);
  if (known == boots_.end() || known->second.counter < durable) return {durable, 0};
  return known->second;
}

void Greeter::remember(uint64_t instance, const Boot& boot) {
  Boot& known = boots_[instance];
  has_news_ = has_news_ || known != boot;
  known = boot;
  if (boot.counter <= boot_memory_.peer_boot_counter(instance)) return;
  // A failure loses nothing but the memory of this start.
  reader_.post(
      [this, instance, counter = boot.counter] { (void)boot_memory_.remember_peer(instance, counter); });
}

net::BootReport Greeter::report() const {
  net::BootReport report;
  for (const Member& member : configuration_.members) {
    if (member.instance == identity_.instance) {
      report.starts.push_back(
          {member.instance, identity_.boot_counter, identity_.boot_nonce, false, address_});
      continue;
    }
    const Boot known = newest(member.instance);
    if (member.instance == 0 || known.counter == 0) continue;
    const bool is_alive = known.nonce != 0 && hears_ && hears_(member.instance, known.nonce);
    report.starts.push_back({member.instance, known.counter, known.nonce, is_alive, known.address});
  }
  return report;
}

Status Greeter::learn(const net::BootReport& report, bool from_leader) {
  if (from_leader) alive_.clear();
  for (const net::BootReport::Start& start : report.starts) {
    if (start.instance == identity_.instance) {
      const bool is_other = start.nonce != 0 && start.nonce != identity_.boot_nonce;
      const bool is_newer =
          start.counter > identity_.boot_counter || (start.counter == identity_.boot_counter && is_other);
      if (!from_leader || !is_newer) continue;
      return {Code::kPoisoned,
              "this node was started from a copied or restored directory, or a copy of its directory was "
              "started: this is start " +
                  std::to_string(identity_.boot_counter) +
                  ", and the leader knows another process with start " + std::to_string(start.counter) +
                  ". If that one runs, use it; else " + kJoinAnew};
    }
    const Boot known = newest(start.instance);
    const bool is_newer = start.counter > known.counter;
    const bool names_it = start.counter == known.counter && start.nonce != 0 && start.nonce != known.nonce &&
                          (known.nonce == 0 || from_leader);
    const bool is_heard = known.nonce != 0 && hears_ && hears_(start.instance, known.nonce);
    const bool says_where = start.counter == known.counter && start.nonce == known.nonce &&
                            known.address.empty() && !start.address.empty();
    if (says_where || ((is_newer || names_it) && (from_leader || !is_heard)))
      remember(start.instance, {start.counter, start.nonce, start.address});
    if (from_leader && start.is_alive) alive_[start.instance] = start.nonce;
  }
  return Status::ok();
}

}  // namespace dqlite::raft
