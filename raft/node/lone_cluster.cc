#include "raft/node/lone_cluster.h"

#include <algorithm>

#include "raft/log/random.h"
#include "raft/log/rebuilt_state.h"
#include "raft/node/damaged_log.h"
#include "raft/node/install_note.h"
#include "raft/node/member_files.h"
#include "raft/node/repair_note.h"

namespace dqlite::raft {

namespace {

const Configuration& newest_configuration(const Recovered& recovered) {
  return recovered.configurations.empty() ? recovered.start.configuration
                                          : recovered.configurations.back().second;
}

// The log with everything of it that can be read, ready to go on.
Result<std::unique_ptr<Log>> open_what_is_left(Disk& disk, const NodeOptions& options,
                                               const Identity& identity) {
  LogOptions with = log_options(options, identity);
  Result<std::unique_ptr<Log>> log = Log::open(disk, options.directory, with);
  if (log.status().code() != Code::kCorrupt) return log;
  with.on_damage = OnDamage::kKeepReadable;
  log = Log::open(disk, options.directory, with);
  if (log.status().code() == Code::kCorrupt) {
    // Term and vote are gone. In the new cluster nobody was ever promised a vote.
    Status rebuilt = rebuild_state(disk, options.directory);
    if (!rebuilt) return rebuilt;
    log = Log::open(disk, options.directory, with);
  }
  if (!log) return log;
  with.on_damage = OnDamage::kPutAside;
  with.raise_term_to = (*log)->highest_term() + 1;
  (*log).reset();
  return Log::open(disk, options.directory, with);
}

// True: the databases hold an entry that is not in the log, or another one in its place.
bool is_beyond(const Log& log, EntryId held) {
  const bool may_be_in_log = held.index >= log.start().last.index && held.index <= log.last_index();
  if (!may_be_in_log) return held.index > log.last_index();
  return held.term != 0 && log.term_at(held.index) != held.term;
}

Status append_configuration(Log& log, const Identity& identity, const NodeOptions& options, EntryId held) {
  Member self{identity.node_id, identity.instance, options.listen, MemberRole::kVoter};
  const Member* before = newest_configuration(log.recovered()).find(identity.node_id);
  if (before != nullptr) self.address = before->address;
  const Term term = std::max({log.hard_state().term, log.highest_term(), held.term}) + 1;
  if (is_beyond(log, held)) {
    Status reset = log.reset({{held.index, std::max<Term>(held.term, 1)}, {}, 0});
    if (!reset) return reset;
  }
  Persist persist;
  persist.token = 1;
  persist.hard_state = HardState{term, identity.node_id};
  persist.commit = log.recovered().commit;
  // The ids of members are indexes of entries in front of them.
  Index next = log.last_index() + 1;
  for (; next <= identity.node_id; next++) persist.entries.push_back({next, term, EntryKind::kNoop, nullptr});
  persist.entries.push_back(
      {next, term, EntryKind::kConfiguration, std::make_shared<const Bytes>(encode(Configuration{{self}}))});
  return log.append({persist});
}

std::string names_of(const std::vector<Member>& members) {
  return text(Configuration{members});
}

std::string kept_of(const LonePlan& plan) {
  std::string kept = "everything up to entry " + std::to_string(plan.kept);
  if (plan.kept <= plan.committed) return kept;
  return kept + ", also what it does not know to be committed (behind entry " +
         std::to_string(plan.committed) + ")";
}

std::string loss_of(const LonePlan& plan) {
  std::string loss = " Lost: ";
  if (!plan.lost.empty()) loss += plan.lost + ". Besides, ";
  return loss + "transactions that others may have committed behind entry " + std::to_string(plan.kept) +
         " without this node, if any";
}

}  // namespace

LonePlan plan_for(const Identity& identity, const MemberFiles& files) {
  const Configuration& members = newest_configuration(files.recovered);
  LonePlan plan;
  const Member* self = members.find(identity.node_id);
  plan.self = self != nullptr ? *self : Member{identity.node_id, identity.instance, identity.listen};
  plan.kept = std::max(files.recovered.last_index, files.held);
  plan.committed = std::max(files.recovered.commit, files.held);
  for (const Member& member : members.members) {
    if (member.id != identity.node_id) plan.forgotten.push_back(member);
  }
  if (files.log == nullptr) {
    plan.lost =
        "term and vote, and with them certainty about the end of the log; what can be read of the log is kept "
        "beyond that entry, too, and the other members are not known and were not asked: make sure that none runs";
  } else {
    plan.lost = files.lost;
  }
  return plan;
}

std::string text_of_proposal(const LonePlan& plan) {
  return "Nothing was changed. dqlite_recover('force') would make this node, " + text(plan.self) +
         ", a new cluster of one. It would keep " + kept_of(plan) + "." + loss_of(plan) + "." +
         (plan.forgotten.empty() ? ""
                                 : " It would forget " + names_of(plan.forgotten) +
                                       ": these could come back only with empty directories.");
}

std::string text_of_report(const LonePlan& plan, const ClusterId& cluster) {
  return "This node, " + text(plan.self) + ", is a cluster of one now, with the new id " + cluster.text() +
         ". It kept " + kept_of(plan) + "." + loss_of(plan) + "." +
         (plan.forgotten.empty()
              ? ""
              : " It forgot " + names_of(plan.forgotten) +
                    ": whichever of them is not lost after all, end it, empty its directory, and let it "
                    "join this node.");
}

Result<ClusterId> random_cluster_id() {
  Result<uint64_t> high = random_number();
  if (!high) return high.status();
  Result<uint64_t> low = random_number();
  if (!low) return low.status();
  return ClusterId{*high, *low};
}

Result<Identity> decide_to_be_alone(IdentityFile& file) {
  Result<ClusterId> cluster = random_cluster_id();
  if (!cluster) return cluster.status();
  Identity identity = file.at_this_place();
  identity.former_clusters.push_back(identity.cluster_id);
  identity.cluster_id = *cluster;
  identity.becomes_alone = true;
  Status saved = file.save(identity);
  if (!saved) return saved;
  // Else a later damage would look like one that these peers can repair. A failure is made good at the next start.
  (void)file.forget_peers();
  return identity;
}

Status finish_being_alone(Disk& disk, const NodeOptions& options, IdentityFile& file, StateMachine& machine) {
  {
    Result<std::unique_ptr<Log>> log = open_what_is_left(disk, options, file.identity());
    if (!log) return log.status();
    Status appended = append_configuration(**log, file.identity(), options, machine.newest_held());
    if (!appended) return appended;
  }
  // Of the old cluster's repair or snapshot nothing will follow.
  Status removed = file.forget_peers();
  if (removed) removed = remove_repair_note(disk, options.directory);
  if (removed) removed = remove_install_note(disk, options.directory);
  return removed ? end_being_alone(file) : removed;
}

Status end_being_alone(IdentityFile& file) {
  Identity identity = file.identity();
  identity.becomes_alone = false;
  return file.save(identity);
}

}  // namespace dqlite::raft
