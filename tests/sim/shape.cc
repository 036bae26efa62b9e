#include "tests/sim/shape.h"

#include "codec/checksum.h"

namespace dqlite::raft::sim {

namespace {

constexpr std::array<const char*, kFaults> kNames{
    "kill",
    "power-loss",
    "crash-in-the-middle",
    "crash-in-recovery",
    "stop",
    "pause",
    "disk-error",
    "full-disk",
    "rot",
    "hung-disk",
    "cut",
    "one-way-cut",
    "clog",
    "clock-jump",
    "starvation",
    "add-member",
    "remove-member",
    "change-role",
    "move",
    "transfer",
    "checkpoint",
    "forward",
    "read",
    "loss",
    "repeat",
    "reorder",
    "corruption",
    "slow-disk",
    "clock-drift",
    "full-install",
    "early",
};

// The mean time between two, if the seed has the class at all, and how many seeds of a thousand have it.
struct Usual {
  Fault fault;
  Micros least;
  Micros most;
  uint64_t seeds;
};
constexpr std::array<Usual, 23> kUsual{{
    {Fault::kKill, 2 * kSecond, 15 * kSecond, 400},
    {Fault::kPowerLoss, 2 * kSecond, 15 * kSecond, 400},
    {Fault::kCrashInTheMiddle, 2 * kSecond, 15 * kSecond, 500},
    {Fault::kCrashInRecovery, 4 * kSecond, 20 * kSecond, 300},
    {Fault::kStop, 3 * kSecond, 20 * kSecond, 250},
    {Fault::kPause, 2 * kSecond, 15 * kSecond, 250},
    {Fault::kDiskError, 4 * kSecond, 20 * kSecond, 250},
    {Fault::kFullDisk, 2 * kSecond, 8 * kSecond, 250},
    {Fault::kRot, 2 * kSecond, 8 * kSecond, 500},
    {Fault::kHungDisk, 4 * kSecond, 15 * kSecond, 200},
    {Fault::kCut, 2 * kSecond, 10 * kSecond, 350},
    {Fault::kOneWayCut, 2 * kSecond, 10 * kSecond, 250},
    {Fault::kClog, 2 * kSecond, 10 * kSecond, 250},
    {Fault::kClockJump, 1 * kSecond, 10 * kSecond, 250},
    {Fault::kStarvation, 3 * kSecond, 15 * kSecond, 200},
    {Fault::kAddMember, 3 * kSecond, 10 * kSecond, 300},
    {Fault::kRemoveMember, 3 * kSecond, 15 * kSecond, 300},
    {Fault::kChangeRole, 1 * kSecond, 10 * kSecond, 300},
    {Fault::kMove, 3 * kSecond, 15 * kSecond, 200},
    {Fault::kTransfer, 1 * kSecond, 10 * kSecond, 300},
    {Fault::kCheckpoint, 200 * kMillisecond, 4 * kSecond, 700},
    {Fault::kForward, 50 * kMillisecond, 1 * kSecond, 500},
    {Fault::kRead, 50 * kMillisecond, 1 * kSecond, 500},
}};

}  // namespace

const char* name(Fault fault) {
  return kNames.at(static_cast<size_t>(fault));
}

std::optional<Fault> fault_named(const std::string& wanted) {
  for (size_t i = 0; i < kFaults; i++) {
    if (wanted == kNames.at(i)) return static_cast<Fault>(i);
  }
  return std::nullopt;
}

Shape::Shape(uint64_t seed, const std::set<Fault>& without) {
  const auto stream = [seed](const char* what) {
    const std::string text = what;
    return Random(codec::checksum({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, seed));
  };
  const auto between = [](Random& random, uint64_t least, uint64_t most) {
    return least + random.below(most - least + 1);
  };
  Random random = stream("shape");
  hosts = static_cast<int>(random.below(100) < 85 ? between(random, 2, 5) : between(random, 1, 7));
  safety = between(random, 6, 16) * kSecond;
  constexpr std::array<uint64_t, 5> kSegments{8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10};
  options.roles.voters = random.below(3) == 0 ? 3 : 7;
  options.roles.standbys = random.below(4) == 0 ? 1 : 7;
  options.roles.grace_ms = between(random, 2000, 10000);
  options.segment_bytes = kSegments.at(random.below(kSegments.size()));
  options.log_tail_bytes = random.below(3) == 0 ? 0 : random.below(200 << 10);
  constexpr std::array<size_t, 4> kSnapshots{0, 1000, 300 << 10, 900 << 10};
  host.snapshot_bytes = kSnapshots.at(random.below(kSnapshots.size()));
  host.loop = between(random, 5, 200);
  host.disk = between(random, 50, 5 * kMillisecond);
  host.apply = between(random, 20, 2 * kMillisecond);
  host.read = between(random, 50, 5 * kMillisecond);
  write_interval = between(random, 4, 60) * kMillisecond;
  padding = random.below(5) == 0 ? random.below(20000) : random.below(800);
  network.delay = between(random, 50, 3 * kMillisecond);
  network.jitter = random.below(4) == 0 ? random.below(60 * kMillisecond) : random.below(3 * kMillisecond);
  for (const Usual& usual : kUsual) {
    Random own = stream(name(usual.fault));
    const bool has = own.below(1000) < usual.seeds;
    const Micros mean = between(own, usual.least, usual.most);
    if (has && !without.contains(usual.fault)) interval.at(static_cast<size_t>(usual.fault)) = mean;
  }
  // Of a thousand, at most; for two seeds of five.
  const auto rate = [&](Fault fault, uint64_t most) {
    Random own = stream(name(fault));
    const uint64_t drawn = own.below(most + 1);
    return own.below(5) < 2 && !without.contains(fault) ? drawn : 0;
  };
  network.loss = rate(Fault::kLoss, 300);
  network.repeat = rate(Fault::kRepeat, 300);
  network.reorder = rate(Fault::kReorder, 500);
  network.corrupt = rate(Fault::kCorruption, 30);
  if (const uint64_t slow = rate(Fault::kSlowDisk, 200); slow > 0) host.disk = slow * kMillisecond;
  drift = rate(Fault::kClockDrift, 150);
  host.full_installs = rate(Fault::kFullInstall, 500);
  is_early = rate(Fault::kEarly, 1000) > 0;
  // A member that was away when the leader joined knows no way to it, and the leader seeks it where it was.
  if (interval_of(Fault::kMove) != 0) {
    interval.at(static_cast<size_t>(Fault::kAddMember)) = 0;
    is_early = false;
  }
}

}  // namespace dqlite::raft::sim
