"""The faults that tests/mutation/run plants: for each a name, the file, the text there and what takes its place.

The text must occur exactly once in the file. When a refactoring moves it, change it here: the run ends with the name of
the entry that does not match any more. A mutation that no test can notice, since the program does the same, does not
belong here.
"""

import collections

Mutation = collections.namedtuple("Mutation", "name file edits")
ALL = []


def mutation(name, file, *texts):
    """texts: what is there, what takes its place, and again."""
    ALL.append(Mutation(name, file, list(zip(texts[::2], texts[1::2]))))


# --- elections ---
ELECTION = "raft/core/election.cc"
mutation("a vote is granted without a look at the candidate's log", ELECTION,
         "message.term == term && up_to_date && (vote ==", "message.term == term && (vote ==")
mutation("a pre-vote is granted without a look at the candidate's log", ELECTION,
         "!withheld && up_to_date && (message", "!withheld && (message")
mutation("a second candidate of the term gets a vote, too", ELECTION,
         "up_to_date && (vote == message.from || (vote == 0 && leader == 0));\n  if (granted && vote == 0)",
         "up_to_date;\n  if (granted && vote == 0)")
mutation("a member whose disk forgot entries votes", ELECTION,
         "      !is_mute() && (request.last.term", "      (request.last.term")
mutation("a member whose disk forgot entries campaigns", ELECTION,
         "may_campaign && !is_mute() &&", "may_campaign &&")
mutation("a damaged member counts as repaired by an entry that it had before", ELECTION,
         "value_or(0) < mute_below) return;", "value_or(0) + 1 < mute_below) return;")
mutation("a damaged member stays in the term it took part in", "raft/node/damaged_log.cc",
         "RepairNote note{readable->highest_term() + 1,", "RepairNote note{readable->highest_term(),")
mutation("the vote is not stored", ELECTION,
         "    vote = message.from;\n    storage.set_hard_state({term, vote});", "    vote = message.from;")
mutation("the own vote counts before it is durable", ELECTION,
         "    if (storage.durable_hard_state() != HardState{term, options.self}) return;\n", "")
mutation("votes are asked for before the own one is durable", ELECTION,
         "    answer(member.id, term, 0,\n           VoteRequest{", "    send(member.id, term,\n           VoteRequest{")
mutation("a rejected pre-vote does not tell the voter's own term", ELECTION,
         "granted ? message.term : term, 0,", "message.term, 0,")
mutation("answers to an older pre-vote count", ELECTION,
         "role == Role::kPreCandidate && message.term == (response.granted ? term + 1 : term);",
         "role == Role::kPreCandidate;")
mutation("answers to an older campaign count", ELECTION,
         "role != Role::kCandidate || message.term != term", "role != Role::kCandidate")
mutation("a voter with a live leader votes", ELECTION,
         "const bool withheld = !request.transfer && hears_leader();", "const bool withheld = false;")
mutation("a voter withholds its vote from the target of a transfer", ELECTION,
         "const bool withheld = !request.transfer && hears_leader();", "const bool withheld = hears_leader();")
mutation("the old leader votes again in a transfer", ELECTION,
         "message.term == term && up_to_date && (vote == message.from ||",
         "message.term == term && up_to_date && (request.transfer || vote == message.from ||")
mutation("a member campaigns while its disk is behind", ELECTION, " && !installing && storage.is_idle()", " && !installing")
mutation("a member campaigns while it installs a snapshot", ELECTION,
         " && !installing && storage.is_idle()", " && storage.is_idle()")
mutation("one that may not campaign does", ELECTION, "is_member && may_campaign &&", "is_member &&")
mutation("a removed member's request for a vote is answered", ELECTION, "  if (was_removed(message.from)) return;\n", "")
mutation("a campaign without pre-vote", ELECTION,
         "  if (may_campaign_now()) return campaign_pre_vote();", "  if (may_campaign_now()) return campaign(false);")

# --- a leader, and what is committed ---
LEADER = "raft/core/leader.cc"
mutation("an entry of an old term is committed by count", LEADER,
         "agreed <= commit || log.term_at(agreed) != term", "agreed <= commit")
