#include "tests/sim/sim_process.h"

namespace dqlite::raft::sim {

namespace {

// One progress of the log in so many is proved on a copy of the disk.
constexpr uint64_t kProofInterval = 150;

std::string describe(const Message& message) {
  std::string text = "to " + std::to_string(message.to) + " term " + std::to_string(message.term);
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    text += request->pre_vote ? " may I campaign?" : " vote for me";
    text += " last " + std::to_string(request->last.index) + "/" + std::to_string(request->last.term);
  } else if (const auto* response = std::get_if<VoteResponse>(&message.body)) {
    text += response->granted ? " yes" : " no";
  } else if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    text += " behind " + std::to_string(append->previous.index) + "/" +
            std::to_string(append->previous.term) + " entries " + std::to_string(append->entries.size()) +
            " commit " + std::to_string(append->commit);
  } else if (const auto* answer = std::get_if<AppendResponse>(&message.body)) {
    text += answer->rejected ? " rejected " : " match ";
    text += std::to_string(answer->match) + " last " + std::to_string(answer->last);
  } else if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body)) {
    text += " snapshot " + std::to_string(chunk->last.index) + " from " + std::to_string(chunk->offset) +
            " of " + std::to_string(chunk->total);
  } else if (const auto* ack = std::get_if<SnapshotAck>(&message.body)) {
    text += ack->installed ? " installed"
            : ack->failed  ? " failed"
                           : " stored " + std::to_string(ack->next_offset);
  } else {
    text += " something else";
  }
  return text;
}

}  // namespace

SimProcess::SimProcess(SimHost& host)
    : host_(host),
      life_(host.world.next_life++),
      machine_(
          host.storage, host.world.book, host.random, host.shape.snapshot_bytes,
          {[this](const Entry& entry) { handle_applied(entry); },
           [this](uint64_t write, Index index) { handle_own_fate(write, Result<Index>(index)); },
           [this](uint64_t write, const Status& reason) { handle_own_fate(write, Result<Index>(reason)); },
           [this] { host_.world.counters[Count::kSnapshotsInstalled]++; }}),
      reader_(lane(reader_lane_, [this] { return host_.latency(host_.shape.read); })),
      writer_(lane(writer_lane_, [this] { return host_.disk_latency(); }),
              {[this] { log_progressed(); },
               [this](const Status& reason) { post([this, reason] { poison(reason); }); },
               [this](const Status& status) {
                 if (!status) host_.world.counters[Count::kFullDisks]++;
               }}),
      applier_(lane(applier_lane_, [this] { return host_.latency(host_.shape.apply); }), machine_, published_,
               {[this] { request_turn(); },
                [this](const Status& reason) { post([this, reason] { poison(reason); }); },
                [this](uint64_t ticket, const Result<Index>& outcome) {
                  post([this, ticket, outcome] {
                    if (member_) member_->ticket_decided(ticket, outcome);
                  });
                }}),
      greeter_(*this, reader_) {
  machine_.set_full_installs(host.shape.full_installs);
  greeter_.set_identity(host.identity, host.address);
  greeter_.set_hears([this](uint64_t instance, uint64_t nonce) { return hears(instance, nonce); });
  greeter_.set_removed([this](NodeId id) { return member_ && member_->was_removed(id); });
  (void)reader_.start("reader", [](const Status&) {});
  (void)writer_.start();
  (void)applier_.start();
}

SimProcess::~SimProcess() = default;

std::unique_ptr<SimLane> SimProcess::lane(SimLane*& kept, const SimLane::Latency& latency) {
  auto made = std::make_unique<SimLane>(
      [this](Micros delay, std::function<void()> event) { schedule(delay, std::move(event)); }, latency);
  kept = made.get();
  return made;
}

// --- Executor: the loop ---

bool SimProcess::post(Job job) {
  jobs_.push_back(std::move(job));
  request_turn();
  return true;
}

void SimProcess::request_turn() {
  if (std::exchange(turn_is_due_, true)) return;
  schedule(host_.latency(host_.shape.loop), [this] { turn(); });
}

void SimProcess::call_soon(int delay_ms) {
  if (std::exchange(soon_is_due_, true)) return;
  schedule(static_cast<Micros>(delay_ms) * kMillisecond, [this] {
    soon_is_due_ = false;
    if (poisoned_) return;
    member_->soon();
    request_turn();
  });
}

