#include "tests/sim/simulation.h"

#include <algorithm>

namespace dqlite::raft::sim {

namespace {

constexpr int kMostHosts = 8;
// Changes of the members that were asked for before the calm have ended by then.
constexpr Micros kStillUnderWay = 5 * kSecond;

template <size_t... kNumbers>
std::array<Random, sizeof...(kNumbers)> random_streams(uint64_t seed, std::index_sequence<kNumbers...>) {
  return {Random(Random(seed ^ (kNumbers << 32)).next())...};
}

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      shape_(options.seed, options.without),
      cluster_(options.seed),
      client_random_(options.seed ^ 0x636c69656e74),
      randoms_(random_streams(options.seed, std::make_index_sequence<kFaults>())) {
  if (options.safety != 0) shape_.safety = options.safety;
  cluster_.world.trace.print(options.trace);
  cluster_.options = shape_.options;
  cluster_.shape = shape_.host;
}

std::string Simulation::run() {
  begin();
  cluster_.run_for(shape_.safety);
  if (cluster_.violation().empty()) {
    calm();
    cluster_.run_for(kStillUnderWay);
    freeze_some();
    live();
  }
  Counters& counters = cluster_.world.counters;
  counters[Count::kVirtualSeconds] = cluster_.world.timeline.now() / kSecond;
  counters[Count::kEvents] = cluster_.world.timeline.events_run();
  counters[Count::kCommits] = cluster_.world.book.commit_count();
  return cluster_.violation();
}

// --- the safety phase ---

void Simulation::begin() {
  for (int number = 1; number <= shape_.hosts; number++) {
    if (shape_.drift > 0)
      cluster_.shape.clock_per_thousand = 1000 - shape_.drift / 2 + client_random_.below(shape_.drift + 1);
    cluster_.add_host();
  }
  clients();
  take_care();
  if (shape_.is_early) {
    begin_faults();
  } else {
    const size_t voters = std::min(static_cast<size_t>(shape_.hosts), shape_.options.roles.voters);
    cluster_.await_voters(voters == 2 ? 1 : voters);  // the second comes with the third
    begin_faults();
  }
}

void Simulation::begin_faults() {
  cluster_.world.network.set_shape(shape_.network);
  for (size_t i = 0; i < kFaults; i++) {
    if (shape_.interval.at(i) != 0) repeat(static_cast<Fault>(i));
  }
}

void Simulation::repeat(Fault fault) {
  Random& random = randoms_.at(static_cast<size_t>(fault));
  cluster_.world.timeline.after(random.below(2 * shape_.interval_of(fault)) + 1, [this, fault, &random] {
    if (is_calm_) return;
    happen(fault, random);
    repeat(fault);
  });
}

SimHost& Simulation::any_host(Random& random) {
  // The leader is where it hurts most.
  if (SimHost* leads = cluster_.leader(); leads != nullptr && random.below(3) == 0) return *leads;
  return cluster_.host(1 + static_cast<int>(random.below(cluster_.hosts().size())));
}

void Simulation::happen(Fault fault, Random& random) {
  SimHost& host = any_host(random);
  cluster_.world.trace.note(host.number(), name(fault));
  if (fault <= Fault::kPause) return harm_process(fault, host, random);
  if (fault <= Fault::kHungDisk) return harm_disk(fault, host, random);
  if (fault <= Fault::kClog) return harm_network(fault, host, random);
  operate(fault, host, random);
}

void Simulation::harm_process(Fault fault, SimHost& host, Random& random) {
  if (!host.is_up()) return;
  switch (fault) {
    case Fault::kKill:
      return host.end(SimHost::End::kKill, false);
    case Fault::kPowerLoss:
      return host.end(SimHost::End::kPowerLoss, false);
    case Fault::kCrashInTheMiddle:
      return host.end(random.below(2) == 0 ? SimHost::End::kKill : SimHost::End::kPowerLoss, true);
    case Fault::kCrashInRecovery:
      host.crash_next_start(1 + random.below(10));
      return host.end(SimHost::End::kPowerLoss, random.below(2) == 0);
    case Fault::kStop:
      return host.stop_in_order();
    default: {
      cluster_.world.counters[Count::kPauses]++;
      host.pause();
      const Micros duration = random.below(3) == 0 ? random.below(8 * kSecond) : random.below(kSecond);
      cluster_.world.timeline.after(duration, [&host] { host.resume(); });
    }
  }
}

void Simulation::harm_disk(Fault fault, SimHost& host, Random& random) {
  Counters& counters = cluster_.world.counters;
  switch (fault) {
    case Fault::kDiskError:
      if (!host.is_up()) return;
      counters[Count::kDiskErrors]++;
      return host.fail_disk_at(1 + random.below(20));
    case Fault::kFullDisk:
      host.fill_disk();
      return cluster_.world.timeline.after(random.below(4 * kSecond), [&host] { host.empty_disk(); });
    case Fault::kRot:
      if (!may_be_damaged() || !host.flip_bit()) return;
      counters[Count::kBitFlips]++;
      // Whether the damage is found at a start or by a read is the dice's choice.
      if (random.below(2) == 0) host.end(SimHost::End::kKill, false);
      return;
    default:
      counters[Count::kHungDisks]++;
      return host.hang_disk(random.below(6 * kSecond));
  }
}

void Simulation::harm_network(Fault fault, SimHost& host, Random& random) {
  SimNetwork& network = cluster_.world.network;
  SimHost& other = any_host(random);
  Counters& counters = cluster_.world.counters;
  switch (fault) {
    case Fault::kCut: {
      counters[Count::kPartitions]++;
      network.heal();
      // One host alone, or two sides.
      const bool is_alone = random.below(2) == 0;
      std::set<int> side;
      for (const auto& [number, each] : cluster_.hosts()) {
        if (is_alone ? number == host.number() : random.below(2) == 0) side.insert(number);
      }
      for (const auto& [a, one] : cluster_.hosts()) {
        for (const auto& [b, two] : cluster_.hosts()) {
          if (side.contains(a) != side.contains(b)) network.cut_one_way(a, b);
        }
      }
      break;
    }
    case Fault::kOneWayCut:
      counters[Count::kOneWayCuts]++;
      network.cut_one_way(host.number(), other.number());
      break;
    default:
      counters[Count::kClogs]++;
      return network.clog(host.number(), other.number(), random.below(4 * kSecond));
  }
  if (random.below(4) != 0)
    cluster_.world.timeline.after(random.below(4 * kSecond), [&network] { network.heal(); });
}

void Simulation::operate(Fault fault, SimHost& host, Random& random) {
  Counters& counters = cluster_.world.counters;
  SimProcess* process = host.is_running() ? host.process() : nullptr;
  if (fault == Fault::kMove) {
    if (host.is_damaged() || !everybody_knows_the_addresses() || !knows_the_cluster(host)) return;
    host.move_to("m" + std::to_string(cluster_.world.timeline.now()) + ":1");
    host.end(SimHost::End::kKill, false);
    counters[Count::kMoves]++;
    return;
  }
  if (fault == Fault::kAddMember) {
    if (cluster_.hosts().size() < kMostHosts) cluster_.add_host();
    return;
  }
  if (process == nullptr) return;
  switch (fault) {
    case Fault::kClockJump:
      counters[Count::kClockJumps]++;
      return process->jump_clock(static_cast<int>(random.below(50)));
    case Fault::kStarvation:
      counters[Count::kStarvedClocks]++;
      return process->starve(random.below(10 * kSecond));
    case Fault::kTransfer:
      return process->hand_over();
    case Fault::kCheckpoint:
      for (const auto& [number, each] : cluster_.hosts()) {
        if (each->is_running() && random.below(3) != 0) each->process()->make_checkpoint();
      }
      return;
    case Fault::kForward:
      return process->write_anywhere(random.below(200), random.below(3 * kSecond) + 10 * kMillisecond);
    case Fault::kRead:
      return process->confirm_leadership();
    default:
      change_members(fault, host, random);
  }
}

// Members find each other by address: so one moves when all others have heard of the last move.
bool Simulation::everybody_knows_the_addresses() {
  for (const auto& [number, host] : cluster_.hosts()) {
    if (!host->is_up() || host->process()->member() == nullptr) return false;
  }
  for (const Configuration& configuration : cluster_.configurations()) {
    for (const Member& member : configuration.members) {
      const SimHost* host = cluster_.find(member.id);
      if (host != nullptr && host->address != member.address) return false;
    }
  }
  return true;
}

// Durably, and all of it: a host that comes back elsewhere has to find the others by itself, and they cannot
// find it.
bool Simulation::knows_the_cluster(SimHost& host) {
  const Core& core = host.process()->core();
  const Result<LogStart> known = core.log_start_at(std::min(core.commit_index(), core.durable_index()));
  if (!known || known->configuration.find(core.self()) == nullptr) return false;
  for (const Configuration& configuration : cluster_.configurations()) {
    for (const Member& member : configuration.members) {
      if (known->configuration.find(member.id) == nullptr) return false;
    }
  }
  return true;
}

// Asked of any member; the leader's members are what it is about.
void Simulation::change_members(Fault fault, SimHost& asked, Random& random) {
  SimHost* leads = cluster_.leader();
  if (leads == nullptr) return;
  const std::vector<Member> members = leads->process()->core().configuration().members;
  const Member member = members.at(random.below(members.size()));
  MemberChange change;
  change.id = member.id;
  change.role = static_cast<MemberRole>(1 + random.below(3));
  change.action = fault == Fault::kRemoveMember ? MemberAction::kRemove : MemberAction::kSetRole;
  const bool loses_vote = fault == Fault::kRemoveMember || change.role != MemberRole::kVoter;
  if (loses_vote && member.role == MemberRole::kVoter && !may_lose_vote(member.id)) return;
  if (fault == Fault::kRemoveMember && members.size() < 2) return;
  if (loses_vote) vote_is_lost_until_ = cluster_.world.timeline.now() + kStillUnderWay;
  cluster_.world.counters[fault == Fault::kRemoveMember ? Count::kRemovals : Count::kRoleChanges]++;
  asked.process()->change_members(change, random.below(3 * kSecond));
}

// One at a time, and only of three voters or more: a standby with a damaged log may be made a voter, too.
bool Simulation::may_be_damaged() {
  if (cluster_.world.timeline.now() < vote_is_lost_until_) return false;
  for (const auto& [number, each] : cluster_.hosts()) {
    if (each->is_damaged()) return false;
    // Nobody knows what configuration a host that is down may come back with.
    if (!each->is_up() && each->is_member()) return false;
  }
  for (const Configuration& configuration : cluster_.configurations()) {
    if (configuration.voter_count() < 3) return false;
  }
  return true;
}

// The others are to have a majority by themselves, also with a change that was asked for before.
bool Simulation::may_lose_vote(NodeId member) {
  const auto& hosts = cluster_.hosts();
  const bool has_damage =
      std::any_of(hosts.begin(), hosts.end(), [](const auto& item) { return item.second->is_damaged(); });
  if (has_damage && cluster_.world.timeline.now() < vote_is_lost_until_) return false;
  for (const Configuration& configuration : cluster_.configurations()) {
    size_t sound = 0;
    for (const Member& each : configuration.members) {
      SimHost* host = cluster_.find(each.id);
      const bool is_sound = host != nullptr && !host->is_damaged() && each.id != member;
      if (each.role == MemberRole::kVoter && is_sound) sound++;
    }
    const size_t left = configuration.voter_count() - (configuration.is_voter(member) ? 1 : 0);
    if (left == 0 || sound < left / 2 + 1) return false;
  }
  return true;
}

// Starts again what is down or has failed.
void Simulation::take_care() {
  for (const auto& [number, host] : cluster_.hosts()) {
    if (host->is_up() && host->process()->is_poisoned() && !host->is_stopping() && !host->is_paused() &&
        client_random_.below(3) == 0)
      host->end(SimHost::End::kKill, false);
    if (!host->is_up() && client_random_.below(4) == 0) host->start();
  }
  cluster_.world.timeline.after(200 * kMillisecond, [this] { take_care(); });
}

void Simulation::clients() {
  cluster_.world.timeline.after(client_random_.below(2 * shape_.write_interval) + 1, [this] {
    SimHost& host = any_host(client_random_);
    if (host.is_running()) {
      for (uint64_t count = 1 + client_random_.below(4); count > 0; count--)
        host.process()->write(client_random_.below(4), client_random_.below(shape_.padding + 1));
    }
    clients();
  });
}

// --- the liveness phase ---

void Simulation::calm() {
  is_calm_ = true;
  cluster_.world.trace.note(0, "calm");
  SimNetwork& network = cluster_.world.network;
  network.heal();
  network.unclog();
  network.set_shape({});
  for (const auto& [number, host] : cluster_.hosts()) {
    host->empty_disk();
    host->hang_disk(0);
    host->resume();
    // A leader that cannot read an old entry lets those wait who need it; a start finds the damage.
    if (host->is_up() && (host->process()->is_poisoned() || host->is_damaged()))
      host->end(SimHost::End::kKill, false);
    host->crash_next_start(0);
    host->shape.disk = 500;
    host->shape.full_installs = 0;
    if (host->is_up()) host->process()->machine().set_full_installs(0);
    if (!host->is_up()) host->start();
  }
}

// The leader does not know yet that it is frozen.
bool Simulation::may_be_promoted(NodeId member) {
  for (const Configuration& configuration : cluster_.configurations()) {
    const Member* found = configuration.find(member);
    if (found == nullptr || found->role != MemberRole::kVoter) return true;
  }
  return false;
}

// For good. What is left is a majority of every configuration that may turn out to be the one.
void Simulation::freeze_some() {
  // Addresses travel by way of a leader: members that joined and moved meanwhile may need somebody between
  // them to elect one.
  if (cluster_.world.counters[Count::kMoves] > 0) return;
  for (const auto& item : cluster_.hosts()) {
    SimHost* host = item.second.get();
    if (client_random_.below(2) == 0 || host->is_lost() || may_be_promoted(host->identity.node_id)) continue;
    const auto is_out = [&](SimHost& each) { return &each == host || each.is_paused() || each.is_damaged(); };
    if (cluster_.has_majority_without(is_out)) host->pause();
  }
}

void Simulation::live() {
  const Micros limit = 120 * kSecond;
  const uint64_t acked = cluster_.acked();
  const auto has_progress = [&] { return cluster_.acked() > acked + 5; };
  if (!cluster_.run_until(has_progress, limit))
    return cluster_.world.book.fail("no progress:" + cluster_.describe());
  // The clients end, and everybody gets to the same state.
  shape_.write_interval = 100000 * kSecond;
  cluster_.run_for(kSecond);
  if (!cluster_.settle(limit)) return cluster_.world.book.fail("not settled:" + cluster_.describe());
  if (SimHost* leads = cluster_.leader())
    cluster_.world.book.check_acked_are_there(leads->process()->machine().state().last.index);
}

}  // namespace dqlite::raft::sim