mutation("the leader counts its own entry before it is durable", LEADER,
         "storage.durable_index()\n                      : peer == peers.end()",
         "log.last_index()\n                      : peer == peers.end()")
mutation("what is not durable here is applied", "raft/core/core.cc",
         "const Index ready = std::min(commit, storage.durable_index());", "const Index ready = commit;")
mutation("a learner counts in the commit's majority", LEADER, "    if (member.role != MemberRole::kVoter) continue;\n", "")
mutation("a leader with a hung disk goes on", LEADER, "return oldest && now", "return oldest && false && now")
mutation("a leader without a majority goes on", LEADER, "if (!alive || is_stalled())", "if (is_stalled())")
mutation("a leader that removed itself goes on", LEADER, "  commit_to(agreed);\n  leave_if_removed();", "  commit_to(agreed);")
mutation("a leader steps down before its own removal is committed", LEADER,
         "configurations.newest_index() > commit || configuration()", "configuration()")

# --- a follower ---
FOLLOWER = "raft/core/follower.cc"
mutation("a follower commits what the leader has not shown", FOLLOWER,
         "commit_to(std::min(request.commit, end));", "commit_to(std::min(request.commit, log.last_index()));")
mutation("a committed suffix is truncated", FOLLOWER,
         "    return id.index <= commit && log.term_at", "    return false && id.index <= commit && log.term_at",
         "if (id.index > commit && !log.holds(id)) break;", "if (!log.holds(id)) break;")
mutation("entries with a gap are accepted", FOLLOWER, "entry.index != previous.index + 1 || ", "")
mutation("entries are accepted behind another entry than the leader's", FOLLOWER,
         "  if (request.previous.index > commit && !log.holds(request.previous)) return reject_append(from, request);\n", "")
mutation("everything behind the leader's entries is cut, though it is the leader's", FOLLOWER,
         "  if (fresh < request.entries.size() && !append_as_follower(request.entries, fresh)) return;",
         "  if (end < log.last_index() && end > commit && end > 0) {\n    log.truncate_from(end + 1);\n"
         "    storage.truncate_from(end + 1);\n  }\n"
         "  if (fresh < request.entries.size() && !append_as_follower(request.entries, fresh)) return;")
mutation("entries are acknowledged before they are durable", FOLLOWER,
         "  answer(from, term, match,\n         AppendResponse{.match = match, .last = log.last_index(), .read_round",
         "  answer(from, term, 0,\n         AppendResponse{.match = match, .last = log.last_index(), .read_round")
mutation("a configuration stays when its entry is truncated", FOLLOWER,
         "    if (configurations.truncate_from(entries[first].index)) set_configuration_changed();\n", "")
mutation("entries are taken while a snapshot is installed", FOLLOWER, "  if (installing) {", "  if (installing && now == 0) {")
mutation("an old snapshot replaces the log", FOLLOWER,
         "if (chunk.last.index <= commit || log.holds(chunk.last)) {", "if (log.holds(chunk.last)) {")
mutation("a snapshot that the log holds replaces it", FOLLOWER,
         "if (chunk.last.index <= commit || log.holds(chunk.last)) {", "if (chunk.last.index <= commit) {")
mutation("a snapshot is installed over entries on their way to the disk", FOLLOWER,
         "if (!held_chunk || storage.changes_log()) return;", "if (!held_chunk) return;")
mutation("two leaders of one term are followed", FOLLOWER,
         "role == Role::kLeader || (leader != 0 && leader != from)", "role == Role::kLeader")

# --- what waits for the disk ---
QUEUE = "raft/core/storage_queue.cc"
mutation("a late completion counts for entries that replaced the written ones", QUEUE,
         "  for (Written& written : written_) written.durable_to = std::min(written.durable_to, tail_);\n", "")
mutation("an answer does not wait for term and vote", QUEUE,
         "index <= durable_index_ && hard_state_ == durable_hard_state_", "index <= durable_index_")
mutation("a write calls committed what the next one removes", QUEUE,
         "    if (persist->truncate_from != 0) commit = std::min(commit, persist->truncate_from - 1);\n", "")
