#include "raft/node.h"

#include <atomic>

#include "raft/net/address.h"
#include "raft/node/completion.h"
#include "raft/node/driver.h"

namespace dqlite::raft {

namespace {

// For a loop that is late with what it ends at a deadline.
constexpr std::chrono::milliseconds kGrace{500};
// For a roll call, a save of the identity and an election of one.
constexpr std::chrono::seconds kDecision{20};

Status timed_out(const std::string& what) {
  return {Code::kTimeout, "the time given was over before " + what};
}

class CompletionAnswer final : public PendingAnswer {
 public:
  CompletionAnswer(AnswerCompletion completion, const Published& published)
      : completion_(std::move(completion)), published_(published) {}

  std::optional<Result<Bytes>> wait(Deadline deadline) override {
    std::optional<Result<Bytes>> answer = completion_->wait(deadline);
    // A loop that died by an exception completes nothing.
    if (!answer && !published_.ended()) answer = Result<Bytes>(published_.ended());
    return answer;
  }

 private:
  const AnswerCompletion completion_;
  const Published& published_;
};

// The parts in the order in which they are made; their threads end in the opposite order.
class RealNode final : public Node {
 public:
  RealNode(const NodeOptions& options, std::unique_ptr<IdentityFile> identity, StateMachine& machine)
      : options_(options),
        file_(std::move(identity)),
        reader_(std::make_unique<ThreadLane>()),
        writer_(std::make_unique<ThreadLane>(),
                {[this] { driver_.loop().poke(); }, [this](const Status& reason) { report_fault(reason); },
                 [this](const Status& status) {
                   driver_.loop().post([this, status] { driver_.disk_full(status); });
                 }}),
        applier_(std::make_unique<ThreadLane>(), machine, published_,
                 {[this] { driver_.loop().poke(); }, [this](const Status& reason) { report_fault(reason); },
                  [this](uint64_t ticket, const Result<Index>& outcome) {
                    driver_.loop().post([this, ticket, outcome] { driver_.ticket_decided(ticket, outcome); });
                  }}),
        driver_({options_, posix_disk(), *file_, machine, published_, reader_, writer_, applier_}),
        machine_(machine) {}

  // Only tests come here: a host process leaks its nodes. Waits for every thread.
  ~RealNode() override {
    RealNode::stop(Clock::now());
    wait_for_threads(Deadline::max());
  }

  Status start();

  Status bootstrap(bool adopted, Deadline deadline) override;
  Status join(const std::string& address, Deadline deadline) override;
  Result<MemberAnswer> change_members(const MemberChange& change, Deadline deadline) override;
  Result<std::string> recover(bool force, Deadline deadline) override;
  void stop(Deadline deadline) override;
  void propose(Proposal proposal) override;
  Result<Index> propose_anywhere(SharedBytes payload, Deadline deadline) override;
  Status confirm_leadership(Term term, Deadline deadline) override;
  Status read_barrier(Deadline deadline) override;
  std::unique_ptr<PendingAnswer> inquire(NodeId member, SharedBytes question,
                                         Clock::duration silence) override;
  void set_doubt(const std::string& reason) override;
  void fail(const Status& reason) override { report_fault(reason); }
  void durable_point_moved() override;
  Result<uint64_t> drop_log_prefix(Deadline deadline) override;
  Status wait_applied(Index index, Deadline deadline) override;
  Status wait_caught_up(Deadline deadline) override;
  [[nodiscard]] bool is_caught_up() const override { return published_.caught_up.load(); }
  Status wait_leader(Deadline deadline) override;
  [[nodiscard]] Standing standing() const override { return published_.standing.load(); }
  [[nodiscard]] Index durable_index() const override { return published_.durable.load(); }
  [[nodiscard]] NodeStatus status() const override;
  void close_after_fork() override;

