#include "raft/node/live_member.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "raft/node/repair_note.h"

namespace dqlite::raft {

namespace {

// One frame must hold it (net::kMaxFrameBody).
constexpr size_t kMaxCommandBytes = 256 << 20;
// Entries that wait for the applier with their payloads; beyond, it reads them from the log.
constexpr size_t kMaxApplierBacklog = 64 << 20;

// In shortest election time-outs: for how long a member in doubt leaves it to others to lead, and how often it tries
// to hand leadership over, during which nobody writes.
constexpr int kDoubtfulPatience = 20;
constexpr int kDoubtfulRetry = 60;

// How long followers wait to learn of a commit that no other follows, and then to apply it.
constexpr int kLazyMs = 2;
// A follower's backlog that is worth waking its applier for.
constexpr size_t kApplyBatchBytes = 256 << 10;

CoreOptions core_options(const NodeOptions& options, const Identity& identity) {
  CoreOptions result;
  result.waits_to_tell_commit = true;
  result.self = identity.node_id;
  result.seed = identity.boot_nonce ^ identity.instance;
  result.first_question = identity.boot_nonce;
  result.heartbeat_ticks = options.heartbeat_ticks;
  result.election_ticks = options.election_ticks;
  result.disk_patience_ticks = options.disk_patience_ticks;
  result.max_voters = options.roles.voters;
  result.avoids_two_voters = true;
  return result;
}

}  // namespace

LiveMember::LiveMember(const MemberServices& services, const Identity& identity, std::string own_address,
                       const MemberFiles& files)
    : services_(services),
      own_address_(std::move(own_address)),
      log_(files.log),
      core_(core_options(services.options, identity), files.recovered),
      sender_(core_, services.network, services.loop, services.reader, services.machine,
              services.options.election_ticks, identity.boot_nonce),
      receiver_(core_, services.network, services.loop, services.reader, services.applier, services.machine,
                services.disk, files.log, services.options.directory,
                {[this](const LogStart& start) { installed(start); }, services.poison}),
      compactor_(core_, services.loop, services.reader, services.machine, files.log,
                 services.options.log_tail_bytes, [this] { return sender_.pinned(); }),
      desk_(core_, services.network, identity.cluster_id),
      forwarder_(core_, services.network, services.loop,
                 [this](uint64_t ticket, SharedBytes payload) {
                   Proposal proposal;
                   proposal.payload = std::move(payload);
                   propose_as({0, ticket}, std::move(proposal));
                 }),
      member_desk_(
          core_, services.network,
          [this](const net::MemberReply& reply) { member_client_.handle_reply(core_.self(), reply); }),
      member_client_(core_, services.network, services.loop,
                     [this](const net::MemberRequest& request) { member_desk_.handle(0, request); }),
      tender_(core_, services.greeter, services.options),
      roll_call_(core_, services.network, services.greeter, services.options.election_ticks),
      inquirer_(identity.node_id, services.network, services.loop, services.machine, identity.boot_nonce),
      space_(files.log, services.writer, services.options) {
  core_.applied(files.applied);
  apply_sent_ = applied_told_ = std::max(files.applied, files.recovered.start.last.index);
  caught_up_at_ = files.recovered.last_index;
  damage_ = files.damage;
  lost_ = files.lost;
  held_ = files.held;
  // What it acknowledged is not known until it is repaired.
  if (core_.is_mute()) caught_up_at_ = std::numeric_limits<Index>::max();
  services_.writer.begin(log_);
  services_.applier.begin(log_, apply_sent_);
  services_.published.caught_up.store(false);
  if (identity.removed) become_removed();
  services_.published.standing.store(Standing::kLeaderless);  // member of a cluster from the first moment on
}

// --- inputs ---

void LiveMember::link_lost(NodeId peer) {
  core_.peer_unreachable(peer);
  forwarder_.handle_link_lost(peer);
  member_client_.handle_link_lost(peer);
}

void LiveMember::handle_forward(net::ConnectionId from, net::ForwardRequest request) {
  forwarder_.handle_request(from, std::move(request));
}

void LiveMember::propose(Proposal proposal) {
  const Origin origin{proposal.id, 0};
  propose_as(origin, std::move(proposal));
}

void LiveMember::propose_as(Origin origin, Proposal proposal) {
  const size_t size = proposal.payload ? proposal.payload->size() : 0;
  if (size > kMaxCommandBytes) {
    return services_.applier.dropped(
        origin,
        {Code::kInvalid, "a command of " + std::to_string(size) + " bytes is larger than one entry may be (" +
                             std::to_string(kMaxCommandBytes) + " bytes)"});
  }
  // What depends on no term is small, and the cluster's own.
  if (proposal.term != 0 && core_.role() == Role::kLeader) {
    if (Status room = space_.admit(size); !room) return services_.applier.dropped(origin, room);
  }
  proposal.id = next_proposal_++;
  origins_[proposal.id] = origin;
  core_.propose(std::move(proposal));
}

void LiveMember::propose_anywhere(SharedBytes payload, Deadline deadline, IndexCompletion completion) {
  if (is_removed()) return completion->complete(refusal_of_removed());
  forwarder_.begin(std::move(payload), deadline, std::move(completion));
}

void LiveMember::change_members(const MemberChange& change, Deadline deadline, MemberCompletion completion) {
  if (is_removed()) return completion->complete(refusal_of_removed());
  member_client_.begin(change, deadline, std::move(completion));
}

void LiveMember::confirm_leadership(Term term, const StatusCompletion& completion) {
  if (term == 0)
    return completion->complete({Code::kNotLeader, "a node leads no term before its first election"});
  const uint64_t id = next_read_++;
  reads_[id] = [completion](const Status& status, Index) { completion->complete(status); };
  core_.read(id, term);
}

void LiveMember::read_index(const IndexCompletion& completion) {
  if (is_removed()) return completion->complete(refusal_of_removed());
  const uint64_t id = next_read_++;
  reads_[id] = [this, completion](const Status& status, Index index) {
    if (status) waited_for_ = std::max(waited_for_, index);
    completion->complete(status ? Result<Index>(index) : Result<Index>(status));
  };
  core_.read(id, 0);
}

void LiveMember::transfer_leadership(StatusCompletion completion) {
  if (core_.role() != Role::kLeader || core_.configuration().voter_count() < 2) {
    return completion->complete(Status::ok());
  }
  transfers_.push_back(std::move(completion));
  core_.transfer(0);
}

void LiveMember::tick() {
  core_.tick();
  sender_.tick();
  receiver_.tick();
  compactor_.tick();
  forwarder_.try_waiting();
  member_client_.tick();
  inquirer_.tick();
  tender_.tick();
  roll_call_.tick();
  look_for_removal();
  if (space_.tick()) compactor_.ask();
  give_way();
  if (has_leavers_) keep_links();
  if (++ticks_ % services_.options.election_ticks == 0) refuse_removed();
  spread_boots();
  desk_.announce_moves(services_.greeter, own_address_);
}

void LiveMember::soon() {
  core_.tell_commit();
  is_late_ = true;
}

LonePlan LiveMember::lone_plan() const {
  LonePlan plan;
  plan.self = Member{core_.self(), 0, own_address_};
  plan.kept = std::max(core_.last().index, held_);
  plan.committed = std::max(core_.commit_index(), held_);
  plan.lost = lost_;
  for (const Member& member : core_.configuration().members) {
    if (member.id != core_.self()) plan.forgotten.push_back(member);
  }
  return plan;
}

Result<Index> LiveMember::become_alone(const Identity& identity) {
  for (NodeId peer : services_.network.peers()) link_lost(peer);
  services_.network.keep_peers({});
  // What they say from now on is another cluster's.
  services_.network.refuse_members(
      [this](const net::Hello& hello) { return services_.greeter.judge_greeting(hello); });
  sender_.cancel_all();
  log_->set_cluster_id(identity.cluster_id.high, identity.cluster_id.low);
  desk_.set_cluster(identity.cluster_id);
  return core_.become_alone(identity.instance, own_address_);
}

// --- outputs ---

void LiveMember::turn() {
  take_back_persisted();
  take_back_applied();
  for (Output output = core_.take(); !output.empty(); output = core_.take()) {
    if (output.poisoned) return services_.poison(*output.poisoned);
    process(output);
  }
  space_.turn_over();
  desk_.answer_committed();
  member_desk_.answer_committed();
  if (!removed_ && is_removed()) become_removed();
  compactor_.maybe_begin();
  publish();
  // Most often the next transaction carries it before.
  if (core_.has_commit_to_tell()) services_.loop.call_soon(kLazyMs);
}

// Only now that the messages are sent: a thread that wakes on this processor takes it from the loop, and the
// followers' disks would begin later than this node's.
void LiveMember::wake_threads() {
  services_.writer.wake();
  const bool is_late = std::exchange(is_late_, false);
  if (!has_entries_to_apply_) return;
  // On the leader, COMMITs wait for it. On a follower nobody does but a read that asked for the newest state,
  // and its processor is better used for the next entry, which the leader waits for: so it applies a few at
  // once.
  const bool at_once = core_.role() == Role::kLeader || !services_.published.caught_up.load() ||
                       services_.published.applied.load() < waited_for_ ||
                       services_.applier.backlog_bytes() >= kApplyBatchBytes;
  if (at_once || is_late) {
    has_entries_to_apply_ = false;
    services_.applier.wake();
  } else {
    services_.loop.call_soon(kLazyMs);
  }
}

void LiveMember::take_back_persisted() {
  const uint64_t durable = services_.writer.durable_token();
  while (!outstanding_.empty() && outstanding_.front().token <= durable) {
    core_.persisted(outstanding_.front().token);
    for (const Message& message : outstanding_.front().after) services_.network.send(message);
    outstanding_.pop_front();
  }
}

void LiveMember::take_back_applied() {
  // While a snapshot is being installed the applier is ahead of what the core knows.
  const Index applied = std::min(services_.published.applied.load(), apply_sent_);
  if (applied <= applied_told_) return;
  applied_told_ = applied;
  core_.applied(applied);
}

// The order matters to the state machine [A1]: a loss of leadership comes before what the next leader
// commits, and a proposal's entry is announced before it is applied.
void LiveMember::process(Output& output) {
  if (output.configuration_changed) process_configuration();
  if (output.repaired) repaired();
  for (const LeadershipEvent& event : output.leadership) process_leadership(event);
  for (Persist& persist : output.persist) process_persist(persist);
  for (const ProposalOutcome& outcome : output.proposals) process_proposal(outcome);
  for (const Message& message : output.send) services_.network.send(message);
  if (output.apply_to != 0) apply_to(output.apply_to);
  for (const ReadOutcome& read : output.reads) {
    const auto found = reads_.find(read.id);
    if (found == reads_.end()) continue;
    found->second(read.status, read.index);
    reads_.erase(found);
  }
  if (output.transfer) {
    for (const StatusCompletion& waiter : transfers_) waiter->complete(*output.transfer);
    transfers_.clear();
    member_desk_.transfer_ended(*output.transfer);
    // Nobody was asked, so nobody was kept from writing.
    if (output.transfer->code() == Code::kRefused)
      hands_over_at_ = std::min(hands_over_at_, ticks_ + services_.options.election_ticks);
  }
  for (const LogReadRequest& request : output.log_reads) read_log(request);
  for (const SnapshotRequest& request : output.snapshots) sender_.begin(request.peer);
  for (const Message& chunk : output.snapshot_chunks) receiver_.handle_chunk(chunk);
  for (const Message& ack : output.snapshot_acks) sender_.handle_ack(ack);
}

void LiveMember::process_configuration() {
  const Configuration& configuration = core_.configuration();
  services_.greeter.set_configuration(configuration);
  const Member* own = configuration.find(core_.self());
  services_.published.has_its_role.store(own != nullptr &&
                                         (own->role == MemberRole::kVoter || !own->promote));
  link_members();
  // A node that was removed, or does not know its cluster yet, goes on answering whoever talks to it.
  has_leavers_ = configuration.find(core_.self()) != nullptr;
}

void LiveMember::link_members() {
  for (const Member& member : core_.configuration().members) {
    if (member.id == core_.self()) continue;
    const std::string text = services_.greeter.heard_address(member).value_or(member.address);
    Result<net::Address> address = net::parse_address(text);
    if (address) services_.network.set_peer(member.id, *address);
  }
}

// Who was removed is to learn it from the leader, and then has no link any more. Who is only missing in this node's
// configuration may lead it: one that joined behind the changes that it has got so far, or one whose removal is in its
// log and was never agreed to. Not while a message is taken in.
void LiveMember::keep_links() {
  has_leavers_ = false;
  std::vector<NodeId> peers;
  for (NodeId id : services_.network.peers()) {
    if (core_.was_removed(id) && !core_.has_follower(id)) continue;
    peers.push_back(id);
    has_leavers_ = has_leavers_ || core_.configuration().find(id) == nullptr;
  }
  services_.network.keep_peers(peers);
}

// One that did not learn it from the log in time would talk to this node for ever over a connection that it was
// given as a member.
void LiveMember::refuse_removed() {
  services_.network.refuse_members([this](const net::Hello& hello) {
    const NodeId id = hello.node_id;
    const bool is_told_otherwise = !core_.was_removed(id) || core_.has_follower(id);
    return is_told_otherwise ? services_.greeter.judge_again(hello)
                             : refusal_to_removed("member " + std::to_string(id));
  });
}

// See raft/node/greeter.h. Told again and again, since reports may be lost and leaders change.
void LiveMember::spread_boots() {
  const bool has_news = services_.greeter.take_news();
  const bool is_due = ticks_ % services_.options.election_ticks == 0;
  if (!has_news && !is_due) return;
  if (is_due && ++boot_report_age_ > 2) services_.greeter.forget_alive();
  const net::BootReport report = services_.greeter.report();
  const bool to_all = has_news || core_.role() == Role::kLeader;
  for (NodeId peer : services_.network.peers()) {
    if (to_all || peer == core_.leader()) services_.network.send_boot_report(peer, report);
  }
}

void LiveMember::handle_boot_report(NodeId from, const net::BootReport& report) {
  const bool is_leader = from == core_.leader();
  if (is_leader) boot_report_age_ = 0;
  Status learned = services_.greeter.learn(report, is_leader);
  if (!learned) return services_.poison(learned);
  link_members();
}

// Who was removed while it was away is told so by any member that it greets. One without a vote would greet nobody
// by itself.
void LiveMember::look_for_removal() {
  if (removed_) return;
  leaderless_ticks_ = core_.leader() == 0 ? leaderless_ticks_ + 1 : 0;
  // One without a vote does not look for the next leader, which may seek it where it was [C3].
  silent_ticks_ = core_.role() == Role::kLeader ? 0 : silent_ticks_ + 1;
  const auto is_due = [&](int ticks) { return ticks > 0 && ticks % services_.options.election_ticks == 0; };
  const bool greets = is_due(leaderless_ticks_) || is_due(silent_ticks_);
  for (const Member& member : core_.configuration().members) {
    if (services_.network.link_failure(member.id).code() == Code::kNotFound) return become_removed();
    if (greets) services_.network.wake(member.id);
  }
}

// Not by its belief alone: one that does not campaign believes in its last leader, whatever comes.
bool LiveMember::hears_leader() const {
  for (const PeerStatus& peer : core_.peers()) {
    if (peer.is_leader) return peer.ticks_since_contact < 2 * services_.options.election_ticks;
  }
  return false;
}

// Its entries are sound: what it cannot read it cannot spread. So this is about who serves best, and a cluster whose
// voters are all in doubt goes on after a while [B9].
void LiveMember::give_way() {
  const bool has_others = core_.configuration().voter_count() > 1;
  const bool gives_way = (!doubt_.empty() || space_.is_lasting()) && has_others;
  unled_ticks_ = gives_way && !hears_leader() ? unled_ticks_ + 1 : 0;
  const bool nobody_leads = unled_ticks_ > kDoubtfulPatience * services_.options.election_ticks;
  core_.set_may_campaign(!removed_ && (!gives_way || nobody_leads));
  if (!gives_way || core_.role() != Role::kLeader || ticks_ < hands_over_at_) return;
  hands_over_at_ = ticks_ + kDoubtfulRetry * services_.options.election_ticks;
  member_desk_.hand_over();
}

void LiveMember::become_removed() {
  removed_ = true;
  core_.set_may_campaign(false);
  member_client_.fail_all(refusal_of_removed());
  services_.removed();
}

void LiveMember::process_leadership(const LeadershipEvent& event) {
  noop_ = event.gained ? event.noop : 0;
  if (!event.gained) sender_.cancel_all();
  services_.applier.change_leadership(event);
}

void LiveMember::process_persist(Persist& persist) {
  if (persist.truncate_from != 0) {
    services_.applier.truncated(persist.truncate_from);
    // What is overwritten now was never acknowledged as committed.
    if (!core_.is_mute()) caught_up_at_ = std::min(caught_up_at_, persist.truncate_from - 1);
  }
  outstanding_.push_back({persist.token, std::move(persist.after)});
  services_.writer.put(std::move(persist));
}

void LiveMember::process_proposal(const ProposalOutcome& outcome) {
  const auto found = origins_.find(outcome.id);
  if (found == origins_.end()) return;
  const Origin origin = found->second;
  origins_.erase(found);
  if (outcome.status) {
    services_.applier.appended(outcome.entry, origin);
  } else {
    services_.applier.dropped(origin, outcome.status);
  }
}

// What is handed to the applier is durable here, so the log has whatever the core's cache has not.
void LiveMember::apply_to(Index to) {
  if (to <= apply_sent_) return;
  std::vector<Entry> entries;
  if (services_.applier.backlog_bytes() < kMaxApplierBacklog) entries = core_.cached(apply_sent_ + 1, to);
  if (!entries.empty() && entries.front().index == apply_sent_ + 1) {
    apply_sent_ = entries.back().index;
    services_.applier.apply(std::move(entries));
    has_entries_to_apply_ = true;
  }
  if (apply_sent_ < to) services_.applier.apply_from_log(apply_sent_ + 1, to);
  apply_sent_ = to;
}

void LiveMember::read_log(const LogReadRequest& request) {
  services_.reader.post([this, request] {
    Result<std::vector<Entry>> read = log_->read(request.from, request.to, request.max_bytes);
    auto entries = std::make_shared<std::vector<Entry>>();
    if (read) *entries = std::move(*read);
    services_.loop.post(
        [this, peer = request.peer, entries] { core_.entries_read(peer, std::move(*entries)); });
  });
}

void LiveMember::installed(const LogStart& start) {
  apply_sent_ = std::max(apply_sent_, start.last.index);
  applied_told_ = std::max(applied_told_, start.last.index);
  if (!core_.is_mute()) caught_up_at_ = std::min(caught_up_at_, start.last.index);
  core_.snapshot_installed(start);
}

// The note goes last: until then another start finds the member mute, and repaired at once.
void LiveMember::repaired() {
  damage_.clear();
  lost_.clear();
  caught_up_at_ = core_.durable_index();
  services_.reader.post([this] {
    Status removed = remove_repair_note(services_.disk, services_.options.directory);
    if (!removed) services_.loop.post([this, removed] { services_.poison(removed); });
  });
}

void LiveMember::fail_all(const Status& reason) {
  forwarder_.fail_all(reason);
  member_client_.fail_all(reason);
  roll_call_.fail_all(reason);
  inquirer_.fail_all(reason);
  compactor_.fail_all(reason);
  for (const auto& [id, answer] : reads_) answer(reason, 0);
  for (const StatusCompletion& waiter : transfers_) waiter->complete(reason);
  for (const StatusCompletion& waiter : leading_waiters_) waiter->complete(reason);
  reads_.clear();
  transfers_.clear();
  leading_waiters_.clear();
}

// --- what others see ---

Standing LiveMember::standing() const {
  if (is_removed() && core_.role() != Role::kLeader) return Standing::kRemoved;
  if (core_.role() == Role::kLeader) return Standing::kLeader;
  return core_.leader() != 0 ? Standing::kFollower : Standing::kLeaderless;
}

void LiveMember::publish() {
  Published& published = services_.published;
  const Index commit = core_.commit_index();
  const Index durable = std::min(commit, core_.durable_index());
  published.report_at.store(report_at());
  // Its readers are to see at once what it acknowledged in its last life: so applied, too [A2].
  const bool caught_up =
      published.caught_up.load() || removed_ || std::min(commit, published.applied.load()) >= caught_up_at_;
  published.standing.store(standing());
  published.commit.store(commit);
  published.durable.store(durable);
  published.leader.store(removed_ ? 0 : core_.leader());
  published.caught_up.store(caught_up);
  published.changed();
  const bool leads = noop_ != 0 && published.applied.load() >= noop_;
  if (!leads || leading_waiters_.empty()) return;
  for (const StatusCompletion& waiter : leading_waiters_) waiter->complete(Status::ok());
  leading_waiters_.clear();
}

// What is applied matters to the loop at once in two moments; else it learns it with its next turn.
Index LiveMember::report_at() const {
  constexpr Index kUnreported = 64;
  if (!services_.published.caught_up.load()) return 0;
  const Index later = applied_told_ + kUnreported;
  return noop_ > applied_told_ ? std::min(noop_, later) : later;
}

std::optional<Status> LiveMember::link_to(const std::string& address) const {
  for (const Member& member : core_.configuration().members) {
    if (member.address == address) return services_.network.link_refusal(member.id);
  }
  return std::nullopt;
}

std::string LiveMember::own_trouble() const {
  std::string all = damage_;
  for (const std::string& trouble : {doubt_, space_.trouble()}) {
    if (!trouble.empty()) all += (all.empty() ? "" : "; ") + trouble;
  }
  return all;
}

std::string LiveMember::problem_of(const Member& member) const {
  if (member.id == core_.self() && !own_trouble().empty()) return own_trouble();
  const Status refused = services_.network.link_refusal(member.id);
  if (!refused) return refused.sentence();
  const Configuration& configuration = core_.configuration();
  const bool is_second = configuration.members.size() == 2 && configuration.voter_count() == 1 &&
                         services_.options.roles.voters > 2;
  if (!is_second || member.role != MemberRole::kStandby || member.pinned || member.promote) return {};
  return "has no vote until a third member has joined: of two voters either one would stop the cluster. "
         "dqlite_role(" +
         std::to_string(member.id) + ", 'voter') gives it one all the same";
}

void LiveMember::fill(NodeStatus& status) const {
  status.term = core_.term();
  status.leader = removed_ ? 0 : core_.leader();
  status.last_index = core_.last().index;
  status.log_start = log_->start().last.index;
  status.log_bytes = log_->size_bytes();
  status.log_bytes_dropped = log_->dropped_bytes();
  status.sync_count = log_->sync_count();
  const Member* leader = core_.configuration().find(status.leader);
  status.leader_address = leader == nullptr ? "" : leader->address;
  status.warning = own_trouble();
  std::tie(status.snapshot_received, status.snapshot_size) = receiver_.progress();
  status.members.clear();
  for (const PeerStatus& peer : core_.peers()) {
    MemberStatus member;
    member.member = peer.member;
    member.is_leader = peer.is_leader && !removed_;
    member.is_self = peer.member.id == core_.self();
    member.match_index = peer.match;
    member.boot_counter = services_.greeter.boot_counter_of(peer.member.instance);
    const int ticks = peer.ticks_since_contact;
    if (ticks >= 0) member.last_contact_ms = static_cast<int64_t>(ticks) * services_.options.tick_ms;
    if (const std::optional<Place> place = services_.greeter.place_of(peer.member.id)) {
      member.failure_domain = place->failure_domain;
      member.weight = place->weight;
    }
    member.problem = problem_of(peer.member);
    if (!removed_ || !member.is_self) status.members.push_back(std::move(member));
  }
  if (!removed_) return;
  MemberStatus self;
  self.member.id = core_.self();
  self.member.address = own_address_;
  self.is_removed = self.is_self = true;
  self.problem = refusal_of_removed().sentence();
  status.members.push_back(std::move(self));
}

}  // namespace dqlite::raft