mutation("a truncation joins the write before it", QUEUE,
         "if (!queued_.empty() && (!queued_.back().entries.empty() || queued_.back().truncate_from != 0)) {",
         "if (queued_.size() > 1000) {")

# --- membership ---
MEMBERSHIP = "raft/core/membership.cc"
mutation("the membership changes before the leader's term has a commit", MEMBERSHIP, "  if (commit < noop) {", "  if (noop == 0) {")
mutation("two changes of the membership at once", MEMBERSHIP,
         "  if (configurations.newest_index() > commit) {", "  if (configurations.newest_index() > log.last_index()) {")
mutation("a member votes before it has caught up", MEMBERSHIP,
         "!member.promote || !is_caught_up(member.id)) continue;", "!member.promote) continue;")
mutation("the membership changes during a transfer", MEMBERSHIP, "  if (transfer) {", "  if (transfer && now == 0) {")

# --- proposals, transfers, reads ---
PROPOSALS = "raft/core/proposals.cc"
mutation("proposals are taken during a transfer", PROPOSALS, "  if (transfer) {", "  if (transfer && now == 0) {")
mutation("a proposal is appended whatever it stands on", PROPOSALS,
         "return fence.check(proposal.bases, log);", "return Status::ok();")
mutation("a proposal of another term is appended", PROPOSALS, "proposal.term != 0 && proposal.term != term", "proposal.term > term")
mutation("proposals without a limit", PROPOSALS,
         "uncommitted_bytes > 0 && uncommitted_bytes + size > options", "uncommitted_bytes > SIZE_MAX / 2 && size > options")
TRANSFER = "raft/core/transfer.cc"
mutation("leadership goes to one that lacks entries", TRANSFER,
         "peer != peers.end() && peer->second.match == log.last_index()", "peer != peers.end()")
mutation("a leader that commits nothing goes on for ever", "raft/core/leader.cc", "if (!alive || is_stalled())", "if (!alive)")
mutation("the second member votes alone", "raft/core/membership.cc", "if (promote && would_be_second()) {", "if (false) {")
mutation("the keeper gives the second member its vote alone", "raft/core/role_keeper.cc",
         "voters == 1 && targets_.voters > 2 ? 2 : 1", "1")
mutation("a standby believes in a leader that is gone", "raft/core/election.cc",
         "if (leader != 0) become_follower(term, 0);", "")
mutation("a transfer never ends", TRANSFER, "static_cast<uint64_t>(options.election_ticks)) return;",
         "static_cast<uint64_t>(options.election_ticks) * 1000) return;")
mutation("leadership goes to one that would not lead", TRANSFER, " || peer.cannot_lead) continue;", ") continue;")
mutation("leadership goes again to one that did not take it", TRANSFER, "  if (one.transfers_in_vain != other.transfers_in_vain)",
         "  if (false)")
mutation("leadership goes to one that does not vote", TRANSFER, "  if (!configuration().is_voter(target)) {", "  if (false) {")
mutation("a read is answered before the leader's term has a commit", "raft/core/read_index.cc",
         "if (!reads.is_waiting() || commit < noop) return;", "if (!reads.is_waiting()) return;")
mutation("a read begins no round of its own", "raft/core/read_rounds.cc", "  round_++;\n", "  round_ = 1;\n")
mutation("any answer confirms a read", "raft/core/replication.cc",
         "std::max(peer.acknowledged_round, response.read_round);", "reads.round();")
mutation("a standby confirms a read", "raft/core/read_index.cc", "    if (member.role != MemberRole::kVoter) continue;\n", "")
ASKED = "raft/core/asked_reads"
mutation("the answer to an old question serves a new read", ASKED + ".cc", "open_.find(number);", "open_.begin();")
mutation("questions are numbered from 1 in every life", ASKED + ".h", "next_number_(first_number)", "next_number_(first_number ? 1 : 1)")
mutation("a member that does not lead confirms reads", "raft/core/read_index.cc",
         "  if (role != Role::kLeader || configuration().find(message.from) == nullptr) return;\n"
         "  reads.add({message.from, request.number});",
         "  if (role != Role::kLeader) return send(message.from, term, ReadResponse{request.number, commit});\n"
         "  reads.add({message.from, request.number});")