Deadline SimProcess::now() const {
  const Micros local = host_.world.timeline.now() * host_.shape.clock_per_thousand / 1000 + clock_ahead_;
  return Deadline(std::chrono::microseconds(local));
}

// The order of Driver::on_turn_end and on_turn_sent.
void SimProcess::turn() {
  turn_is_due_ = false;
  for (Job& job : std::exchange(jobs_, {})) job();
  if (!member_) return;
  if (!poisoned_) member_->turn();
  if (!poisoned_) member_->wake_threads();
  settle_questions();
  if (!poisoned_) observe();
}

void SimProcess::begin() {
  schedule(host_.random.below(static_cast<uint64_t>(host_.options.tick_ms) * kMillisecond),
           [this] { tick(); });
}

void SimProcess::tick() {
  if (is_shutting_down_ || poisoned_) return;
  const auto usual = static_cast<Micros>(host_.options.tick_ms) * kMillisecond;
  schedule(usual * 1000 / host_.shape.clock_per_thousand, [this] { tick(); });
  if (!member_ || host_.world.timeline.now() < starved_until_) return;
  member_->tick();
  request_turn();
}

void SimProcess::jump_clock(int ticks) {
  if (!member_ || poisoned_) return;
  clock_ahead_ += static_cast<Micros>(ticks) * static_cast<Micros>(host_.options.tick_ms) * kMillisecond;
  for (; ticks > 0 && !poisoned_; ticks--) member_->tick();
  request_turn();
}

// As Driver::end.
void SimProcess::poison(const Status& reason) {
  if (poisoned_) return;
  host_.world.trace.note(host(), "poisoned");
  host_.world.trace.line(host(), reason.sentence());
  if (!host_.may_be_poisoned(reason))
    host_.world.book.fail("h" + std::to_string(host()) + " is poisoned: " + reason.sentence());
  host_.world.counters[Count::kPoisoned]++;
  poisoned_ = Status(Code::kPoisoned, reason.sentence());
  applier_.poison(*poisoned_);
  if (member_) member_->fail_all(*poisoned_);
}

// --- the network ---

void SimProcess::keep_peers(const std::vector<NodeId>& peers) {
  std::erase_if(peers_, [&](const auto& item) {
    return std::find(peers.begin(), peers.end(), item.first) == peers.end();
  });
}

std::vector<NodeId> SimProcess::peers() const {
  std::vector<NodeId> ids;
  for (const auto& [id, address] : peers_) ids.push_back(id);
  return ids;
}

Status SimProcess::link_failure(NodeId peer) const {
  const auto found = link_status_.find(peer);
  return found == link_status_.end() || !peers_.contains(peer) ? Status::ok() : found->second;
}

bool SimProcess::answers(NodeId peer) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && host_.world.network.is_connected(*this, found->second);
}

bool SimProcess::send_member_request(NodeId to, const net::MemberRequest& request) {
  const auto peer = peers_.find(to);
  if (poisoned_ || peer == peers_.end()) return false;
  if (!host_.world.network.is_connected(*this, peer->second)) {
    wake(to);
    return false;
  }
  host_.world.network.send(*this, peer->second, to, net::encode(request), true);
  return true;
}

bool SimProcess::send_boot_report(NodeId to, const net::BootReport& report) {
  const auto peer = peers_.find(to);
  if (poisoned_ || peer == peers_.end() || !host_.world.network.is_connected(*this, peer->second))
    return false;
  host_.world.network.send(*this, peer->second, to, net::encode(report), false);
  return true;
}

void SimProcess::refuse_members(const std::function<Status(const net::Hello&)>& judge) {
  host_.world.network.refuse(*this, judge);
}

void SimProcess::reply(net::ConnectionId to, const net::MemberReply& reply) {
  if (!poisoned_) host_.world.network.reply(*this, to, net::encode(reply));
}

bool SimProcess::send(const Message& message) {
  const auto peer = peers_.find(message.to);
  if (poisoned_ || peer == peers_.end()) return false;
  host_.world.book.sent(host(), message, *log_);
  if (host_.world.trace.is_printed()) host_.world.trace.line(host(), describe(message));
  host_.world.network.send(*this, peer->second, message.to, net::encode(message), false);
  return true;
}

void SimProcess::wake(NodeId to) {
  const auto peer = peers_.find(to);
  if (poisoned_ || peer == peers_.end()) return;
  host_.world.network.send(*this, peer->second, to, net::encode_empty(net::FrameType::kPing), false);
}

