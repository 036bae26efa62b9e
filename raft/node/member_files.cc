#include "raft/node/member_files.h"

#include <algorithm>

#include "raft/node/damaged_log.h"
#include "raft/node/install_note.h"
#include "raft/node/lone_cluster.h"

namespace dqlite::raft {

namespace {

// A snapshot whose install was cut off: if the state machine has it, the log must start behind it. Unless the
// log got there by itself: then it goes on with entries that this node may have acknowledged, and stays.
Status mend_interrupted_install(Disk& disk, const NodeOptions& options, Log& log, EntryId durable) {
  Result<std::optional<LogStart>> note = read_install_note(disk, options.directory);
  if (!note) return note.status();
  if (!*note) return Status::ok();
  const LogStart& start = **note;
  const bool log_lacks_it =
      log.start().last.index < start.last.index && log.term_at(start.last.index) != start.last.term;
  if (durable.index >= start.last.index && log_lacks_it) {
    return finish_install(disk, options.directory, log, start);
  }
  return remove_install_note(disk, options.directory);
}

// The state machine goes on from the log: so it must stand between the log's start and its end, on the same
// entries. One that cannot tell goes on from the log's start, and skips what it holds already [A5].
// One whose log is damaged may stand beyond it.
Status check_agreement(const Log& log, EntryId durable, bool is_damaged) {
  const EntryId start = log.start().last;
  const std::string stands = "the databases stand at entry " + std::to_string(durable.index) + " (term " +
                             std::to_string(durable.term) + ")";
  if (durable.index != 0 && durable.index < start.index) {
    return {Code::kCorrupt, stands + ", but the log begins behind entry " + std::to_string(start.index) +
                                ": a database was replaced by an older one; " + kJoinAnew};
  }
  if (is_damaged) return Status::ok();
  if (durable.index > log.last_index()) {
    return {Code::kCorrupt, stands + ", but the log ends at entry " + std::to_string(log.last_index()) +
                                ": the log was replaced by an older one; " + kJoinAnew};
  }
  if (durable.index > 0 && log.term_at(durable.index) != durable.term) {
    return {Code::kCorrupt, stands + ", but the log's entry there has term " +
                                std::to_string(log.term_at(durable.index)) +
                                ": log and databases are of different histories"};
  }
  return Status::ok();
}

// A damaged log may end below what the state machine holds, or hold entries there that were never committed:
// then it is replayed from its start, and the machine skips what it has [A5].
Index replay_behind(const Log& log, EntryId durable, bool is_damaged) {
  const Index start = log.start().last.index;
  const bool disagrees = durable.index > log.last_index() || log.term_at(durable.index) != durable.term;
  return is_damaged && disagrees ? start : std::max(durable.index, start);
}

// Of a founding or a join that a crash cut off between steps 1 and 3: nobody was ever promised anything of
// it.
Status discard_unfinished_log(Disk& disk, const NodeOptions& options, const Identity& identity) {
  if (identity.node_id != 0 || !identity.cluster_id.is_set()) return Status::ok();
  Result<std::vector<std::string>> names = disk.list(options.directory);
  if (!names) return names.status();
  for (const std::string& name : *names) {
    const bool is_logs = name.starts_with("state-") || name.starts_with("log-") || name.starts_with("spare-");
    if (!is_logs) continue;
    Status removed = disk.remove(options.directory + "/" + name);
    if (!removed) return removed;
  }
  return disk.sync_directory(options.directory);
}

// Steps 1 and 2 up to the empty log.
Result<std::unique_ptr<Log>> begin_log(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                       const ClusterId& cluster) {
  Identity identity = file.identity();
  Status discarded = discard_unfinished_log(disk, options, identity);
  if (!discarded) return discarded;
  identity.cluster_id = cluster;
  Status saved = file.save(identity);
  if (!saved) return saved;
  return Log::open(disk, options.directory, log_options(options, identity));
}

Status make_first_entry(Log& log, const std::string& address, uint64_t instance, bool adopted) {
  Recovered recovered = log.recovered();
  if (adopted) {
    recovered.start = LogStart{{1, 1}, {}, 0};
    recovered.last_index = recovered.commit = 1;
    Status reset = log.reset(recovered.start);
    if (!reset) return reset;
  }
  CoreOptions core_options;
  core_options.self = 1;
  Core core(core_options, recovered);
  Status bootstrapped = core.bootstrap(instance, address);
  if (!bootstrapped) return bootstrapped;
  const Output output = core.take();
  return output.poisoned ? *output.poisoned : log.append(output.persist);
}

// Step 3, and from there on the same as every other start.
Result<MemberFiles> become_member(Disk& disk, const NodeOptions& options, IdentityFile& file, NodeId node_id,
                                  StateMachine& machine) {
  Identity identity = file.identity();
  identity.node_id = node_id;
  identity.join_target.clear();
  Status saved = file.save(identity);
  if (!saved) return saved;
  return open_member_files(disk, options, file, machine);
}

// Where there are other members these judge by the boot counter; a node that is alone has nobody to ask [B7].
void refuse_if_alone(const NodeOptions& options, MemberFiles& files) {
  const Recovered& recovered = files.recovered;
  const Configuration& members = recovered.configurations.empty() ? recovered.start.configuration
                                                                  : recovered.configurations.back().second;
  if (members.members.size() > 1) return;
  files.failed = {
      Code::kPoisoned,
      options.directory +
          " was copied, restored or moved from another place: two nodes with one identity would be "
          "two clusters that believe to be one. It can be read, and takes no writes. If the original still "
          "exists, use it, and let this node start in an empty directory and join it. If it does not, this "
          "node can go on as a new cluster: " +
          kForceAlone};
  files.may_become_alone = true;
  // It takes part in nothing until it has failed, which is at once.
  files.recovered.mute_below = std::max(recovered.hard_state.term, files.log->highest_term()) + 1;
  files.recovered.hard_state = {files.recovered.mute_below, 0};
  files.recovered.commit = recovered.last_index;
}

}  // namespace

Result<MemberFiles> open_member_files(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                      StateMachine& machine) {
  if (file.identity().becomes_alone) {
    Status finished = finish_being_alone(disk, options, file, machine);
    if (!finished) return finished.in("making this node a cluster of one");
  }
  Result<MemberFiles> files = open_member_files(disk, options, file.identity(), file.knows_peers(), machine);
  if (files && files->failed && file.was_copied()) refuse_if_alone(options, *files);
  return files;
}

Result<MemberFiles> open_member_files(Disk& disk, const NodeOptions& options, const Identity& identity,
                                      bool knows_peers, StateMachine& machine) {
  MemberFiles files;
  files.identity = identity;
  Result<OpenedLog> opened = open_log_of_member(disk, options, identity, knows_peers);
  if (!opened) return opened.status();
  files.failed = opened->failed;
  files.held = machine.newest_held().index;
  files.damage = opened->damage;
  files.lost = opened->lost;
  files.may_become_alone = opened->log == nullptr || opened->is_alone;
  if (opened->log == nullptr) return files;
  const EntryId durable = machine.durable_point();
  const Index start_before = opened->log->start().last.index;
  if (files.failed) {
    Status mended = mend_interrupted_install(disk, options, *opened->log, durable);
    if (!mended) return mended;
  }
  if (opened->log->start().last.index != start_before) {
    opened->log.reset();
    Result<std::unique_ptr<Log>> again = Log::open(disk, options.directory, log_options(options, identity));
    if (!again) return again.status();
    opened->log = std::move(*again);
  }
  const bool is_damaged = opened->mute_below != 0;
  Status agrees = check_agreement(*opened->log, durable, is_damaged);
  if (!agrees) return agrees;
  files.log = std::move(opened->log);
  files.recovered = files.log->recovered();
  files.recovered.mute_below = opened->mute_below;
  if (opened->is_alone) files.recovered.commit = files.recovered.last_index;
  // In memory only where the log cannot be written: this member says nothing that depends on it.
  if (!files.failed) files.recovered.hard_state = {opened->mute_below, 0};
  files.applied = replay_behind(*files.log, durable, is_damaged);
  return files;
}

Result<MemberFiles> found_cluster(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                  const std::string& address, bool adopted, StateMachine& machine) {
  Result<ClusterId> cluster = random_cluster_id();
  if (!cluster) return cluster.status();
  {
    Result<std::unique_ptr<Log>> log = begin_log(disk, options, file, *cluster);
    if (!log) return log.status();
    Status made = make_first_entry(**log, address, file.identity().instance, adopted);
    if (!made) return made;
  }
  return become_member(disk, options, file, 1, machine);
}

Result<MemberFiles> enter_cluster(Disk& disk, const NodeOptions& options, IdentityFile& file,
                                  const ClusterId& cluster, NodeId node_id, StateMachine& machine) {
  {
    Result<std::unique_ptr<Log>> log = begin_log(disk, options, file, cluster);
    if (!log) return log.status();
  }
  return become_member(disk, options, file, node_id, machine);
}

}  // namespace dqlite::raft
