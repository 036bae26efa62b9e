// How a node becomes a member: the part of the driver that founds a cluster or enters one.
#include "raft/node/driver.h"

namespace dqlite::raft {

// --- founding ---

void Driver::bootstrap(bool adopted, StatusCompletion completion) {
  switch (phase_) {
    case Phase::kMember:
      return member_->when_leading(std::move(completion));  // another thread was faster
    case Phase::kFounding:
      founding_waiters_.push_back(std::move(completion));
      return;
    case Phase::kJoining:
    case Phase::kEntering:
      return completion->complete(
          {Code::kRefused, "this node began to join the cluster at " + identity_.join_target +
                               " and must not found another: wait for the join, or name "
                               "another target with dqlite_join"});
    case Phase::kLeaving:
      return completion->complete(refusal_without_cluster());
    case Phase::kEnded:
      return completion->complete(end_reason_);
    case Phase::kNew:
      break;
  }
  phase_ = Phase::kFounding;
  founding_waiters_.push_back(std::move(completion));
  parts_.reader.post([this, adopted, address = address_] {
    auto files = std::make_shared<Result<MemberFiles>>(
        found_cluster(parts_.disk, parts_.options, parts_.file, address, adopted, parts_.machine));
    loop_.post([this, files] { founded(*files); });
  });
}

void Driver::founded(const Result<MemberFiles>& files) {
  if (phase_ != Phase::kFounding) return;
  std::vector<StatusCompletion> waiters;
  waiters.swap(founding_waiters_);
  if (!files) {
    // Still new, unless the last step may have been taken.
    phase_ = Phase::kNew;
    for (const StatusCompletion& waiter : waiters) waiter->complete(files.status().in("founding a cluster"));
    if (parts_.file.identity().node_id != 0) poison(files.status().in("founding a cluster"));
    return;
  }
  become_member(*files);
  for (StatusCompletion& waiter : waiters) member_->when_leading(std::move(waiter));
}

void Driver::become_member(const MemberFiles& files) {
  set_identity(files.identity);
  const MemberServices services{parts_.options,
                                parts_.machine,
                                parts_.published,
                                loop_,
                                parts_.reader,
                                parts_.writer,
                                parts_.applier,
                                transport_,
                                parts_.disk,
                                greeter_,
                                [this](const Status& reason) { poison(reason); },
                                [this] { store_removal(); }};
  member_ = std::make_unique<LiveMember>(services, identity_, address_, files);
  phase_ = Phase::kMember;
}

// Known from the first moment of the next life. A failure loses nothing else: any member tells it again.
void Driver::store_removal() {
  if (identity_.removed) return;
  identity_.removed = true;
  parts_.reader.post([this] {
    Identity identity = parts_.file.identity();
    identity.removed = true;
    (void)parts_.file.save(identity);
  });
}

// --- joining ---

void Driver::join(const net::Address& target, IndexCompletion completion) {
  switch (phase_) {
    case Phase::kEnded:
      return completion->complete(end_reason_);
    case Phase::kFounding:
      return completion->complete(
          Status(Code::kRefused, "this node is founding a cluster of its own just now"));
    case Phase::kMember:
      return join_as_member(target, completion);
    case Phase::kLeaving:
      return completion->complete(refusal_without_cluster());
    case Phase::kEntering:
      join_waiters_.push_back(std::move(completion));
      return;
    case Phase::kNew:
    case Phase::kJoining:
      break;
  }
  join_waiters_.push_back(std::move(completion));
  if (phase_ == Phase::kJoining && join_client_ && join_client_->target() == target) return;
  phase_ = Phase::kJoining;
  retire_join_client();
  store_target(target);
}

// Its target is given up, but not forgotten if it may count this node as a member. Not from inside a call of
// the client.
void Driver::retire_join_client() {
  if (!join_client_) return;
  if (!join_client_->is_without_effect()) join_may_have_effect_ = true;
  join_client_.reset();
}

// Begun in an earlier life: who knows what was answered then.
void Driver::resume_join(const net::Address& target) {
  join_may_have_effect_ = true;
  begin_asking(target);
}

// Durable before the first request leaves [B7].
void Driver::store_target(const net::Address& target) {
  parts_.reader.post([this, target] {
    Identity identity = parts_.file.identity();
    identity.join_target = target.text();
    Status saved = parts_.file.save(identity);
    loop_.post([this, target, identity, saved] {
      if (phase_ != Phase::kJoining) return;
      if (!saved) return target_not_stored(saved.in("storing the target of the join"));
      set_identity(identity);
      begin_asking(target);
    });
  });
}

// This node is what it was before: new, or on its way into the cluster it asked first.
void Driver::target_not_stored(const Status& reason) {
  retire_join_client();
  Result<net::Address> earlier = net::parse_address(identity_.join_target);
  if (!join_may_have_effect_ || !earlier) return abandon_join(reason);
  for (const IndexCompletion& waiter : join_waiters_) waiter->complete(reason);
  join_waiters_.clear();
  begin_asking(*earlier);
}

void Driver::begin_asking(const net::Address& target) {
  retire_join_client();
  phase_ = Phase::kJoining;
  publish_standing(Standing::kJoining);
  join_client_ = std::make_unique<JoinClient>(
      loop_.context(), target, greeter_.greeting(),
      JoinClient::Events{[this](const net::JoinReply& reply) { taken_in(reply); },
                         [this] { join_held_up(); }});
}

// Tells who waits what is in the way; it goes on asking all the same.
void Driver::join_held_up() {
  const Status& problem = join_client_->problem();
  parts_.published.set_warning("joining the cluster at " + join_client_->target().text() + ": " +
                               problem.sentence());
  if (failure_class(problem.code()) != FailureClass::kCaller) return;
  if (!join_may_have_effect_ && join_client_->is_without_effect()) return abandon_join(problem);
  for (const IndexCompletion& waiter : join_waiters_) waiter->complete(problem);
  join_waiters_.clear();
}

void Driver::set_identity(const Identity& identity) {
  identity_ = identity;
  greeter_.set_identity(identity_, address_);
  details_are_stale_ = true;
}

void Driver::publish_standing(Standing standing) {
  parts_.published.standing.store(standing);
  parts_.published.changed();
  details_are_stale_ = true;
}

// No cluster can know of this node: it is new again, and may found a cluster or join another.
void Driver::abandon_join(const Status& reason) {
  phase_ = Phase::kEntering;  // until the disk has forgotten the target, too
  parts_.published.set_warning("");
  finished_join_client_ = std::move(join_client_);
  parts_.reader.post([this, reason] {
    Identity identity = parts_.file.identity();
    identity.join_target.clear();
    Status saved = parts_.file.save(identity);
    loop_.post([this, reason, identity, saved] {
      if (phase_ != Phase::kEntering) return;
      phase_ = saved ? Phase::kNew : Phase::kJoining;
      if (saved) set_identity(identity);
      publish_standing(saved ? Standing::kNew : Standing::kJoining);
      for (const IndexCompletion& waiter : join_waiters_) waiter->complete(reason);
      join_waiters_.clear();
    });
  });
}

void Driver::taken_in(const net::JoinReply& reply) {
  const net::Address leader = join_client_->asked();
  phase_ = Phase::kEntering;
  finished_join_client_ = std::move(join_client_);
  parts_.reader.post([this, reply, leader] {
    auto files = std::make_shared<Result<MemberFiles>>(enter_cluster(
        parts_.disk, parts_.options, parts_.file, reply.cluster_id, reply.node_id, parts_.machine));
    loop_.post([this, reply, leader, files] { entered(reply, leader, *files); });
  });
}

void Driver::entered(const net::JoinReply& reply, const net::Address& leader,
                     const Result<MemberFiles>& files) {
  if (phase_ != Phase::kEntering) return;
  // The cluster counts this node as a member already: a node that cannot store that must not go on as if it
  // were new.
  if (!files) return poison(files.status().in("entering the cluster"));
  parts_.published.set_warning("");
  become_member(*files);
  transport_.set_peer(reply.leader, leader);
  transport_.wake(reply.leader);  // a greeting from a member: its own link need not wait for its back-off
  for (const IndexCompletion& waiter : join_waiters_) waiter->complete(reply.commit);
  join_waiters_.clear();
}

// Joining again is fine if it is the same cluster.
void Driver::join_as_member(const net::Address& target, const IndexCompletion& completion) {
  if (member_->is_removed()) return completion->complete(refusal_of_removed());
  if (target.text() == address_) return completion->complete(member_->commit_index());
  if (const std::optional<Status> link = member_->link_to(target.text())) {
    if (!*link) return completion->complete(Status(Code::kRefused, link->sentence()));
    return completion->complete(member_->commit_index());
  }
  if (probe_)
    return completion->complete(Status(Code::kBusy, "another join is being checked just now: try again"));
  net::Hello hello = greeter_.greeting();
  hello.node_id = 0;
  const net::JoinRequest request{hello.instance, address_, target.text()};
  constexpr uint64_t kTimeoutMs = 3000;
  probe_ = std::make_unique<net::Exchange>(
      loop_.context(), target, 0, hello, request, kTimeoutMs,
      [this, target, completion](Result<net::JoinReply> reply) {
        loop_.post([this] { probe_.reset(); });
        const bool is_same =
            reply && (reply->code == net::JoinCode::kMember || reply->code == net::JoinCode::kRedirect ||
                      reply->code == net::JoinCode::kLater);
        if (is_same) return completion->complete(member_->commit_index());
        completion->complete(
            Status(Code::kRefused, "this node is a member of cluster " + identity_.cluster_id.text() +
                                       " already and cannot join the one at " + target.text() + ": " +
                                       (reply ? reply->sentence : reply.status().sentence())));
      });
}

net::JoinReply Driver::answer_without_cluster(const net::JoinRequest& request) const {
  net::JoinReply reply;
  reply.code = net::JoinCode::kRefused;
  if (request.instance == identity_.instance) {
    reply.sentence = request.target + " is this node itself: name a member of the cluster to join";
  } else if (phase_ == Phase::kJoining && identity_.join_target == request.address) {
    reply.sentence =
        "the nodes at " + request.address + " and " + address_ +
        " are both new and join each other: write on one of them first, then join it from the other";
  } else if (phase_ == Phase::kLeaving) {
    reply.code = net::JoinCode::kLater;
    reply.sentence = refusal_without_cluster().sentence();
  } else if (phase_ == Phase::kJoining || phase_ == Phase::kEntering) {
    reply.code = net::JoinCode::kNew;
    reply.sentence =
        "no cluster at " + request.target + " yet: that node is itself joining " + identity_.join_target;
  } else {
    reply.code = net::JoinCode::kNew;
    reply.sentence = "no cluster at " + request.target + " yet: write there first";
  }
  return reply;
}

}  // namespace dqlite::raft
