#include "tests/sim/sim_host.h"

#include "raft/log/segment.h"
#include "tests/sim/sim_process.h"

namespace dqlite::raft::sim {

namespace {

constexpr char kDirectory[] = "n";

LogOptions log_options(const NodeOptions& options, const ClusterId& cluster) {
  LogOptions result;
  result.segment_bytes = options.segment_bytes;
  result.spare_segments = options.spare_segments;
  result.salt_seed = options.salt_seed;
  result.cluster_id_high = cluster.high;
  result.cluster_id_low = cluster.low;
  return result;
}

}  // namespace

SimHost::SimHost(World& the_world, int number, uint64_t seed, const NodeOptions& the_options)
    : world(the_world), random(seed), options(the_options), number_(number) {
  options.directory = kDirectory;
  options.spare_segments = 0;
  options.salt_seed = random.next() | 1;
  identity.instance = random.next() | 1;
  address = "h" + std::to_string(number) + ":1";
  (void)disk.make_directory(kDirectory);
  (void)disk.sync_directory(".");
}

SimHost::~SimHost() = default;

// --- becoming a member ---

// What raft/node/member_files.cc does for a founder; its own tests cut it off at every call.
void SimHost::found(const ClusterId& cluster, bool adopted) {
  identity.cluster_id = cluster;
  Result<std::unique_ptr<Log>> log = Log::open(disk, kDirectory, log_options(options, cluster));
  Recovered recovered = (*log)->recovered();
  if (adopted) {
    storage.checkpoint.last = {1, 1};
    recovered.start = LogStart{{1, 1}, {}, 0};
    recovered.last_index = recovered.commit = 1;
    (void)(*log)->reset(recovered.start);
  }
  CoreOptions core_options;
  core_options.self = 1;
  Core core(core_options, recovered);
  (void)core.bootstrap(identity.instance, address);
  (void)(*log)->append(core.take().persist);
  identity.node_id = 1;
}

void SimHost::join(const std::string& target) {
  join_target = target;
}

// --- processes ---

bool SimHost::start() {
  ended_.clear();
  if (is_up() || is_lost_) return false;
  is_paused_ = is_stopping_ = disk_failed_ = false;
  deferred_.clear();
  if (!next_address_.empty()) address = std::exchange(next_address_, "");
  identity.boot_counter++;
  identity.boot_nonce = random.next();
  options.salt_seed = random.next() | 1;
  if (crash_start_at_ != 0) disk.crash_at(std::exchange(crash_start_at_, 0));
  world.trace.note(number_, "start", identity.boot_counter, identity.node_id);
  const Status opened = judge_start(open_process());
  if (!opened) {
    ended_.push_back(std::move(process_));
    return false;
  }
  world.counters[Count::kRestarts]++;
  world.network.attach(address, *process_);
  process_->begin();
  return true;
}

Status SimHost::open_process() {
  process_ = std::make_unique<SimProcess>(*this);
  if (!is_member()) {
    process_->begin_joining();
    return Status::ok();
  }
  // The end of the repair may not have reached the disk: then it is found again, and ends at once.
  const Result<bool> was_repairing = disk.exists(options.directory + "/repairing");
  if (was_repairing && *was_repairing) is_damaged_ = true;
  Result<MemberFiles> files =
      open_member_files(disk, options, identity, !peer_boots.empty(), process_->machine());
  if (!files) return files.status();
  if (Status judged = judge_damage(*files); !judged) return judged;
  if (!files->log->recovery_note().empty()) world.counters[Count::kTailsCut]++;
  const HardState stored = files->log->hard_state();
  if (stored.term < world.book.promised_term(identity.node_id))
    world.book.fail("h" + std::to_string(number_) + " forgot the term it promised");
  process_->become_member(*files);
  return Status::ok();
}

Status SimHost::judge_damage(const MemberFiles& files) {
  if (files.damage.empty() && files.failed) return Status::ok();
  const std::string& sentence = files.damage.empty() ? files.failed.sentence() : files.damage;
  if (!is_damaged_)
    world.book.fail("h" + std::to_string(number_) + " takes a sound log for damaged: " + sentence);
  world.trace.note(number_, "damage");
  process_->machine().expect_replay();
  if (!std::exchange(is_found_, true)) world.counters[Count::kDamageFound]++;
  if (files.failed) return Status::ok();
  is_lost_ = !is_full_;  // it makes room to repair itself
  return files.failed;
}

void SimHost::note_sound() {
  if (!std::exchange(is_found_, false)) return;
  is_damaged_ = false;
  world.counters[Count::kRepairs]++;
  world.trace.note(number_, "repaired");
}

Status SimHost::judge_start(const Status& status) {
  if (disk.is_off()) {
    world.counters[Count::kCrashesInRecovery]++;
    disk.power_loss(test::FaultDisk::Survival::kRandom, random.next());
    return {Code::kIo, "the power failed"};
  }
  disk.crash_at(0);
  if (status) return status;
  world.trace.line(number_, status.sentence());
  // The same, in the next life: it waits for space.
  if (is_full_ && status.code() == Code::kFull) return status;
  if (is_damaged_) {
    is_lost_ = is_lost_ || !is_full_;
  } else {
    world.book.fail("h" + std::to_string(number_) + " does not start: " + status.sentence());
  }
  return status;
}

void SimHost::end(End how, bool in_the_middle) {
  if (!is_up()) return;
  if (in_the_middle) {
    disk.crash_at(1 + random.below(12));
    world.counters[Count::kCrashesInTheMiddle]++;
    while (!disk.is_off() && process_->work_now()) {
    }
  }
  world.trace.note(number_, "end", static_cast<uint64_t>(how), in_the_middle ? 1 : 0);
  if (how == End::kKill && !disk.is_off()) {
    world.counters[Count::kKills]++;
    disk.kill();
  } else {
    world.counters[Count::kPowerLosses]++;
    const auto survival = static_cast<test::FaultDisk::Survival>(random.below(3));
    disk.power_loss(survival, random.next());
  }
  world.network.detach(*process_);
  process_->machine().die();
  ended_.push_back(std::move(process_));
  is_paused_ = is_stopping_ = false;
}

void SimHost::stop_in_order() {
  if (!is_running() || is_stopping_) return;
  is_stopping_ = true;
  process_->stop_in_order();
}

void SimHost::resume() {
  if (!std::exchange(is_paused_, false)) return;
  for (auto& [life, event] : std::exchange(deferred_, {})) schedule(0, life, std::move(event));
}

void SimHost::schedule(Micros delay, uint64_t life, std::function<void()> event) {
  world.timeline.after(delay, [this, life, happens = std::move(event)] { run(life, happens); });
}

void SimHost::run(uint64_t life, const std::function<void()>& event) {
  if (!is_up() || process_->life() != life) return;
  if (is_paused_) {
    deferred_.emplace_back(life, event);
    return;
  }
  event();
  if (is_up() && disk.is_off()) end(End::kPowerLoss, false);
}

// A log that finds no segment to begin anew behind a snapshot has no way back: the state is replaced already.
bool SimHost::may_be_poisoned(const Status& reason) const {
  const bool has_no_way_back =
      is_full_ && reason.sentence().find("installing a snapshot") != std::string::npos;
  return has_no_way_back || disk_failed_ || is_damaged_ || is_stopping_ || disk.is_off();
}

// --- speed ---

Micros SimHost::latency(Micros usual) {
  const Micros drawn = random.below(2 * usual + 1);
  return random.below(100) == 0 ? 10 * drawn : drawn;
}

Micros SimHost::disk_latency() {
  const Micros now = world.timeline.now();
  return latency(shape.disk) + (disk_hangs_until_ > now ? disk_hangs_until_ - now : 0);
}

void SimHost::hang_disk(Micros duration) {
  disk_hangs_until_ = world.timeline.now() + duration;
}

// --- faults ---

// Behind it lie two younger segments: so batches that can only have been written after it was synced, and
// recovery must not take it for a torn tail.
bool SimHost::flip_bit() {
  std::vector<std::pair<uint64_t, std::string>> segments;
  for (const std::string& path : disk.files()) {
    const auto name = parse_segment_name(path.substr(path.rfind('/') + 1));
    if (name) segments.emplace_back(name->sequence, path);
  }
  if (segments.size() < 3) return false;
  std::sort(segments.begin(), segments.end());
  const std::string& path = segments[random.below(segments.size() - 2)].second;
  const uint64_t size = disk.content(path).size();
  if (size == 0) return false;
  const uint64_t offset = random.below(size);
  world.trace.note(number_, "flip", offset);
  disk.flip_bit(path, offset, static_cast<int>(random.below(8)));
  is_damaged_ = true;
  return true;
}

void SimHost::fail_disk_at(uint64_t call) {
  disk_failed_ = true;
  disk.fail_call(call, Code::kIo);
}

void SimHost::fill_disk() {
  is_full_ = true;
  disk.set_space(disk.used() + random.below(options.segment_bytes));
}

void SimHost::empty_disk() {
  is_full_ = false;
  disk.set_space(UINT64_MAX);
}

void SimHost::prove_durable(const Log& log) {
  const std::unique_ptr<test::FaultDisk> copy = disk.clone();
  copy->power_loss(test::FaultDisk::Survival::kNothing);
  copy->set_space(UINT64_MAX);
  const Result<std::unique_ptr<Log>> opened =
      Log::open(*copy, kDirectory, log_options(options, identity.cluster_id));
  const std::string who = "h" + std::to_string(number_);
  world.counters[Count::kDurabilityProofs]++;
  if (!opened) return world.book.fail(who + " would not start now: " + opened.status().sentence());
  if ((*opened)->last_index() != log.last_index() || (*opened)->hard_state() != log.hard_state() ||
      (*opened)->term_at(log.last_index()) != log.term_at(log.last_index())) {
    world.book.fail(who + " believes more durable than is: entry " + std::to_string(log.last_index()) +
                    ", on disk " + std::to_string((*opened)->last_index()));
  }
}

}  // namespace dqlite::raft::sim