 private:
  Status listen();
  Status begin_as_what_it_is();
  Status start_threads();
  Status show_as_failed();
  Result<std::string> recover_failed(bool force);
  void hand_leadership_over(Deadline deadline);
  void wait_for_threads(Deadline deadline);

  // From any thread but the loop's.
  void report_fault(const Status& reason) {
    driver_.loop().post([this, reason] { driver_.poison(reason); });
  }
  // What a call gets when the loop has ended.
  [[nodiscard]] Status ended() const {
    const Status reason = published_.ended();
    return reason
               ? Status(
                     Code::kPoisoned,
                     "it was ended, by dqlite_stop() or with its process, and starts again with the next one")
               : reason;
  }

  const NodeOptions options_;
  const std::unique_ptr<IdentityFile> file_;
  Published published_;
  Worker reader_;
  LogWriter writer_;
  Applier applier_;
  mutable Driver driver_;  // `status` asks it
  StateMachine& machine_;
  Index replay_to_ = 0;                  // what `open` waits for
  Status failed_;                        // why this node takes no part from its first moment on; ok: it does
  std::optional<LonePlan> failed_plan_;  // how it could go on alone
  std::atomic<bool> stopping_{false};
};

// --- opening ---

Status RealNode::start() {
  Status opened = driver_.loop().open();
  if (opened) opened = listen();
  if (opened) opened = begin_as_what_it_is();
  if (opened) driver_.refresh_details();
  if (opened) opened = start_threads();
  if (!opened) return opened;
  Status replayed = published_.wait([this] { return published_.applied.load() >= replay_to_; },
                                    Deadline::max(), "the log was replayed");
  return failed_ || !replayed ? replayed : show_as_failed();
}

// What could be read of a damaged node is there to be read on: so this is no failure of the open.
Status RealNode::show_as_failed() {
  report_fault(failed_);
  (void)published_.wait([] { return false; }, Deadline::max(), "the node had failed");
  return Status::ok();
}

Status RealNode::listen() {
  if (options_.listen.empty()) return Status::ok();
  Result<net::Address> address = net::parse_address(options_.listen);
  if (!address) return address.status().in("listen");
  Result<sockaddr_storage> socket_address = net::resolve_blocking(*address);
  if (!socket_address) return socket_address.status().in("listen");
  if (net::is_wildcard(*socket_address)) {
    return {Code::kInvalid,
            "listen=" + options_.listen +
                " is no address that other nodes could connect to: give the host name or address under "
                "which they reach this machine"};
  }
  net::Address bound;
  Status listening = driver_.transport().listen(*address, *socket_address, bound);
  if (listening) driver_.set_address(bound.text());
  return listening;
}

Status RealNode::begin_as_what_it_is() {
  const Identity& identity = file_->identity();
  if (identity.node_id != 0) {
    Result<MemberFiles> files = open_member_files(posix_disk(), options_, *file_, machine_);
    if (!files) return files.status();
    failed_ = files->failed;
    if (!failed_ && files->may_become_alone) failed_plan_ = plan_for(files->identity, *files);
    if (files->log == nullptr) {
      driver_.begin_as_failed();
      return Status::ok();
    }
    replay_to_ = files->recovered.commit;
    driver_.begin_as_member(*files);
  } else if (!identity.join_target.empty()) {
    Result<net::Address> target = net::parse_address(identity.join_target);
    if (!target) return target.status().in("the join that was begun");
    driver_.resume_join(*target);
  }
  return Status::ok();
}

Status RealNode::start_threads() {
  const auto failed = [this](const Status& reason) { report_fault(reason); };
  Status started = applier_.start();
  if (started) started = reader_.start("dqlite-reader", failed);
  if (started) started = writer_.start();
  // A loop that failed cannot be told: all who wait for it are.
  const auto loop_failed = [this](const Status& reason) {
    const Status poisoned(Code::kPoisoned, reason.sentence());
    published_.end(Standing::kPoisoned, poisoned);
    applier_.poison(poisoned);
  };
  if (started) started = driver_.loop().start(options_.tick_ms, loop_failed);
  return started;
}

// --- the life of the cluster ---

Status RealNode::bootstrap(bool adopted, Deadline deadline) {
  auto completion = std::make_shared<Completion<Status>>();
  if (!driver_.loop().post([this, adopted, completion] { driver_.bootstrap(adopted, completion); }))
    return ended();
  return completion->wait(deadline).value_or(timed_out("the new cluster had a leader"));
}

Status RealNode::join(const std::string& address, Deadline deadline) {
  Result<net::Address> target = net::parse_address(address);
  if (!target) return target.status().in("join");
  if (options_.listen.empty()) {
    return {Code::kRefused, "a node that joins a cluster must be reachable: open it with listen=host:port"};
  }
  auto completion = std::make_shared<Completion<Result<Index>>>();
  const net::Address where = *target;
  if (!driver_.loop().post([this, where, completion] { driver_.join(where, completion); })) return ended();
  const std::optional<Result<Index>> taken_in = completion->wait(deadline);
  if (!taken_in) {
    const std::string warning = published_.warning();
    return {Code::kTimeout,
            warning.empty() ? "joining the cluster at " + address + ": no answer yet" : warning};
  }
  if (!*taken_in) return taken_in->status().in("joining the cluster at " + address);
  const Index goal = **taken_in;
  Status applied = wait_applied(goal, deadline);
  if (!applied) return applied.in("joining the cluster at " + address);
  // A member is one as soon as it has the data; the vote comes when the leader has seen that it keeps up.
  Status votes =
      published_.wait([this] { return published_.has_its_role.load(); }, deadline, "the node had a vote");
  return votes.code() == Code::kTimeout ? Status::ok() : votes;
}

Result<MemberAnswer> RealNode::change_members(const MemberChange& change, Deadline deadline) {
  auto completion = std::make_shared<Completion<Result<MemberAnswer>>>();
  const bool posted = driver_.loop().post(
      [this, change, deadline, completion] { driver_.change_members(change, deadline, completion); });
  if (!posted) return ended();
  // The loop ends it, at the deadline, with the reason.
  Result<MemberAnswer> answer =
      completion->wait(deadline + kGrace)
          .value_or(Status(Code::kUnknown,
                           "the node did not answer in time: the change may or may not take effect"));
  if (!answer) return answer;
  // It is done; the caller is to see it here, too, if this node is near enough to the leader.
  const auto is_seen = [this, &answer] {
    if (standing() == Standing::kRemoved) return true;
    return answer->index != 0 ? published_.applied.load() >= answer->index
                              : published_.leader.load() == answer->leader;
  };
  (void)published_.wait(is_seen, deadline, "this node saw the change");
  return answer;
}

// Not bounded by the deadline alone: a decision is awaited.
Result<std::string> RealNode::recover(bool force, Deadline deadline) {
  if (!failed_) return recover_failed(force);
  auto completion = std::make_shared<Completion<Result<LoneAnswer>>>();
  if (!driver_.loop().post([this, force, completion] { driver_.recover(force, completion); })) return ended();
  const Deadline patience = std::max(deadline, Clock::now() + kDecision);
  Result<LoneAnswer> answer = completion->wait(patience).value_or(
      Status(Code::kUnknown,
             "the node did not answer in time: it may or may not become a "
             "cluster of one, and cluster_id in dqlite_status tells"));
  if (!answer) return answer.status();
  if (!answer->leads) return answer->text;
  // It was founded long ago: this waits until it leads.
  Status leads = bootstrap(false, patience);
  if (!leads && leads.code() != Code::kTimeout) return leads;
  return answer->text;
}

// Nothing of it runs, so nobody can be asked: only where nobody is known.
Result<std::string> RealNode::recover_failed(bool force) {
  if (!failed_plan_) {
    return Status(Code::kRefused,
                  "this node has failed, and has other members to help it: " + failed_.sentence());
  }
  const LonePlan& plan = *failed_plan_;
  if (!force) return text_of_proposal(plan) + " It would take effect at the next start of this process.";
  auto completion = std::make_shared<Completion<Result<Identity>>>();
  const bool posted = reader_.post([this, completion] {
    const bool is_decided = file_->identity().becomes_alone;
    completion->complete(is_decided ? Result<Identity>(file_->identity()) : decide_to_be_alone(*file_));
  });
  if (!posted) return ended();
  const Result<Identity> identity = completion->wait(Deadline::max()).value_or(ended());
  if (!identity) return identity.status().in("making this node a cluster of one");
  published_.set_warning("this node was made a cluster of one by dqlite_recover('force'). " +
                         std::string(kAtNextStart));
  return text_of_report(plan, identity->cluster_id) + " " + kAtNextStart;
}

void RealNode::stop(Deadline deadline) {
  if (!stopping_.exchange(true)) {
    hand_leadership_over(deadline);
    driver_.loop().post([this] { driver_.shut_down(); });
  }
  wait_for_threads(deadline);
}

void RealNode::wait_for_threads(Deadline deadline) {
  // A loop that never ran could not tell the log writer.
  if (driver_.loop().wait_ended(deadline)) writer_.close(0);
  reader_.close();
  applier_.close();
  writer_.wait_ended(deadline);
  reader_.wait_ended(deadline);
  applier_.wait_ended(deadline);
}

void RealNode::hand_leadership_over(Deadline deadline) {
  if (standing() != Standing::kLeader || Clock::now() >= deadline) return;
  auto completion = std::make_shared<Completion<Status>>();
  if (!driver_.loop().post([this, completion] { driver_.transfer_leadership(completion); })) return;
  // The rest of the time is for the disk. Without a successor the others elect one by themselves.
  const Deadline now = Clock::now();
  (void)completion->wait(deadline > now ? now + (deadline - now) * 3 / 4 : deadline);
}

// --- proposals ---

void RealNode::propose(Proposal proposal) {
  driver_.loop().post([this, taken = std::move(proposal)]() mutable { driver_.propose(std::move(taken)); });
}

Result<Index> RealNode::propose_anywhere(SharedBytes payload, Deadline deadline) {
  auto completion = std::make_shared<Completion<Result<Index>>>();
  const bool posted = driver_.loop().post([this, payload = std::move(payload), deadline, completion] {
    driver_.propose_anywhere(payload, deadline, completion);
  });
  if (!posted) return ended();
  // The loop ends it, at the deadline, with the reason.
  return completion->wait(deadline + kGrace)
      .value_or(Status(Code::kUnknown,
                       "the node did not answer in time: the "
                       "command may or may not take effect"));
}

Status RealNode::confirm_leadership(Term term, Deadline deadline) {
  auto completion = std::make_shared<Completion<Status>>();
  if (!driver_.loop().post([this, term, completion] { driver_.confirm_leadership(term, completion); }))
    return ended();
  return completion->wait(deadline).value_or(timed_out("a majority confirmed that this node leads"));
}

Status RealNode::read_barrier(Deadline deadline) {
  while (true) {
    auto completion = std::make_shared<Completion<Result<Index>>>();
    if (!driver_.loop().post([this, completion] { driver_.read_index(completion); })) return ended();
    const std::optional<Result<Index>> confirmed = completion->wait(deadline);
    if (!confirmed) return timed_out("a leader confirmed with a majority that it still leads");
    if (*confirmed) return wait_applied(**confirmed, deadline);
    const Code code = confirmed->status().code();
    const bool is_passing =
        code == Code::kNotLeader ||
        (code == Code::kNoQuorum && standing() != Standing::kNew && standing() != Standing::kJoining);
    if (!is_passing || Clock::now() >= deadline) return confirmed->status();
  }
}

std::unique_ptr<PendingAnswer> RealNode::inquire(NodeId member, SharedBytes question,
                                                 Clock::duration silence) {
  auto completion = std::make_shared<Completion<Result<Bytes>>>();
  // The job goes with its copy of the completion, so that the loop sees when the asker has given up.
  const bool posted =
      driver_.loop().post([this, member, question = std::move(question), silence, completion] {
        driver_.inquire(member, question, silence, completion);
      });
  if (!posted) completion->complete(ended());
  return std::make_unique<CompletionAnswer>(std::move(completion), published_);
}

void RealNode::set_doubt(const std::string& reason) {
  driver_.loop().post([this, reason] { driver_.set_doubt(reason); });
}

void RealNode::durable_point_moved() {
  driver_.loop().post([this] { driver_.durable_point_moved(); });
}

Result<uint64_t> RealNode::drop_log_prefix(Deadline deadline) {
  auto completion = std::make_shared<Completion<Result<uint64_t>>>();
  if (!driver_.loop().post([this, completion] { driver_.drop_log_prefix(completion); })) return ended();
  return completion->wait(deadline).value_or(timed_out("the log's prefix was dropped"));
}

// --- waiting and looking ---

Status RealNode::wait_applied(Index index, Deadline deadline) {
  return published_.wait([this, index] { return published_.applied.load() >= index; }, deadline,
                         "entry " + std::to_string(index) + " was applied");
}

Status RealNode::wait_caught_up(Deadline deadline) {
  return published_.wait([this] { return is_caught_up(); }, deadline,
                         "this node knew what was committed before its restart");
}

Status RealNode::wait_leader(Deadline deadline) {
  const auto is_decided = [this] {
    return published_.leader.load() != 0 || standing() == Standing::kNew || standing() == Standing::kRemoved;
  };
  Status waited = published_.wait(is_decided, deadline, "a leader was known");
  if (!waited) return waited.code() == Code::kTimeout ? Status(Code::kNoQuorum, waited.sentence()) : waited;
  if (published_.leader.load() != 0) return Status::ok();
  if (standing() == Standing::kRemoved) return refusal_of_removed();
  return {Code::kNoQuorum, "this node belongs to no cluster yet, so there is no leader to wait for"};
}

NodeStatus RealNode::status() const {
  // As of now, so that who just joined sees who leads; as of the last turn if the loop has ended or is busy.
  constexpr std::chrono::milliseconds kPatience{100};
  auto refreshed = std::make_shared<Completion<bool>>();
  const bool posted = driver_.loop().post([this, refreshed] {
    driver_.refresh_details();
    refreshed->complete(true);
  });
  if (posted) (void)refreshed->wait(Clock::now() + kPatience);
  NodeStatus status = published_.details();
  status.standing = standing();
  status.commit_index = published_.commit.load();
  status.applied_index = published_.applied.load();
  status.durable_index = published_.durable.load();
  status.messages_sent = published_.messages_sent.load();
  // What is wrong with the log, and beside it what else is in the way just now.
  const std::string warning =
      status.standing == Standing::kRemoved ? refusal_of_removed().sentence() : published_.warning();
  if (!warning.empty()) status.warning += (status.warning.empty() ? "" : "; ") + warning;
  const Status reason = published_.ended();
  if (!reason) status.fault = reason.sentence();
  return status;
}

// The threads of the parent do not exist here, and whatever they held is held for ever: no lock is taken.
void RealNode::close_after_fork() {
  driver_.loop().context().descriptors.close_all();
  file_->close_after_fork();
  close_posix_files_after_fork();
}

}  // namespace

Result<std::unique_ptr<Node>> Node::open(const NodeOptions& options, std::unique_ptr<IdentityFile> identity,
                                         StateMachine& machine) {
  auto node = std::make_unique<RealNode>(options, std::move(identity), machine);
  Status started = node->start();
  if (!started) return started;
  return std::unique_ptr<Node>(std::move(node));
}

}  // namespace dqlite::raft
