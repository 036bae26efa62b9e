#include "tests/vfs/fake_replicator.h"

#include <future>

#include "codec/command.h"
#include "tests/vfs/failing_new.h"

namespace dqlite::vfs::test {

FakeReplicator::FakeReplicator(DatabaseSet& databases, std::vector<LogEntry> log, uint64_t dropped)
    : databases_(databases), log_(std::move(log)) {
  databases_.attach(*this);
  for (size_t i = 0; i < log_.size(); i++) {
    {
      // The checkpoint thread asks already: what is replayed may request one.
      std::lock_guard lock(mutex_);
      term_ = log_[i].term;
      committed_ = i + 1;
      applied_ = i + 1;
      note_newest(log_[i], i + 1);
    }
    if (i < dropped) continue;
    if (log_[i].payload != nullptr) {
      Status status = databases_.apply(i + 1, log_[i].term, *log_[i].payload, std::nullopt);
      if (!status) queue_.push_back({0, 0, [status, this] { databases_.failed(status); }});
    }
    databases_.applied(i + 1, log_[i].term);
  }
  thread_ = std::thread([this] { run(); });
  if (!log_.empty()) gain_leadership();
}

FakeReplicator::~FakeReplicator() {
  stop();
}

void FakeReplicator::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  databases_.checkpointer().stop();
}

// --- the applier thread ---

void FakeReplicator::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] {
      return stopping_ || (!queue_.empty() && (!paused_ || allowed_ > 0 || queue_.front().action));
    });
    if (stopping_) return;
    Step step = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    if (!step.action) {
      committed_ = step.index;  // with the same look at the queue: it cannot be overwritten now
      if (paused_) allowed_--;
    }
    lock.unlock();
    if (step.action) {
      step.action();
    } else {
      commit(step);
    }
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void FakeReplicator::commit(const Step& step) {
  LogEntry entry;
  {
    std::lock_guard lock(mutex_);
    entry = log_[step.index - 1];
  }
  if (entry.payload != nullptr) {
    std::optional<uint64_t> own = step.own != 0 ? std::optional<uint64_t>(step.own) : std::nullopt;
    Status status = databases_.apply(step.index, entry.term, *entry.payload, own);
    if (!status) databases_.failed(status);
  }
  databases_.applied(step.index, entry.term);
  std::lock_guard lock(mutex_);
  applied_ = step.index;
  changed_.notify_all();
}

// --- the log ---

void FakeReplicator::note_newest(const LogEntry& entry, uint64_t index) {
  if (entry.payload == nullptr) return;
  Result<codec::Command> command = codec::decode(*entry.payload);
  if (!command) return;
  if (std::holds_alternative<codec::CreateDatabase>(*command)) newest_[index] = {index, entry.term};
  if (const auto* transaction = std::get_if<codec::Transaction>(&*command)) {
    for (const codec::DatabaseChange& change : transaction->changes) {
      newest_[change.database] = {index, entry.term};
    }
  }
}

uint64_t FakeReplicator::append(const LogEntry& entry, uint64_t own) {
  log_.push_back(entry);
  note_newest(entry, log_.size());
  queue_.push_back({log_.size(), own, nullptr});
  changed_.notify_all();
  return log_.size();
}

// Compare and append [A1].
uint64_t FakeReplicator::append_proposal(const ReplicatedProposal& proposal) {
  proposals_++;
  Status status;
  if (standing_ != Standing::kLeader || (proposal.term != 0 && proposal.term != term_)) {
    status = {Code::kNotLeader, "not the leader of that term"};
  }
  if (log_full_ && proposal.term != 0) status = {Code::kFull, "no space is left for the log"};
  if (until_refused_ > 0) {
    until_refused_--;
  } else if (refused_ > 0) {
    refused_--;
    status = {Code::kBusy, "leadership is being handed over"};
  }
  for (const ProposalBase& base : proposal.bases) {
    const Newest& newest = newest_[base.database];
    // An adopted database stands on an entry that is in no log.
    if (newest.index == 0 && base.index <= 1) continue;
    if (newest.index != base.index || newest.term != base.term) {
      status = {Code::kNotCommitted, "it stands on an older entry"};
    }
  }
  if (status) return append({term_, proposal.payload}, proposal.id);
  queue_.push_back({0, 0, [this, id = proposal.id, status] { databases_.proposal_dropped(id, status); }});
  changed_.notify_all();
  return 0;
}