bool SimProcess::send_forward(NodeId to, const net::ForwardRequest& request) {
  const auto peer = peers_.find(to);
  if (poisoned_ || peer == peers_.end()) return false;
  host_.world.network.send(*this, peer->second, to, net::encode(request), true);
  return true;
}

void SimProcess::reply(net::ConnectionId to, const net::JoinReply& reply) {
  host_.world.network.reply(*this, to, net::encode(reply));
}

void SimProcess::reply(net::ConnectionId to, const net::ForwardReply& reply) {
  if (!poisoned_) host_.world.network.reply(*this, to, net::encode(reply));
}

Status SimProcess::remember_peer(uint64_t instance, uint64_t boot_counter) {
  uint64_t& known = host_.peer_boots[instance];
  known = std::max(known, boot_counter);
  return Status::ok();
}

uint64_t SimProcess::peer_boot_counter(uint64_t instance) const {
  const auto found = host_.peer_boots.find(instance);
  return found == host_.peer_boots.end() ? 0 : found->second;
}

// While the host is paused, the kernel takes it all the same.
void SimProcess::arrive(Micros delay, std::function<void()> job) {
  if (delay == 0) {
    post(std::move(job));
  } else {
    schedule(delay, [this, taken = std::move(job)] { post(taken); });
  }
}

// As Driver::judge_greeting: a member that moved is answered at its new address.
Status SimProcess::judge_greeting(const net::Hello& hello) {
  Status judged = greeter_.judge_greeting(hello);
  if (judged && hello.node_id != 0) peers_[hello.node_id] = hello.address;
  return judged;
}

void SimProcess::handle_frame(net::ConnectionId from, NodeId sender, const net::Frame& frame) {
  if (poisoned_ || is_shutting_down_) return;
  Book& book = host_.world.book;
  if (frame.type == net::FrameType::kJoinReply) {
    const Result<net::JoinReply> reply = net::decode_join_reply(frame.body);
    return reply ? handle_join_reply(*reply) : book.fail("a reply cannot be read");
  }
  if (frame.type == net::FrameType::kJoinRequest) {
    const Result<net::JoinRequest> request = net::decode_join_request(frame.body);
    if (!request) return book.fail("a request to join cannot be read");
    if (member_) return member_->handle_join(from, *request);
    net::JoinReply reply;
    reply.code = net::JoinCode::kNew;
    return SimProcess::reply(from, reply);
  }
  if (!member_) return;
  if (frame.type == net::FrameType::kRaft) {
    const Result<Message> message = net::decode_message(frame.body);
    if (!message) return book.fail("a message cannot be read: " + message.status().sentence());
    if (message->from == sender) member_->step(*message);
  } else if (frame.type == net::FrameType::kForwardRequest) {
    Result<net::ForwardRequest> request = net::decode_forward_request(frame.body);
    if (request) member_->handle_forward(from, std::move(*request));
  } else if (frame.type == net::FrameType::kForwardReply) {
    const Result<net::ForwardReply> reply = net::decode_forward_reply(frame.body);
    if (reply) member_->handle_forward_reply(sender, *reply);
  } else if (frame.type == net::FrameType::kMemberRequest) {
    const Result<net::MemberRequest> request = net::decode_member_request(frame.body);
    if (request) member_->handle_member_request(from, *request);
  } else if (frame.type == net::FrameType::kMemberReply) {
    const Result<net::MemberReply> reply = net::decode_member_reply(frame.body);
    if (reply) member_->handle_member_reply(sender, *reply);
  } else if (frame.type == net::FrameType::kBootReport) {
    const Result<net::BootReport> report = net::decode_boot_report(frame.body);
    if (report) member_->handle_boot_report(sender, *report);
  }
}

void SimProcess::link_lost(NodeId peer) {
  if (member_ && !poisoned_ && peer != 0) member_->link_lost(peer);
}

// --- becoming a member; what raft::JoinClient and Driver do ---

