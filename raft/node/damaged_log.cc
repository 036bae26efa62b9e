#include "raft/node/damaged_log.h"

#include <algorithm>

#include "raft/node/repair_note.h"

namespace dqlite::raft {

namespace {

Result<std::unique_ptr<Log>> open_log(Disk& disk, const NodeOptions& options, const Identity& identity,
                                      OnDamage on_damage, Term raise_term_to = 0) {
  LogOptions with = log_options(options, identity);
  with.on_damage = on_damage;
  with.raise_term_to = raise_term_to;
  return Log::open(disk, options.directory, with);
}

// Its votes are forgotten, and with them whatever they decided.
OpenedLog without_votes(const std::string& reason) {
  OpenedLog opened;
  opened.failed = {Code::kPoisoned, reason +
                                        ". Until then it takes part in nothing, and plain reads see what its "
                                        "databases hold. If no other member is left to join, " +
                                        kForceAlone};
  return opened;
}

// Shows what can be read; nothing is changed, so whatever brings the file back brings the node back.
OpenedLog as_far_as_readable(std::unique_ptr<Log> log, const std::string& why,
                             const std::string& what_to_do) {
  OpenedLog opened;
  opened.failed = {Code::kPoisoned, log->damage() + ". " + why +
                                        ": nothing was changed on its disk, and plain reads see what is "
                                        "readable in front of the damage. " +
                                        what_to_do};
  opened.mute_below = log->highest_term() + 1;
  opened.lost = log->damage();
  opened.log = std::move(log);
  return opened;
}

bool is_alone(const Log& log, NodeId self) {
  const Recovered& found = log.recovered();
  const Configuration& newest =
      found.configurations.empty() ? found.start.configuration : found.configurations.back().second;
  return newest.is_voter(self) && newest.voter_count() == 1;
}

std::string being_repaired(const std::string& damage) {
  return damage +
         ". The damaged files are kept beside the log under names that begin with damaged-. This member "
         "neither votes nor campaigns until a leader, elected by the others, has sent it what is missing, "
         "which goes by itself; if the others can elect none, because most of them are down or damaged too, "
         "bring those back, or make the member that has the most a new cluster with dqlite_recover('force')";
}

// Steps 1 to 3.
Result<OpenedLog> put_aside(Disk& disk, const NodeOptions& options, const Identity& identity,
                            std::unique_ptr<Log> readable, const std::optional<RepairNote>& before) {
  RepairNote note{readable->highest_term() + 1, readable->damage()};
  // The log that was being repaired is damaged again: all that was acknowledged is still below both terms.
  if (before) note.mute_below = std::max(note.mute_below, before->mute_below);
  readable.reset();
  Status noted = write_repair_note(disk, options.directory, note);
  if (!noted) return noted;
  Result<std::unique_ptr<Log>> log = open_log(disk, options, identity, OnDamage::kPutAside, note.mute_below);
  if (!log) return log.status();
  OpenedLog opened;
  opened.log = std::move(*log);
  opened.mute_below = note.mute_below;
  opened.damage = being_repaired(note.damage);
  opened.lost = note.damage;
  return opened;
}

// `recover_log` found damage.
Result<OpenedLog> open_damaged(Disk& disk, const NodeOptions& options, const Identity& identity,
                               bool knows_peers, const std::string& reason,
                               const std::optional<RepairNote>& note) {
  Result<std::unique_ptr<Log>> readable = open_log(disk, options, identity, OnDamage::kKeepReadable);
  if (!readable) {
    return readable.status().code() == Code::kCorrupt ? Result<OpenedLog>(without_votes(reason))
                                                      : Result<OpenedLog>(readable.status());
  }
  if (is_alone(**readable, identity.node_id) && !knows_peers) {
    OpenedLog opened = as_far_as_readable(
        std::move(*readable), "No other member could repair it",
        std::string("Restore the file from a copy of this very log and start again; else ") + kForceAlone +
            ". What is readable can be saved before (.backup, or VACUUM INTO)");
    opened.is_alone = true;
    return opened;
  }
  Result<OpenedLog> opened = put_aside(disk, options, identity, std::move(*readable), note);
  if (opened || opened.status().code() != Code::kFull) return opened;
  const std::string full = opened.status().sentence();
  readable = open_log(disk, options, identity, OnDamage::kKeepReadable);
  if (!readable) return readable.status();
  return as_far_as_readable(std::move(*readable), "There is no space to repair it (" + full + ")",
                            "Make room, and start again: it is then repaired from the other members");
}

}  // namespace

LogOptions log_options(const NodeOptions& options, const Identity& identity) {
  LogOptions result;
  result.segment_bytes = options.segment_bytes;
  result.spare_segments = options.spare_segments;
  result.salt_seed = options.salt_seed;
  result.leaves_free = options.log_leaves_free;
  result.cluster_id_high = identity.cluster_id.high;
  result.cluster_id_low = identity.cluster_id.low;
  result.former_clusters = identity.former_clusters;
  return result;
}

Result<OpenedLog> open_log_of_member(Disk& disk, const NodeOptions& options, const Identity& identity,
                                     bool knows_peers) {
  bool has_state = false;
  for (const char* name : {"/state-0", "/state-1"}) {
    Result<bool> exists = disk.exists(options.directory + name);
    if (!exists) return exists.status();
    has_state = has_state || *exists;
  }
  if (!has_state) {
    return without_votes(options.directory + " belongs to member " + std::to_string(identity.node_id) +
                         " of a cluster, but its log is gone, and with it the votes it gave: " + kJoinAnew);
  }
  Result<std::optional<RepairNote>> note = read_repair_note(disk, options.directory);
  if (!note) return note.status();
  Result<std::unique_ptr<Log>> log = open_log(disk, options, identity, OnDamage::kRefuse);
  if (log.status().code() == Code::kCorrupt) {
    return open_damaged(disk, options, identity, knows_peers, log.status().sentence(), *note);
  }
  if (!log) return log.status();
  OpenedLog opened;
  if (*note && (*log)->hard_state().term >= (*note)->mute_below) {
    opened.mute_below = (*note)->mute_below;
    opened.damage = being_repaired((*note)->damage);
    opened.lost = (*note)->damage;
  } else if (*note) {
    // Cut off between steps 1 and 2, and now all of it is readable: nothing was lost.
    Status removed = remove_repair_note(disk, options.directory);
    if (!removed) return removed;
  }
  opened.log = std::move(*log);
  return opened;
}

}  // namespace dqlite::raft
