#include "tests/sim/sim_cluster.h"

namespace dqlite::raft::sim {

SimCluster::SimCluster(uint64_t seed) : world(seed), random(seed ^ 0x636c7573746572), seed_(seed) {
  options.segment_bytes = 64 << 10;
  options.log_tail_bytes = 1 << 20;
  options.roles.voters = 7;
}

// --- time ---

void SimCluster::run_for(Micros duration) {
  const Micros end = world.timeline.now() + duration;
  while (violation().empty() && world.timeline.has_event_before(end)) world.timeline.run_next();
  world.timeline.advance_to(end);
}

bool SimCluster::run_until(const std::function<bool()>& condition, Micros limit) {
  const Micros end = world.timeline.now() + limit;
  while (violation().empty() && world.timeline.now() < end) {
    if (condition()) return true;
    run_for(20 * kMillisecond);
  }
  return false;
}

// --- hosts ---

SimHost& SimCluster::add_host() {
  const int number = static_cast<int>(hosts_.size()) + 1;
  auto made = std::make_unique<SimHost>(world, number,
                                        Random(seed_ * 1000 + static_cast<uint64_t>(number)).next(), options);
  made->shape = shape;
  SimHost& added = *made;
  hosts_[number] = std::move(made);
  if (number == 1) {
    added.found({random.next() | 1, random.next()}, random.below(4) == 0);
  } else {
    added.join(host(1).address);
  }
  added.start();
  return added;
}

void SimCluster::form(int voters) {
  while (static_cast<int>(hosts_.size()) < voters) add_host();
  await_voters(static_cast<size_t>(voters));
  settle();
}

void SimCluster::await_voters(size_t count) {
  const bool came = run_until([&] {
    SimHost* leads = leader();
    return leads != nullptr && leads->process()->core().configuration().voter_count() == count;
  });
  if (!came) world.book.fail("the cluster could not be formed: " + describe());
}

SimHost* SimCluster::leader() {
  SimHost* newest = nullptr;
  for (auto& [number, each] : hosts_) {
    if (!each->is_running() || !each->process()->leads() || each->process()->machine().leads() == 0) continue;
    if (newest == nullptr || each->process()->core().term() > newest->process()->core().term())
      newest = each.get();
  }
  return newest;
}

SimHost* SimCluster::await_leader(Micros limit) {
  run_until([this] { return leader() != nullptr; }, limit);
  return leader();
}

SimHost& SimCluster::follower() {
  SimHost* leads = leader();
  for (auto& [number, each] : hosts_) {
    if (each.get() != leads && each->is_running()) return *each;
  }
  return *hosts_.begin()->second;
}

void SimCluster::isolate(SimHost& isolated) {
  for (auto& [number, each] : hosts_) {
    if (each.get() != &isolated) world.network.cut(number, isolated.number());
  }
}

void SimCluster::restart(SimHost& restarted) {
  restarted.end(SimHost::End::kPowerLoss, false);
  restarted.start();
}

// --- writes ---

bool SimCluster::write(int count, size_t padding, Micros limit) {
  const uint64_t goal = acked() + static_cast<uint64_t>(count);
  const Micros end = world.timeline.now() + limit;
  while (acked() < goal && violation().empty() && world.timeline.now() < end) {
    const uint64_t before = acked();
    if (SimHost* leads = leader()) leads->process()->write(0, padding);
    run_until([&] { return acked() > before; }, kSecond);
  }
  return acked() >= goal;
}

void SimCluster::begin_load(Micros interval, size_t padding) {
  load(++load_, interval, padding);
}

void SimCluster::load(uint64_t generation, Micros interval, size_t padding) {
  world.timeline.after(interval / 2 + random.below(interval + 1), [this, generation, interval, padding] {
    if (generation != load_) return;
    if (SimHost* leads = leader()) leads->process()->write(random.below(3), padding);
    load(generation, interval, padding);
  });
}

bool SimCluster::is_settled() {
  SimHost* leads = leader();
  if (leads == nullptr) return false;
  const MachineState& state = leads->process()->machine().state();
  if (state.last.index < leads->process()->core().last().index) return false;
  for (const Member& member : leads->process()->core().configuration().members) {
    SimHost* each = find(member.id);
    if (member.role == MemberRole::kSpare || each == nullptr || each->is_lost() || each->is_paused())
      continue;
    if (!each->is_up() || each->process()->member() == nullptr) return false;
    const MachineState& other = each->process()->machine().state();
    if (other.last != state.last || other.hash != state.hash) return false;
  }
  return true;
}

// --- looking ---

SimHost* SimCluster::find(NodeId member) {
  for (auto& [number, each] : hosts_) {
    if (each->identity.node_id == member) return each.get();
  }
  return nullptr;
}

std::vector<Configuration> SimCluster::configurations() {
  std::vector<Configuration> found;
  for (auto& [number, each] : hosts_) {
    if (!each->is_up() || each->process()->member() == nullptr) continue;
    const Core& core = each->process()->core();
    found.push_back(core.configuration());
    const Result<LogStart> committed = core.log_start_at(core.commit_index());
    if (committed) found.push_back(committed->configuration);
  }
  return found;
}

bool SimCluster::has_majority_without(const std::function<bool(SimHost&)>& is_out) {
  for (const Configuration& configuration : configurations()) {
    size_t voters = 0;
    for (const Member& member : configuration.members) {
      SimHost* each = find(member.id);
      if (member.role == MemberRole::kVoter && each != nullptr && !is_out(*each)) voters++;
    }
    if (configuration.voter_count() > 0 && voters < configuration.quorum()) return false;
  }
  return true;
}

std::string SimCluster::describe() {
  std::string text;
  for (auto& [number, each] : hosts_) {
    text += " [h" + std::to_string(number) + " member " + std::to_string(each->identity.node_id);
    if (each->is_lost()) text += " lost";
    if (each->is_paused()) text += " paused";
    if (!each->is_up()) text += " down";
    if (each->is_up() && each->process()->is_poisoned()) text += " poisoned";
    if (each->is_up() && each->process()->member() != nullptr) {
      const Core& core = each->process()->core();
      text += " role " + std::to_string(static_cast<int>(core.role())) + " term " +
              std::to_string(core.term()) + " last " + std::to_string(core.last().index) + " commit " +
              std::to_string(core.commit_index()) + " applied " +
              std::to_string(each->process()->machine().state().last.index) + " of";
      for (const PeerStatus& peer : core.peers()) {
        const Member& other = peer.member;
        const char* role = other.role == MemberRole::kVoter ? "v" : other.promote ? "p" : "-";
        text += " " + std::to_string(other.id) + role + std::to_string(peer.match);
      }
    }
    text += "]";
  }
  return text;
}

}  // namespace dqlite::raft::sim
