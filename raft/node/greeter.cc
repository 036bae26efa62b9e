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
  Status judged = judge_member(hello);
  if (judged && !hello.address.empty()) heard_addresses_[hello.node_id] = hello.address;
  return judged;
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
  const auto known = boots_.find(hello.instance);
  const uint64_t durable = boot_memory_.peer_boot_counter(hello.instance);
  const uint64_t highest = std::max(durable, known == boots_.end() ? 0 : known->second.counter);
  const bool is_other_life = known != boots_.end() && hello.boot_counter == known->second.counter &&
                             hello.boot_nonce != known->second.nonce;
  if (hello.boot_counter < highest || is_other_life) {
    return {Code::kRefused, name_of(hello) + " was started from a copied or restored directory (its start " +
                                std::to_string(hello.boot_counter) + " comes after its start " +
                                std::to_string(highest) +
                                "). If the original runs, end this one and use that; else " + kJoinAnew};
  }
  places_[hello.node_id] = {hello.failure_domain, hello.weight};
  boots_[hello.instance] = {hello.boot_counter, hello.boot_nonce};
  if (hello.boot_counter > durable) {
    // A failure loses nothing but the memory of this start.
    reader_.post([this, instance = hello.instance, counter = hello.boot_counter] {
      (void)boot_memory_.remember_peer(instance, counter);
    });
  }
  return Status::ok();
}

}  // namespace dqlite::raft