# --- replication ---
REPLICATION = "raft/core/replication.cc"
mutation("the window to a follower has no end", REPLICATION,
         "return peer.inflights.count() >= options.max_inflight_messages ||", "return")
mutation("a window that was lost whole is never noticed", LEADER, "        send_entries(id, peer, {});\n", "")
mutation("a late refusal moves the probe", "raft/core/progress.cc", "  if (refused != next - 1) return false;\n", "")
mutation("a snapshot goes to one that is down", REPLICATION, "if (is_in_contact(peer) && !peer.leaving_since)", "if (!peer.leaving_since)")
mutation("an unreadable log is asked at once again", REPLICATION, "peer.reading || now < peer.read_again_at", "peer.reading")
mutation("an acknowledgement beyond the log's end is believed", REPLICATION,
         "response.read_round > reads.round() || (!response.rejected && response.match > log.last_index())",
         "response.read_round > reads.round()")

# --- the log on disk ---
RECOVERY = "raft/log/recovery.cc"
mutation("a torn batch is taken for damage", RECOVERY,
         "evidence.batch > replay_.expected_batch()", "evidence.batch >= replay_.expected_batch()")
mutation("damage is taken for a torn tail", RECOVERY, "  if (evidence.batch > replay_.expected_batch()) {", "  if (false) {")
mutation("a lost committed entry is taken for a torn tail", RECOVERY, "  if (commit >= replay_.next_index()) {", "  if (false) {")
mutation("recovery does not sync what it found", RECOVERY, "  return segment.file->sync_data();", "  return Status::ok();")
mutation("recovery does not write the last batch again", RECOVERY,
         "uint64_t keep_until = holds_last ? last.end : kSegmentHeaderBytes;", "uint64_t keep_until = kSegmentHeaderBytes;",
         "write_again(segment, holds_last ? last.begin : keep_until, keep_until, zero_until)",
         "write_again(segment, replay_.accepted_end(), keep_until, zero_until)")
mutation("what was cut is left behind the end", RECOVERY,
         "uint64_t zero_until = i == active ? dirty_ends_[segment.sequence] : keep_until;", "uint64_t zero_until = keep_until;")
REPLAY = "raft/log/replay.cc"
mutation("a record's predecessor is not compared", REPLAY,
         "  if (at.has_previous && record.previous != at.previous) return false;\n", "")
mutation("a record's batch is not compared", REPLAY, "  if (record.batch != expected_batch_) return false;\n", "")
mutation("a payload's checksum is not compared", REPLAY, "return running == record.payload_checksum;", "return true;")
mutation("a record of an unknown type is skipped", REPLAY, "  if (!is_known(record.type) ||", "  if (")
mutation("a truncated configuration is told at the start", REPLAY,
         "        configurations_.pop_back();", "        break;")
APPEND = "raft/log/log_append.cc"
mutation("a batch tells the commit of its own entries", APPEND,
         "std::min(commit_known, durable)", "commit_known")
mutation("a batch tells the commit of what a later part replaces", APPEND,
         "    if (record.type == RecordType::kTruncate) durable = std::min(durable, record.index - 1);\n", "")
mutation("a failed write does not poison the log", APPEND,
         'return poison(status.in("writing the log"));', 'return status.in("writing the log");')
mutation("term and vote are not saved", APPEND,
         "if (Status status = save_hard_state(*work.hard_state); !status) return poison(status);", "")
mutation("the log takes a vote back", APPEND,
         "wanted.term < newest.term || (wanted.term == newest.term && newest.vote != 0)", "wanted.term < newest.term")
mutation("the log truncates what is committed", APPEND, "    if (persist.truncate_from <= work.committed) {", "    if (false) {")
mutation("a segment's name is not synced before its first record", APPEND,
         "  segment.sequence = sequence;\n  return disk.sync_directory(directory);", "  segment.sequence = sequence;\n  return Status::ok();")
WRITER = "raft/log/batch_writer.cc"
mutation("a failed sync is tried again", WRITER,
         "  if (Status status = segment.file->sync_data(); !status) return status;",
         "  if (Status status = segment.file->sync_data(); !status) {\n"
         "    if (Status again = segment.file->sync_data(); !again) return again;\n  }")
