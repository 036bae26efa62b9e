#include "tests/raft/core/simulation.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr int kElectionTicks = 10;
constexpr Index kFirstBase = 100;
constexpr size_t kMostMembers = 6;

}  // namespace

void Simulation::Counts::add(const Counts& other) {
  elections += other.elections;
  commits += other.commits;
  crashes += other.crashes;
  proposals += other.proposals;
  refused_bases += other.refused_bases;
  membership_changes += other.membership_changes;
  transfers += other.transfers;
  transfers_done += other.transfers_done;
  reads += other.reads;
  reads_done += other.reads_done;
  snapshots += other.snapshots;
  installs += other.installs;
  log_reads += other.log_reads;
  rots += other.rots;
  repairs += other.repairs;
}

Simulation::Simulation(uint64_t seed)
    : Cluster(1 + static_cast<int>(Random(seed).below(5)), kFirstBase), random_(seed) {
  auto rate = [this](int most) {
    return chance(400) ? 0 : static_cast<int>(random_.below(static_cast<uint64_t>(most)));
  };
  shape_.loss = rate(300);
  shape_.duplicate = rate(200);
  shape_.disk_speed = 100 + static_cast<int>(random_.below(900));
  shape_.crash = rate(12);
  shape_.partition = rate(12);
  shape_.membership = rate(25);
  shape_.transfer = rate(10);
  shape_.read = rate(60);
  shape_.compact = rate(30);
  shape_.propose = 20 + rate(200);
  shape_.pause = rate(8);
  shape_.wake = 3 + static_cast<int>(random_.below(40));
  shape_.storm = rate(60);
  shape_.network_speed = 1 + static_cast<int>(random_.below(3 * members.size() + 1));
  shape_.rot = chance(500) ? 0 : static_cast<int>(random_.below(600));
  if (chance(300)) {
    // Leaders change faster than messages arrive, and each leaves a little of its own behind.
    shape_.storm = 50 + static_cast<int>(random_.below(150));
    shape_.membership = rate(300);
    shape_.propose = rate(200);
    shape_.network_speed = 1 + static_cast<int>(random_.below(5));
    shape_.transfer = rate(40);
  }
  const CoreOptions options{.election_ticks = kElectionTicks,
                            .max_message_bytes = 64 + random_.below(400),
                            .max_inflight_messages = 1 + random_.below(6),
                            .max_inflight_bytes = 100 + random_.below(2000),
                            .max_uncommitted_bytes = 300 + random_.below(3000),
                            .waits_to_tell_commit = chance(500),
                            .cache_bytes = random_.below(3000)};
  for (auto& [id, m] : members) {
    m->options = options;
    m->options.self = id;
    m->options.seed = seed;
    Cluster::restart(id);
  }
}

TestMember& Simulation::any() {
  auto found = members.begin();
  std::advance(found, static_cast<std::ptrdiff_t>(random_.below(members.size())));
  return *found->second;
}

TestMember* Simulation::any_live() {
  TestMember& m = any();
  return m.core && !frozen_.contains(m.id) ? &m : nullptr;
}

void Simulation::move_network() {
  if (network.empty()) return;
  // Mostly in order, as TCP does; sometimes from anywhere.
  const size_t at = chance(700) ? 0 : random_.below(network.size());
  const Message message = network[at];
  if (!chance(shape_.duplicate)) network.erase(network.begin() + static_cast<std::ptrdiff_t>(at));
  if (chance(shape_.loss)) return;
  if (frozen_.contains(message.to)) return;
  deliver(message);
  while (network.size() > 400)
    network.erase(network.begin() + static_cast<std::ptrdiff_t>(random_.below(network.size())));
}

void Simulation::move_disks(TestMember& m) {
  if (chance(shape_.disk_speed)) write_one(m);
  if (chance(shape_.disk_speed)) apply_some(m, 1 + random_.below(20));
  if (chance(shape_.disk_speed) && answer_log_read(m)) counts_.log_reads++;
  if (chance(shape_.disk_speed) && m.install) {
    const bool ok = !chance(100);
    finish_install(m, ok);
    if (ok) counts_.installs++;
  }
  if (!m.snapshots.empty() && chance(shape_.disk_speed)) {
    const NodeId peer = m.snapshots.front().peer;
    m.snapshots.erase(m.snapshots.begin());
    counts_.snapshots++;
    if (chance(100)) {
      m.core->snapshot_sent(peer, {}, false);
      collect(m);
    } else {
      send_snapshot(m, peer);
    }
  }
  // A sender gives a stream up that nobody answers.
  if (chance(20)) {
    for (const auto& [id, other] : members) {
      m.core->snapshot_sent(id, {}, false);
    }
    collect(m);
  }
}

