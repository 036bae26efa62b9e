#include "raft/node/driver.h"

namespace dqlite::raft {

Driver::Driver(const Parts& parts)
    : parts_(parts),
      loop_(*this),
      transport_(loop_.context(), *this),
      greeter_(parts.file, parts.reader),
      identity_(parts.file.identity()) {
  set_address("");
  greeter_.set_place({parts.options.failure_domain, parts.options.weight});
  greeter_.set_hears([this](uint64_t instance, uint64_t nonce) { return transport_.hears(instance, nonce); });
  greeter_.set_removed([this](NodeId id) { return member_ && member_->was_removed(id); });
  parts_.published.caught_up.store(true);  // holds nothing yet; `become_member` knows better
}

void Driver::set_address(const std::string& address) {
  address_ = address;
  greeter_.set_identity(identity_, address_);
}

// --- events ---

void Driver::on_tick() {
  if (phase_ == Phase::kEnded) return;
  details_are_stale_ = true;
  finished_join_client_.reset();
  transport_.tick();
  if (join_client_) join_client_->tick();
  if (probe_) probe_->tick(uv_now(loop_.context().loop));
  if (member_) member_->tick();
}

void Driver::on_soon() {
  if (phase_ != Phase::kEnded && member_) member_->soon();
}

void Driver::on_turn_end() {
  if (phase_ == Phase::kEnded) return;
  const NodeId leader_before = parts_.published.leader.load();
  const Standing before = parts_.published.standing.load();
  if (member_) member_->turn();
  if (phase_ == Phase::kEnded) return;
  maybe_end_being_alone();
  const bool changed =
      parts_.published.leader.load() != leader_before || parts_.published.standing.load() != before;
  if (changed || details_are_stale_) refresh_details();
}

void Driver::on_turn_sent() {
  if (phase_ != Phase::kEnded && member_) member_->wake_threads();
}

void Driver::refresh_details() {
  details_are_stale_ = false;
  NodeStatus status;
  status.identity = identity_;
  status.listening_on = address_;
  if (member_) member_->fill(status);
  parts_.published.messages_sent.store(transport_.messages_sent());
  parts_.published.set_details(status);
}

// A member that moved is answered at its new address at once: the change of the configuration may need its
// vote [C3].
Status Driver::judge_greeting(const net::Hello& hello) {
  Status judged = greeter_.judge_greeting(hello);
  if (!judged || hello.node_id == 0) return judged;
  Result<net::Address> address = net::parse_address(hello.address);
  if (address) transport_.set_peer(hello.node_id, *address);
  return judged;
}

// Until this node knows who it is, durably, it takes no part: `greeter_` refuses all greetings of members.
void Driver::handle_message(Message message) {
  if (member_ && phase_ == Phase::kMember) member_->step(message);
}

void Driver::handle_heard(NodeId peer) {
  if (member_ && phase_ == Phase::kMember) member_->heard_from(peer);
}

void Driver::handle_join(net::ConnectionId from, const net::JoinRequest& request) {
  if (phase_ == Phase::kMember) {
    member_->handle_join(from, request);
  } else {
    transport_.reply(from, answer_without_cluster(request));
  }
}

void Driver::handle_forward(net::ConnectionId from, net::ForwardRequest request) {
  if (phase_ == Phase::kMember) member_->handle_forward(from, std::move(request));
}

void Driver::handle_forward_reply(NodeId from, const net::ForwardReply& reply) {
  if (phase_ == Phase::kMember) member_->handle_forward_reply(from, reply);
}

void Driver::handle_member_request(net::ConnectionId from, const net::MemberRequest& request) {
  if (phase_ == Phase::kMember) member_->handle_member_request(from, request);
}

void Driver::handle_member_reply(NodeId from, const net::MemberReply& reply) {
  if (phase_ == Phase::kMember) member_->handle_member_reply(from, reply);
}

void Driver::handle_inquiry(net::ConnectionId from, net::Inquiry inquiry) {
  if (phase_ == Phase::kMember) member_->handle_inquiry(from, std::move(inquiry));
}

void Driver::handle_inquiry_reply(NodeId from, net::InquiryReply reply) {
  if (phase_ == Phase::kMember) member_->handle_inquiry_reply(from, std::move(reply));
}

void Driver::handle_boot_report(NodeId from, const net::BootReport& report) {
  if (phase_ == Phase::kMember) member_->handle_boot_report(from, report);
}

void Driver::handle_link_lost(NodeId peer) {
  if (phase_ == Phase::kMember) member_->link_lost(peer);
}

void Driver::ticket_decided(uint64_t ticket, const Result<Index>& outcome) {
  if (phase_ == Phase::kMember) member_->ticket_decided(ticket, outcome);
}

// --- proposals and questions ---

Status Driver::refusal_without_cluster() const {
  if (phase_ == Phase::kEnded) return end_reason_;
  if (phase_ == Phase::kJoining || phase_ == Phase::kEntering) {
    return {Code::kNoQuorum,
            "this node is joining the cluster at " + identity_.join_target + " and is not a member yet"};
  }
  if (phase_ == Phase::kLeaving) {
    return {Code::kNoQuorum, "this node is being made a cluster of its own by dqlite_recover('force')"};
  }
  return {Code::kNoQuorum, "this node belongs to no cluster yet"};
}

void Driver::propose(Proposal proposal) {
  if (phase_ == Phase::kMember) return member_->propose(std::move(proposal));
  parts_.applier.dropped({proposal.id, 0}, refusal_without_cluster());
}

void Driver::propose_anywhere(SharedBytes payload, Deadline deadline, IndexCompletion completion) {
  if (phase_ == Phase::kMember)
    return member_->propose_anywhere(std::move(payload), deadline, std::move(completion));
  completion->complete(refusal_without_cluster());
}

void Driver::change_members(const MemberChange& change, Deadline deadline,
                            const MemberCompletion& completion) {
  if (phase_ == Phase::kMember) return member_->change_members(change, deadline, completion);
  completion->complete(refusal_without_cluster());
}

void Driver::inquire(NodeId member, const SharedBytes& question, Clock::duration silence,
                     const AnswerCompletion& completion) {
  if (phase_ == Phase::kMember) return member_->inquire(member, question, silence, completion);
  completion->complete(refusal_without_cluster());
}

void Driver::confirm_leadership(Term term, const StatusCompletion& completion) {
  if (phase_ == Phase::kMember) return member_->confirm_leadership(term, completion);
  completion->complete(refusal_without_cluster());
}

void Driver::read_index(const IndexCompletion& completion) {
  if (phase_ == Phase::kMember) return member_->read_index(completion);
  completion->complete(refusal_without_cluster());
}

void Driver::transfer_leadership(StatusCompletion completion) {
  if (phase_ == Phase::kMember) return member_->transfer_leadership(std::move(completion));
  completion->complete(Status::ok());
}

void Driver::set_doubt(const std::string& reason) {
  // Also while it leaves its cluster: nobody says it again when it is a member of its own.
  if (member_) member_->set_doubt(reason);
}

void Driver::durable_point_moved() {
  if (phase_ == Phase::kMember) member_->durable_point_moved();
}

void Driver::drop_log_prefix(const BytesCompletion& completion) {
  if (phase_ == Phase::kMember) return member_->drop_prefix(completion);
  completion->complete(refusal_without_cluster());
}

// --- the end ---

void Driver::poison(const Status& reason) {
  if (phase_ == Phase::kEnded) return;
  end(Standing::kPoisoned, Status(Code::kPoisoned, reason.sentence()));
}

void Driver::disk_full(const Status& status) {
  parts_.published.set_warning(status.sentence());
  if (!status) durable_point_moved();  // the log's own tail may be what takes the space
}

void Driver::shut_down() {
  const Index commit = phase_ == Phase::kMember ? member_->commit_index() : 0;
  end(Standing::kStopped,
      Status(Code::kPoisoned,
             "it was ended, by dqlite_stop() or with its process, and starts again with the next one"));
  parts_.writer.close(commit);
  loop_.end();
}

void Driver::end(Standing standing, const Status& reason) {
  if (phase_ != Phase::kEnded) {
    refresh_details();
    parts_.applier.poison(reason);
    end_reason_ = reason;
  }
  phase_ = Phase::kEnded;
  transport_.close();
  join_client_.reset();
  finished_join_client_.reset();
  probe_.reset();
  parts_.published.end(standing, reason);
  if (member_) member_->fail_all(reason);
  for (const IndexCompletion& waiter : join_waiters_) waiter->complete(reason);
  for (const StatusCompletion& waiter : founding_waiters_) waiter->complete(reason);
  join_waiters_.clear();
  founding_waiters_.clear();
}

}  // namespace dqlite::raft