mutation("a batch is not synced", WRITER, "  if (Status status = segment.file->sync_data(); !status) return status;\n", "")
mutation("term and vote go over their newest copy", "raft/log/state_file.cc", "int slot = 1 - newest_;", "int slot = newest_;")
mutation("term and vote are not synced", "raft/log/state_file.cc", "  return slots_[slot].file->sync_data();", "  return Status::ok();")
mutation("with one bad copy of term and vote the older one counts silently", "raft/log/state_file.cc",
         "  if (!contents[0] && !contents[1]) {", "  if (!contents[0] && !contents[1]) return false;\n  if (false) {")

# --- the node ---
mutation("a promise leaves before its write is durable", "raft/node/live_member.cc",
         "  outstanding_.push_back({persist.token, std::move(persist.after)});",
         "  for (const Message& message : persist.after) services_.network.send(message);\n"
         "  outstanding_.push_back({persist.token, {}});")
mutation("a member that doubts its copy campaigns", "raft/node/live_member.cc",
         "core_.set_may_campaign(!removed_ && (!gives_way || nobody_leads));", "core_.set_may_campaign(!removed_);")
mutation("a leader that doubts its copy goes on", "raft/node/live_member.cc",
         "\n  member_desk_.hand_over();", "")
mutation("where all doubt their copies nobody ever leads", "raft/node/live_member.cc",
         "(!gives_way || nobody_leads)", "!gives_way")
mutation("a question to a member is asked only once", "raft/node/inquirer.cc",
         "    } else if (!is_given_up && ++ask.ticks % kRepeatTicks == 0) {", "    } else if (ask.ticks < 0) {")
mutation("the log writer tells that it is done before it is", "raft/node/log_writer.cc",
         "  Status written = log_->append(batch_);",
         "  durable_token_.store(batch_.back().token, std::memory_order_release);\n  events_.progressed();\n"
         "  Status written = log_->append(batch_);")
mutation("the log writer goes on after a failure", "raft/node/log_writer.cc",
         "    has_failed_ = true;\n    events_.failed(written);\n    return lane_->close();",
         "    events_.failed(written);\n    batch_.clear();\n    continue;")
mutation("a full disk is taken for a failure", "raft/node/log_writer.cc", "written.code() == Code::kFull && !closing_.load()", "false")
mutation("another leader's entry is taken for the own proposal", "raft/node/applier.cc", "    const bool is_it = id == entry.id();", "    const bool is_it = id.index == entry.index;")
mutation("what was overwritten certainly has no effect", "raft/node/applier.cc",
         "  overwritten_.insert(overwritten_.end(), first, pending_.end());",
         "  for (auto each = first; each != pending_.end(); ++each) drop(each->second, {Code::kNotCommitted, \"gone\"});")
mutation("what was overwritten waits for its own place in the log", "raft/node/applier.cc", "id.index <= entry.index || id.term < entry.term;",
         "id.index <= entry.index;")
mutation("an entry behind a gap is applied", "raft/node/applier.cc", "  if (entry.index != applied_ + 1) {", "  if (false) {")
mutation("leadership is gained before the term's no-op is applied", "raft/node/applier.cc",
         "gaining_ && entry.index == gaining_->noop", "gaining_")
ROLL_CALL = "raft/node/roll_call.cc"
mutation("a member goes on alone while a majority answers", ROLL_CALL,
         "if (!others || answering.members.size() < configuration.quorum()) return", "return")
mutation("a member goes on alone beside a leader that it hears", ROLL_CALL, "    if (!is_heard) continue;", "    if (!is_heard || true) continue;")
mutation("a member that refuses this one does not answer", ROLL_CALL, "return refuses || network_.answers", "return (refuses && false) || network_.answers")
mutation("a roll is over with the first look", ROLL_CALL, "ticks_ >= kPatience * election_ticks_;", "ticks_ >= election_ticks_;")
mutation("only the newest configuration is asked for a majority", ROLL_CALL,
         "  if (judged) judged = judge_voters(core_.committed_configuration());\n", "")