// The disk may have more than the core was told, and the last write may be torn.
void Simulation::crash_now(TestMember& m) {
  counts_.crashes++;
  while (!m.writes.empty() && chance(400)) {
    m.disk.write(m.writes.front());
    m.writes.pop_front();
  }
  if (!m.writes.empty() && chance(300)) {
    flush_writes_at_crash(m, m.writes.front(), random_.below(m.writes.front().entries.size() + 1));
  }
  crash(m.id);
  std::erase_if(reads_, [&](const auto& read) { return read.second.member == m.id; });
}

bool Simulation::is_any_damaged() const {
  return std::any_of(members.begin(), members.end(),
                     [](const auto& member) { return member.second->disk.mute_below != 0; });
}

// While it is down a member's disk loses the end of its log, and who knows how much of that it acknowledged.
// One member at a time, and only one that the others can do without.
void Simulation::rot(TestMember& m) {
  const bool others_live = std::any_of(members.begin(), members.end(),
                                       [](const auto& member) { return member.second->core != nullptr; });
  if (is_any_damaged() || !others_live || !can_spare(m.id)) return;
  const Index kept = std::max(m.durable_machine.last.index, m.disk.start.last.index);
  m.disk.rot(kept + 1 + random_.below(m.disk.last_index() - kept + 1));
  counts_.rots++;
}

void Simulation::restart_now(TestMember& m) {
  lives_[m.id]++;
  if (chance(shape_.rot)) rot(m);
  m.poisoned.reset();
  m.leadership.clear();
  m.proposals.clear();
  m.reads.clear();
  m.snapshots.clear();
  m.transfer.reset();
  tips_.erase(m.id);
  restart(m.id);
}

void Simulation::fault() {
  TestMember& m = any();
  if (m.core && chance(shape_.crash)) crash_now(m);
  if (!m.core && chance(60) && !retired_.contains(m.id)) restart_now(m);
  if (chance(shape_.partition)) partition(m);
  if (!cuts.empty() && chance(10)) heal();
  if (m.core && chance(shape_.pause)) frozen_.insert(m.id);
  if (const NodeId lead = leader(); lead != 0 && chance(shape_.pause)) frozen_.insert(lead);
  if (!frozen_.empty() && chance(shape_.wake)) frozen_.clear();
  if (chance(shape_.storm)) storm();
}

void Simulation::partition(TestMember& m) {
  switch (random_.below(5)) {
    case 0:
      heal();
      break;
    case 1:
      isolate(m.id);
      break;
    case 2:
      cut_one_way(m.id, any().id);
      break;
    case 3:
      if (const NodeId lead = leader(); lead != 0) isolate(lead);
      break;
    default: {
      // Two sides.
      heal();
      std::set<NodeId> side;
      for (const auto& [id, unused] : members) {
        if (chance(500)) side.insert(id);
      }
      for (const auto& [a, unused_a] : members) {
        for (const auto& [b, unused_b] : members) {
          if (side.contains(a) != side.contains(b)) cut_one_way(a, b);
        }
      }
    }
  }
}

// The clocks of some members jump: they stop believing in their leader and campaign, while others still
// follow it.
void Simulation::storm() {
  for (auto& [id, m] : members) {
    if (!m->core || frozen_.contains(id) || chance(500)) continue;
    for (uint64_t ticks = random_.below(2 * kElectionTicks); ticks > 0; ticks--) {
      tick(id);
      write_one(*m);
    }
  }
}

void Simulation::client() {
  TestMember* m = any_live();
  if (m == nullptr) return;
  if (chance(shape_.propose)) propose_stream(*m);
  if (chance(shape_.read)) {
    const uint64_t id = next_id_++;
    reads_[id] = {m->id, lives_[m->id], observer.highest_commit};
    m->core->read(id, chance(500) ? m->core->term() : 0);
    counts_.reads++;
    if (chance(500)) collect(*m);
  }
  if (chance(shape_.transfer)) {
    m->core->transfer(chance(300) ? 0 : any().id);
    counts_.transfers++;
    collect(*m);
  }
  if (chance(shape_.compact)) compact(*m, random_.below(30));
}