void FakeReplicator::truncate_to_applied() {
  std::deque<Step> waiting;
  waiting.swap(queue_);
  for (Step& step : waiting) {
    if (step.action) {
      queue_.push_back(std::move(step));
    } else if (step.own != 0) {
      queue_.push_back(
          {0, 0, [this, id = step.own] {
             databases_.proposal_dropped(id, {Code::kNotCommitted, "overwritten by a new leader"});
           }});
    }
  }
  log_.resize(committed_);
  truncations_++;
  newest_.clear();
  for (size_t i = 0; i < log_.size(); i++) note_newest(log_[i], i + 1);
}

// --- Replicator ---

Standing FakeReplicator::standing() {
  std::lock_guard lock(mutex_);
  return standing_;
}

Status FakeReplicator::bootstrap(bool adopted, Deadline) {
  if (adopted) {
    std::lock_guard lock(mutex_);
    log_.push_back({1, nullptr});  // entry (1, 1), which is in no real log
    committed_ = 1;
    applied_ = 1;
    term_ = 1;
  }
  gain_leadership();
  return Status::ok();
}

void FakeReplicator::propose(ReplicatedProposal proposal) {
  auto probe = std::make_unique<int>(0);  // out of memory here, or not at all
  UncountedNew uncounted;
  std::lock_guard lock(mutex_);
  append_proposal(proposal);
}

Status FakeReplicator::confirm_leadership(uint64_t term, Deadline) {
  confirmations_++;
  std::lock_guard lock(mutex_);
  if (refuse_confirmation_ || standing_ != Standing::kLeader || term != term_) {
    return {Code::kNotLeader, "a newer term has begun"};
  }
  return Status::ok();
}

Status FakeReplicator::read_barrier(Deadline) {
  barriers_++;
  std::function<Status()> action;
  {
    std::lock_guard lock(mutex_);
    action.swap(at_barrier_);
  }
  return action ? action() : Status::ok();
}

void FakeReplicator::at_barrier(std::function<Status()> action) {
  std::lock_guard lock(mutex_);
  at_barrier_ = std::move(action);
}

uint64_t FakeReplicator::durable_index() {
  std::lock_guard lock(mutex_);
  return held_durable_ != 0 ? std::min(held_durable_, committed_) : committed_;
}

bool FakeReplicator::is_caught_up() {
  std::lock_guard lock(mutex_);
  return caught_up_;
}

Status FakeReplicator::wait_caught_up(Deadline deadline) {
  waits_++;
  std::unique_lock lock(mutex_);
  if (changed_.wait_until(lock, deadline, [&] { return caught_up_; })) return Status::ok();
  return {Code::kTimeout, "no leader was heard since the start"};
}

void FakeReplicator::checkpoint_done() {
  checkpoints_++;
  droppable_ = databases_.durable_point().index;
}

Result<uint64_t> FakeReplicator::request_checkpoint(Deadline deadline) {
  ReplicatedProposal proposal;
  proposal.id = Committer::next_proposal_id();
  proposal.payload = std::make_shared<const Bytes>(codec::encode(codec::Command(codec::Checkpoint{})));
  std::unique_lock lock(mutex_);
  uint64_t index = append_proposal(proposal);
  if (index == 0) return Status(Code::kNoQuorum, "no leader took the request");
  size_t truncations = truncations_;
  changed_.wait_until(lock, deadline, [&] { return applied_ >= index || truncations_ != truncations; });
  if (applied_ >= index) return index;
  return Status(Code::kTimeout, "the request was not committed");
}

// --- what a test does to it ---

void FakeReplicator::gain_leadership() {
  std::unique_lock lock(mutex_);
  uint64_t term = ++term_;
  append({term, nullptr}, 0);
  bool gained = false;
  queue_.push_back({0, 0, [this, term, &gained] {
                      {
                        std::lock_guard inner(mutex_);
                        standing_ = Standing::kLeader;
                      }
                      databases_.leadership_gained(term);
                      std::lock_guard inner(mutex_);
                      gained = true;
                    }});
  changed_.notify_all();
  changed_.wait(lock, [&] { return gained || stopping_; });
}