void SimProcess::become_member(const MemberFiles& files) {
  greeter_.set_identity(files.identity, host_.address);
  log_ = files.log;
  seen_commit_ = files.recovered.commit;
  note_logged();
  const MemberServices services{.options = host_.options,
                                .machine = machine_,
                                .published = published_,
                                .loop = *this,
                                .reader = reader_,
                                .writer = writer_,
                                .applier = applier_,
                                .network = *this,
                                .disk = host_.disk,
                                .greeter = greeter_,
                                .poison = [this](const Status& reason) { poison(reason); },
                                .removed = [this] { host_.identity.removed = true; }};
  member_ = std::make_unique<LiveMember>(services, files.identity, host_.address, files);
  request_turn();
}

void SimProcess::begin_joining() {
  if (host_.join_target.empty()) return;
  joins_ = true;
  schedule(kMillisecond + host_.random.below(50 * kMillisecond), [this] { ask_to_join(host_.join_target); });
}

void SimProcess::ask_to_join(const std::string& target) {
  if (!joins_) return;
  const net::JoinRequest request{host_.identity.instance, host_.address, target};
  host_.world.network.send(*this, target, 0, net::encode(request), true);
  asked_ = target;
  // No answer: once more, from the beginning.
  constexpr Micros kPatience = 10 * kSecond;
  schedule(kPatience, [this, attempt = ++join_attempt_] {
    if (attempt == join_attempt_) ask_to_join(host_.join_target);
  });
}

void SimProcess::handle_join_reply(const net::JoinReply& reply) {
  if (!joins_) return;
  if (reply.code == net::JoinCode::kMember) {
    joins_ = false;
    schedule(host_.disk_latency(), [this, reply] { enter(reply); });
    return;
  }
  const bool is_redirect = reply.code == net::JoinCode::kRedirect;
  const std::string target = is_redirect ? reply.redirect : host_.join_target;
  join_attempt_++;
  schedule((is_redirect ? 1 : 100) * kMillisecond, [this, target] { ask_to_join(target); });
}

// What raft/node/member_files.cc does; its own tests cut it off at every call.
void SimProcess::enter(const net::JoinReply& reply) {
  Identity& identity = host_.identity;
  identity.cluster_id = reply.cluster_id;
  Result<std::vector<std::string>> left_over = host_.disk.list(host_.options.directory);
  if (!left_over) return;
  for (const std::string& name : *left_over) (void)host_.disk.remove(host_.options.directory + "/" + name);
  LogOptions options;
  options.segment_bytes = host_.options.segment_bytes;
  options.spare_segments = 0;
  options.salt_seed = host_.options.salt_seed;
  options.cluster_id_high = identity.cluster_id.high;
  options.cluster_id_low = identity.cluster_id.low;
  if (!Log::open(host_.disk, host_.options.directory, options)) {
    // The real node is poisoned then, and begins anew with its next start.
    joins_ = true;
    return schedule(kSecond, [this] { ask_to_join(host_.join_target); });
  }
  identity.node_id = reply.node_id;
  host_.world.counters[Count::kJoins]++;
  host_.world.trace.note(host(), "member", reply.node_id);
  Result<MemberFiles> files = open_member_files(host_.disk, host_.options, identity, false, machine_);
  if (!files) return poison(files.status());
  become_member(*files);
  peers_[reply.leader] = asked_;
}

// --- the end in good order; what RealNode::stop does ---

void SimProcess::stop_in_order() {
  if (!member_ || poisoned_) return shut_down();
  hand_over();
  schedule(3 * kSecond, [this] { shut_down(); });
}

void SimProcess::shut_down() {
  if (std::exchange(is_shutting_down_, true)) return;
  const Status reason(Code::kPoisoned, "it was ended");
  applier_.poison(reason);
  if (member_) member_->fail_all(reason);
  const Index commit = member_ && !poisoned_ ? member_->commit_index() : 0;
  poisoned_ = reason;
  writer_.close(commit);
  wait_for_writer();
}

void SimProcess::wait_for_writer() {
  if (writer_lane_->has_ended()) {
    host_.world.counters[Count::kOrderlyStops]++;
    return host_.end(SimHost::End::kKill, false);
  }
  schedule(10 * kMillisecond, [this] { wait_for_writer(); });
}

bool SimProcess::work_now() {
  for (SimLane* lane : {writer_lane_, applier_lane_, reader_lane_}) {
    if (!lane->is_due()) continue;
    lane->work_now();
    return true;
  }
  return false;
}

void SimProcess::log_progressed() {
  note_logged();
  if (!host_.is_damaged() && host_.random.below(kProofInterval) == 0) host_.prove_durable(*log_);
  request_turn();
}

}  // namespace dqlite::raft::sim