// A client of the write pipeline: it may write when the term's no-op is applied here, builds on what it
// appended last, and falls back to the applied state after a refusal. Sometimes it is wrong about its base,
// and must then be refused.
void Simulation::propose_stream(TestMember& m) {
  if (m.core->role() != Role::kLeader) return;
  if (chance(200)) {
    m.core->propose({.id = next_id_++, .payload = command("free " + std::to_string(next_id_))});
    collect(m);
    return;
  }
  Index noop = 0;
  for (const LeadershipEvent& event : m.leadership) noop = event.gained ? event.noop : 0;
  if (noop == 0 || m.machine.last.index < noop) return;
  Tip& tip = tips_[m.id];
  if (tip.term != m.core->term()) tip = {m.core->term(), m.machine.streams};
  const uint64_t count = 1 + random_.below(4);
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t stream = 1 + random_.below(3);
    EntryId base = tip.newest[stream];
    // Before the stream's first entry of this term the core has only the word of the state machine.
    if (base.index > noop && chance(50)) base.index--;
    const bool wrong_term = chance(30);
    const uint64_t id = next_id_++;
    m.core->propose({.id = id,
                     .term = wrong_term ? m.core->term() - 1 : m.core->term(),
                     .bases = {{stream, base}},
                     .payload = stream_command(stream, base, id)});
    if (chance(500)) collect(m);
    collect(m);
    counts_.proposals++;
    const ProposalOutcome outcome = m.proposals.back();
    if (outcome.status) {
      if (wrong_term) observer.fail("a proposal of another term was appended");
      tip.newest[stream] = outcome.entry;
    } else {
      counts_.refused_bases += outcome.status.code() == Code::kNotCommitted ? 1 : 0;
      return;
    }
  }
}

void Simulation::operate() {
  TestMember* m = any_live();
  if (m == nullptr || !chance(shape_.membership)) return;
  // Any member that thinks it leads will do.
  for (auto& [id, other] : members) {
    if (other->core && other->core->role() == Role::kLeader && chance(500)) m = other.get();
  }
  if (m->core->role() != Role::kLeader) return;
  const Configuration before = m->core->configuration();
  const uint64_t kind = random_.below(4);
  bool done = false;
  if (kind == 0 && members.size() < kMostMembers) {
    const uint64_t instance = 5000 + next_id_++;
    done = m->core->add_member(instance, "host" + std::to_string(instance) + ":1").is_ok();
  } else if (kind == 1) {
    done = m->core->remove_member(any().id).is_ok();
  } else if (kind == 2) {
    const auto role = static_cast<MemberRole>(1 + random_.below(3));
    done = m->core->change_role(any().id, role).is_ok();
  } else if (kind == 3) {
    const uint64_t port = next_id_++;
    done = m->core->change_address(any().id, "moved:" + std::to_string(port)).is_ok();
  }
  if (done) counts_.membership_changes++;
  collect(*m);
}

// A member comes to life when the entry that adds it is committed.
void Simulation::create_joiners() {
  std::map<NodeId, CoreOptions> joiners;
  for (const auto& [id, m] : members) {
    if (!m->core || m->poisoned) continue;
    const auto committed = m->core->log_start_at(m->core->commit_index());
    if (!committed) continue;
    for (const Member& member : committed.value().configuration.members) {
      if (!members.contains(member.id)) joiners[member.id] = m->options;
    }
  }
  for (auto& [id, options] : joiners) {
    TestMember& joiner = add_blank(id);
    joiner.options = options;
    joiner.options.self = id;
    Cluster::restart(id);
  }
}

void Simulation::check_outcomes(TestMember& m) {
  for (const ReadOutcome& outcome : m.reads) {
    const auto found = reads_.find(outcome.id);
    if (found == reads_.end()) continue;
    if (outcome.status) {
      counts_.reads_done++;
      if (outcome.index < found->second.committed_before) {
        observer.fail("stale read: member " + std::to_string(m.id) + " confirmed index " +
                      std::to_string(outcome.index) + ", but " +
                      std::to_string(found->second.committed_before) + " was committed before it began");
      }
    }
    reads_.erase(found);
  }
  m.reads.clear();
  if (m.transfer && m.transfer->is_ok()) counts_.transfers_done++;
  m.transfer.reset();
  if (m.poisoned) observer.fail("member " + std::to_string(m.id) + " is poisoned: " + m.poisoned->sentence());
}

void Simulation::step() {
  fault();
  for (auto& [id, m] : members) {
    if (!m->core || frozen_.contains(id)) continue;
    move_disks(*m);
    if (chance(clock_speed_.try_emplace(id, 30 + static_cast<int>(random_.below(250))).first->second))
      tick(id);
  }
  const uint64_t deliveries = random_.below(static_cast<uint64_t>(shape_.network_speed) + 1);
  for (uint64_t i = 0; i < deliveries; i++) move_network();
  client();
  operate();
  after_step();
}

void Simulation::after_step() {
  for (auto& [id, m] : members) {
    if (m->core) check_outcomes(*m);
  }
  create_joiners();
}

