#include "tests/vfs/fake_replicator.h"

#include "codec/command.h"

namespace dqlite::vfs::test {

FakeReplicator::FakeReplicator(DatabaseSet& databases, std::vector<LogEntry> log)
    : databases_(databases), log_(std::move(log)) {
  databases_.attach(*this);
  for (size_t i = 0; i < log_.size(); i++) {
    term_ = log_[i].term;
    applied_ = i + 1;
    if (log_[i].payload != nullptr) {
      Status status = databases_.apply(i + 1, log_[i].term, *log_[i].payload, std::nullopt);
      if (!status) queue_.push_back({{}, [status, this] { databases_.failed(status); }});
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

void FakeReplicator::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock,
                  [&] { return stopping_ || (!queue_.empty() && (!paused_ || queue_.front().action)); });
    if (stopping_) return;
    Step step = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    if (step.action) {
      step.action();
    } else {
      commit(step.proposal);
    }
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

// Compare and append [A1], then commit and publish at once.
void FakeReplicator::commit(const ReplicatedProposal& proposal) {
  if (standing_ != Standing::kLeader || (proposal.term != 0 && proposal.term != term_)) {
    databases_.proposal_dropped(proposal.id, {Code::kNotLeader, "not the leader of that term"});
    return;
  }
  for (const ProposalBase& base : proposal.bases) {
    if (newest_[base.database] != base.index) {
      databases_.proposal_dropped(proposal.id, {Code::kNotCommitted, "it stands on an older entry"});
      return;
    }
  }
  append({term_, proposal.payload}, proposal.id);
}

void FakeReplicator::append(const LogEntry& entry, std::optional<uint64_t> own) {
  uint64_t index = 0;
  {
    std::lock_guard lock(mutex_);
    log_.push_back(entry);
    index = log_.size();
    applied_ = index;
  }
  if (entry.payload != nullptr) {
    Result<codec::Command> command = codec::decode(*entry.payload);
    if (command) {
      if (std::holds_alternative<codec::CreateDatabase>(*command)) newest_[index] = index;
      if (const auto* transaction = std::get_if<codec::Transaction>(&*command)) {
        for (const codec::DatabaseChange& change : transaction->changes) newest_[change.database] = index;
      }
    }
    Status status = databases_.apply(index, entry.term, *entry.payload, own);
    if (!status) databases_.failed(status);
  }
  databases_.applied(index, entry.term);
}

Standing FakeReplicator::standing() {
  std::lock_guard lock(mutex_);
  return standing_;
}

Status FakeReplicator::bootstrap(bool, Deadline) {
  gain_leadership();
  wait_idle();
  return Status::ok();
}

void FakeReplicator::gain_leadership() {
  std::unique_lock lock(mutex_);
  queue_.push_front({{}, [this] {
                       {
                         std::lock_guard inner(mutex_);
                         term_++;
                         standing_ = Standing::kLeader;
                       }
                       append({term_, nullptr}, std::nullopt);
                       databases_.leadership_gained(term_);
                     }});
  changed_.notify_all();
  changed_.wait(lock, [&] { return standing_ == Standing::kLeader && !busy_; });
}

void FakeReplicator::lose_leadership(bool keep) {
  std::unique_lock lock(mutex_);
  standing_ = Standing::kFollower;
  std::deque<Step> waiting;
  waiting.swap(queue_);
  queue_.push_back({{}, [this] { databases_.leadership_lost(); }});
  for (Step& step : waiting) {
    if (keep) {
      queue_.push_back(std::move(step));
    } else {
      uint64_t id = step.proposal.id;
      queue_.push_back(
          {{}, [this, id] {
             databases_.proposal_dropped(id, {Code::kNotCommitted, "overwritten by a new leader"});
           }});
    }
  }
  changed_.notify_all();
}

void FakeReplicator::commit_foreign(SharedBytes payload) {
  std::lock_guard lock(mutex_);
  queue_.push_back({{}, [this, payload] {
                      {
                        std::lock_guard inner(mutex_);
                        term_++;
                      }
                      append({term_, payload}, std::nullopt);
                    }});
  changed_.notify_all();
}

void FakeReplicator::propose(ReplicatedProposal proposal) {
  std::lock_guard lock(mutex_);
  proposals_++;
  queue_.push_back({std::move(proposal), nullptr});
  changed_.notify_all();
}

Status FakeReplicator::confirm_leadership(uint64_t term, Deadline) {
  confirmations_++;
  std::lock_guard lock(mutex_);
  if (refuse_confirmation_ || standing_ != Standing::kLeader || term != term_) {
    return {Code::kNotLeader, "a newer term has begun"};
  }
  return Status::ok();
}

uint64_t FakeReplicator::durable_index() {
  std::lock_guard lock(mutex_);
  return applied_;
}

Result<uint64_t> FakeReplicator::request_checkpoint(Deadline) {
  propose({Committer::next_proposal_id(),
           0,
           {},
           std::make_shared<const Bytes>(codec::encode(codec::Command(codec::Checkpoint{})))});
  wait_idle();
  return durable_index();
}

void FakeReplicator::pause() {
  std::lock_guard lock(mutex_);
  paused_ = true;
}

void FakeReplicator::resume() {
  std::lock_guard lock(mutex_);
  paused_ = false;
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
  changed_.wait(lock, [&] { return (queue_.empty() || paused_) && !busy_; });
}

std::vector<LogEntry> FakeReplicator::log() {
  std::lock_guard lock(mutex_);
  return log_;
}

size_t FakeReplicator::proposals() {
  std::lock_guard lock(mutex_);
  return proposals_;
}

}  // namespace dqlite::vfs::test