mutation("a member that goes on alone stays in its term", "raft/core/membership.cc", "become_follower(term + 1, 0);", "become_follower(term, 0);")
mutation("a member that goes on alone gives up its tail", "raft/core/membership.cc",
         "  become_follower(term + 1, 0);\n",
         "  if (log.last_index() > commit) {\n    log.truncate_from(commit + 1);\n    storage.truncate_from(commit + 1);\n  }\n"
         "  become_follower(term + 1, 0);\n")
LONE = "raft/node/lone_cluster.cc"
mutation("a log that becomes one member's alone stays in its term", LONE, "held.term}) + 1;", "held.term});")
mutation("a damaged log that goes on alone is in a term that it was in before", LONE, "(*log)->highest_term() + 1;", "0;",
         "std::max({log.hard_state().term, log.highest_term(), held.term}) + 1;", "log.hard_state().term + 1;")
mutation("new entries lie below what the databases hold", LONE, "  if (is_beyond(log, held)) {", "  if (false && is_beyond(log, held)) {")
mutation("the end of a decision comes before the log says so", LONE,
         "    Status appended = append_configuration(**log, file.identity(), options, machine.newest_held());",
         "    Status appended = end_being_alone(file);\n"
         "    if (appended) appended = append_configuration(**log, file.identity(), options, machine.newest_held());")
mutation("the old cluster's id is forgotten with its segments in the log", LONE,
         "  identity.former_clusters.push_back(identity.cluster_id);\n", "")
mutation("a moved directory that is alone leads", "raft/node/member_files.cc", "files->failed && file.was_copied())", "files->failed && false)")
mutation("links to the old cluster stay", "raft/node/live_member.cc", "  services_.network.keep_peers({});\n", "")
GREETER = "raft/node/greeter.cc"
mutation("a member of another cluster is welcome", GREETER,
         "if (hello.cluster_id == identity_.cluster_id) return Status::ok();", "return Status::ok();")
mutation("another directory may take a member's id", GREETER, "member != nullptr && member->instance != hello.instance", "member == nullptr && false")
mutation("a directory restored from a backup is welcome", GREETER, "hello.boot_counter < known.counter || is_other_life", "is_other_life")
mutation("two copies of one directory are welcome", GREETER, "hello.boot_counter < known.counter || is_other_life", "hello.boot_counter < known.counter")
mutation("a copy of a running node's directory is welcome", GREETER, "if (runs_elsewhere(hello)) {", "if (false) {")
mutation("what others know of a member's starts is not believed", GREETER,
         "((is_newer || names_it) && (from_leader", "(names_it && (from_leader")
mutation("where others heard that a member is now is not believed", GREETER, "if (says_where || (", "if ((")
mutation("a process that another one has replaced goes on", GREETER, "if (!from_leader || !is_newer) continue;", "continue;")
RECEIVER = "raft/node/snapshot_receiver.cc"
mutation("a broken piece of a snapshot is stored", RECEIVER,
         "codec::checksum(*chunk.data) == chunk.data_checksum &&", "")
mutation("a receiver that asks for the beginning keeps what it holds to itself", RECEIVER,
         "if (stream_->stored == 0 && stream_->held)", "if (false)")
mutation("a snapshot is installed whatever its checksum", RECEIVER,
         "stream.taken != stream.total || stream.chain != chunk.total_checksum", "stream.taken != stream.total")
mutation("a piece out of order is stored", RECEIVER, "chunk.offset == stream_->taken && !stream_->whole", "!stream_->whole")
mutation("a piece of a snapshot counts as held though it is not", RECEIVER, "(*stream_->held)[number] == chunk.data_checksum;", "true;",
         "stream_->held && number < stream_->held->size() &&", "")
SENDER = "raft/node/snapshot_sender.cc"
mutation("a deposed leader sends snapshot pieces", SENDER,
         "core_.role() == Role::kLeader && core_.term() == stream.term", "stream.term != 0")
mutation("a piece is named that the receiver does not hold any more", SENDER,
         "if (ack.next_offset == 0) stream.held = ack.held;", "if (!ack.held.empty()) stream.held = ack.held;")