std::string Simulation::run(int steps) {
  for (int i = 0; i < steps && observer.violation.empty(); i++) step();
  if (observer.violation.empty()) observer.violation = live();
  for (const auto& [id, m] : members) {
    for (const LeadershipEvent& event : m->leadership) counts_.elections += event.gained ? 1 : 0;
  }
  counts_.repairs = counts_.rots - (is_any_damaged() ? 1 : 0);
  counts_.commits += static_cast<int>(observer.highest_commit - kFirstBase);
  return observer.violation;
}

// True if a majority of every configuration that any member holds is left without it.
bool Simulation::can_spare(NodeId frozen) const {
  for (const auto& [id, m] : members) {
    if (!m->core) continue;
    const Configuration newest = m->core->configuration();
    const auto committed = m->core->log_start_at(m->core->commit_index());
    for (const Configuration& c : {newest, committed ? committed.value().configuration : newest}) {
      // It may be promoted in the moment it freezes, which a cluster of one would not survive.
      if (c.find(frozen) != nullptr && c.find(frozen)->promote) return false;
      if (c.voter_count() > 0 && c.is_voter(frozen) && c.voter_count() - 1 < c.quorum()) return false;
    }
  }
  return true;
}

void Simulation::calm() {
  heal();
  frozen_.clear();
  shape_.rot = 0;
  for (auto& [id, m] : members) {
    if (!m->core) restart_now(*m);
  }
  const NodeId candidate = any().id;
  if (chance(400) && !is_any_damaged() && can_spare(candidate)) frozen_.insert(candidate);
  shape_ = {};
  shape_.disk_speed = 1000;
}

// One tick of every clock, and all that follows from it.
void Simulation::calm_tick() {
  for (auto& [id, m] : members) {
    if (!frozen_.contains(id)) tick(id);
  }
  for (int round = 0; round < 50 && (round == 0 || !network.empty()); round++) {
    for (size_t left = network.size(); left > 0; left--) {
      const Message message = std::move(network.front());
      network.pop_front();
      if (!frozen_.contains(message.to)) deliver(message);
    }
    for (auto& [id, m] : members) {
      if (frozen_.contains(id)) continue;
      while (!m->writes.empty()) write_one(*m);
      move_disks(*m);
    }
  }
  after_step();
}

// Everybody the leader replicates to has applied `target`, and who wants to vote does.
bool Simulation::is_everywhere(const TestMember& leading, Index target) const {
  if (leading.core->applied_index() < target) return false;
  for (const Member& other : leading.core->configuration().members) {
    if (other.role == MemberRole::kSpare || frozen_.contains(other.id)) continue;
    if (members.at(other.id)->core->applied_index() < target) return false;
    if (other.role == MemberRole::kStandby && other.promote) return false;
  }
  return true;
}

std::string Simulation::live() {
  // A damaged member has no vote until a leader has repaired it, so a change of the members may have made the
  // others too few: a cluster in which one member more is down.
  if (is_any_damaged() && shape_.membership != 0) return {};
  calm();
  Index target = 0;  // 0: nothing proposed yet
  Term proposed_in = 0;
  int stable = 0;
  for (int ticks = 0; ticks < 3000; ticks++) {
    calm_tick();
    if (!observer.violation.empty()) return observer.violation;
    // Progress: a command proposed now is applied by everybody, and it stays so.
    const NodeId lead = leader();
    if (lead == 0 || frozen_.contains(lead)) {
      target = 0;
      continue;
    }
    TestMember& m = member(lead);
    // Another leader may not have the entry, and be right.
    if (m.core->term() != proposed_in) target = 0;
    if (target == 0) {
      proposed_in = m.core->term();
      m.core->propose({.id = next_id_++, .payload = command("live")});
      collect(m);
      if (m.proposals.back().status) target = m.proposals.back().entry.index;
      continue;
    }
    stable = is_everywhere(m, target) ? stable + 1 : 0;
    if (stable > 3 * kElectionTicks) return {};
  }
  return describe();
}

std::string Simulation::describe() const {
  std::string state = "no progress:";
  for (const auto& [id, m] : members) {
    state += " [" + std::to_string(id) + (frozen_.contains(id) ? " frozen" : "") + " role " +
             std::to_string(static_cast<int>(m->core->role())) + " term " + std::to_string(m->core->term()) +
             " last " + name(m->core->last()) + " commit " + std::to_string(m->core->commit_index()) +
             " applied " + std::to_string(m->core->applied_index()) + " members";
    for (const PeerStatus& peer : m->core->peers()) {
      const Member& other = peer.member;
      state += " " + std::to_string(other.id) +
               (other.role == MemberRole::kVoter   ? "v"
                : other.role == MemberRole::kSpare ? "s"
                : other.promote                    ? "p"
                                                   : "-");
      state += ":" + std::to_string(peer.match);
    }
    state += "]";
  }
  return state;
}

}  // namespace dqlite::raft