void FakeReplicator::lose_leadership(bool keep) {
  std::lock_guard lock(mutex_);
  standing_ = Standing::kFollower;
  queue_.push_front({0, 0, [this] { databases_.leadership_lost(); }});
  if (!keep) truncate_to_applied();
  changed_.notify_all();
}

void FakeReplicator::set_standing(Standing standing) {
  std::lock_guard lock(mutex_);
  standing_ = standing;
}

void FakeReplicator::commit_foreign(SharedBytes payload) {
  std::lock_guard lock(mutex_);
  append({++term_, std::move(payload)}, 0);
}

void FakeReplicator::pause() {
  std::lock_guard lock(mutex_);
  paused_ = true;
}

void FakeReplicator::commit_one() {
  std::unique_lock lock(mutex_);
  const uint64_t target = committed_ + 1;
  allowed_ = 1;
  changed_.notify_all();
  changed_.wait(lock, [&] { return applied_ >= target || stopping_; });
}

void FakeReplicator::refuse_proposal(size_t number, size_t count) {
  std::lock_guard lock(mutex_);
  until_refused_ = number - 1;
  refused_ = count;
}

void FakeReplicator::fill_log(bool full) {
  std::lock_guard lock(mutex_);
  log_full_ = full;
}

void FakeReplicator::resume() {
  std::lock_guard lock(mutex_);
  paused_ = false;
  changed_.notify_all();
}

void FakeReplicator::hold_durable(uint64_t index) {
  std::lock_guard lock(mutex_);
  held_durable_ = index;
}

void FakeReplicator::set_caught_up(bool caught_up) {
  std::lock_guard lock(mutex_);
  caught_up_ = caught_up;
  changed_.notify_all();
}

void FakeReplicator::wait_proposed(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return proposals_ >= count; });
}

void FakeReplicator::refuse_confirmation(bool refuse) {
  std::lock_guard lock(mutex_);
  refuse_confirmation_ = refuse;
}

void FakeReplicator::wait_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return (queue_.empty() || (paused_ && !queue_.front().action)) && !busy_; });
}

std::vector<LogEntry> FakeReplicator::log() {
  std::lock_guard lock(mutex_);
  return {log_.begin(), log_.begin() + static_cast<ptrdiff_t>(committed_)};
}

uint64_t FakeReplicator::term() {
  std::lock_guard lock(mutex_);
  return term_;
}

size_t FakeReplicator::proposals() {
  std::lock_guard lock(mutex_);
  return proposals_;
}

void FakeReplicator::copy_in_doubt(const std::string& reason) {
  std::lock_guard lock(mutex_);
  doubts_.push_back(reason);
}

void FakeReplicator::copy_differs(const Status& reason) {
  std::lock_guard lock(mutex_);
  difference_ = reason.sentence();
}

Result<Bytes> FakeReplicator::ask_others(const Bytes& question, Deadline deadline) {
  DatabaseSet* other = nullptr;
  {
    std::lock_guard lock(mutex_);
    other = other_;
  }
  if (other == nullptr) return Status(Code::kNotFound, "there is no other member to ask");
  auto answer = std::make_shared<std::promise<Result<Bytes>>>();
  std::future<Result<Bytes>> answered = answer->get_future();
  other->verifier().ask(question, [answer](Result<Bytes> given) { answer->set_value(std::move(given)); });
  if (answered.wait_until(deadline) != std::future_status::ready) return Status(Code::kTimeout, "no answer");
  return answered.get();
}

void FakeReplicator::set_other(DatabaseSet* other) {
  std::lock_guard lock(mutex_);
  other_ = other;
}

std::string FakeReplicator::doubt() {
  std::lock_guard lock(mutex_);
  return doubts_.empty() ? "" : doubts_.back();
}

std::vector<std::string> FakeReplicator::doubts() {
  std::lock_guard lock(mutex_);
  return doubts_;
}

std::string FakeReplicator::difference() {
  std::lock_guard lock(mutex_);
  return difference_;
}

}  // namespace dqlite::vfs::test