mutation("a lost piece of a snapshot is not sent again", SENDER,
         "    stream.next =\n        stream.acknowledged < stream.total ? stream.acknowledged : begin_of_last_piece(stream.total);\n", "")

# --- large transactions ---
STAGE = "vfs/part_stage.cc"
SET = "vfs/database_set.cc"
PARTS = "vfs/committer_parts.cc"
mutation("the log may lose parts of a set that is open", SET,
         "return floor && floor->index < applied.index ? *floor : applied;", "return applied;")
mutation("a snapshot passes the first part of a set that is open", "vfs/snapshot.cc",
         "last = databases.settled_point();", "last = databases.applied_point();")
mutation("parts outlive the term of their leader", STAGE, "return set.term < term;", "return set.term + 100 < term;")
mutation("parts outlive a snapshot", SET,
         "  stage_.clear();\n", "")
mutation("an abort is passed over", SET, "    stage_.end(abort->set);\n", "")
mutation("parts outlive another change of their database", SET,
         "stage_.end_sets_of(change.database);\n}", ";\n}")
mutation("a closing entry takes what parts there are", STAGE, "if (count != transaction.part_count) {", "if (count == 0) {")
mutation("a part that is missing is not noticed by the next", STAGE, "if (part.number != set.count + 1) {", "if (false) {")
mutation("pages of a set may go back", STAGE, "if (first_page <= change.last_page) {", "if (false) {")
mutation("a part is not checked before the close", STAGE,
         "return status ? check_checksum_after(database, part.change, index, change.checksum) : status;", "return status;")
mutation("parts of what is in the file are staged", SET, "is_own || is_in_file ? nullptr : database", "is_own ? nullptr : database")
mutation("a node whose disk is full stops at once", STAGE, "while (status.code() == Code::kFull && goes_on_())", "if (false)")
mutation("a node that ends goes on waiting for space", STAGE, " && goes_on_()", "")
mutation("an old set that is given up takes newer ones with it", PARTS, "set.second.term < write_term", "set.second.term != write_term")
mutation("no space is left for the checkpoint of parts", SET, "stage_.size_bytes() + ", "")
mutation("the closing entry is proposed before the parts are applied", PARTS,
         "    if (Status status = sender.finish(); !status) return status;\n", "")
mutation("a set that fails is not aborted", PARTS, "    if (set_ != 0) committer_.give_up(set_);\n", "")
mutation("a set whose closing entry is refused is not aborted", "vfs/committer.cc",
         "  if (pending->closed_set != 0) give_up(pending->closed_set);\n", "")
mutation("an abort that is refused is not tried again", SET,
         "  if (!stage_.empty()) committer_->retry_aborts(write_term());\n", "")
mutation("a part of unknown fate makes COMMIT one of unknown fate", "vfs/committer.cc",
         "if (unknown && !pending.is_of_set) {", "if (unknown) {")
mutation("a spilled page is not checked when it is read", "vfs/spill_file.cc",
         "if (*got == out.size() && codec::page_hash(page_number, out) == hashes_[slot]) return", "if (*got == out.size()) return")
mutation("a spill file keeps its name", "vfs/spill_file.cc",
         "    if (Status status = files.remove(path); !status) return status;\n    return std::shared_ptr", "    return std::shared_ptr")
mutation("what a crash left of spill files stays", "vfs/spill_file.cc",
         "    if (Status status = files.remove(path.append(\"/\").append(name)); !status) return status;\n", "")
mutation("a transaction has no limit", "vfs/connection_write.cc",
         "if ((uint64_t{slot} + 1) * page > options_.max_transaction_mb << 20) {", "if (false) {")
mutation("a checkpoint does not wait for a reader that would need too many old pages", "vfs/database.cc",
         "std::max(versions_.kept_bytes(), replaced_bytes(record, plan.target, pages))", "versions_.kept_bytes()")
mutation("a checkpoint that waits for readers goes further each time", "vfs/database.cc",
         "refused_index_ = plan.target.index;", "")
mutation("old pages for a snapshot take any memory", "vfs/file_versions.cc",
         "file_->page_list(kMemoryLimit - std::min(kMemoryLimit, kept_bytes()))", "file_->page_list(SIZE_MAX)")
