#include "vfs/checkpointer.h"

#include <algorithm>
#include <new>

#include "codec/command.h"
#include "vfs/database_set.h"
#include "vfs/error_codes.h"
#include "vfs/quiet_thread.h"

namespace dqlite::vfs {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// How long one attempt waits for stock readers of one file.
constexpr milliseconds kLockWait{500};
// This node's disk may be a moment behind the commit index: the pause before looking again.
constexpr milliseconds kDurableWait{2};
// A proposal that went under is made again after this time.
constexpr std::chrono::seconds kProposalLife{5};

PendingFrames pending_frames(DatabaseSet& databases) {
  PendingFrames sum;
  for (Database* database : databases.databases()) {
    sum.frames += database->wal_frames();
    sum.bytes += database->pending_bytes();
  }
  return sum;
}

}  // namespace

Checkpointer::Checkpointer(DatabaseSet& databases, Replicator& replicator)
    : databases_(databases), replicator_(replicator) {
  thread_ = start_quiet_thread("dqlite-ckpt", [this] { run(); });
}

Checkpointer::~Checkpointer() {
  stop();
}

void Checkpointer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    done_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::request(uint64_t index) {
  std::lock_guard lock(mutex_);
  requested_ = std::max(requested_, index);
  wake_.notify_all();
}

void Checkpointer::frames_published(uint64_t frames, uint64_t bytes) {
  bool first = frames > 0 && !armed_;
  bool due = CheckpointSchedule::are_many({frames, bytes}) && !due_known_;
  if (!first && !due) return;
  std::lock_guard lock(mutex_);
  if (first) arm(steady_clock::now());
  if (due) due_known_ = true;
  wake_.notify_all();
}

void Checkpointer::arm(Time now) {
  if (armed_) return;
  armed_ = true;
  schedule_.frames_wait_since(now);
}

void Checkpointer::leadership_gained() {
  std::lock_guard lock(mutex_);
  proposed_ = false;
  wake_.notify_all();
}

Checkpointer::Time Checkpointer::next_wake(Time now) const {
  if (requested_ > report_.index) return retry_at_;
  if (!armed_ || databases_.write_term() == 0) return Time::max();
  if (proposed_) return proposed_at_ + kProposalLife;
  return schedule_.next_look(due_known_, now);
}

void Checkpointer::propose_if_due(Time now) {
  {
    std::lock_guard lock(mutex_);
    if (!armed_ || databases_.write_term() == 0) return;
    if (proposed_ && now < proposed_at_ + kProposalLife) return;
  }
  PendingFrames pending = pending_frames(databases_);
  const Result<uint64_t> free = databases_.files().free_bytes(databases_.paths().directory);
  {
    std::lock_guard lock(mutex_);
    if (free) schedule_.set_free_bytes(*free);
    if (!schedule_.is_due(pending, now)) {
      // What made it due was checkpointed meanwhile: this thread must not look again at once.
      if (!CheckpointSchedule::are_many(pending)) due_known_ = false;
      return;
    }
    proposed_ = true;
    proposed_at_ = now;
    schedule_.proposed(now);
  }
  ReplicatedProposal proposal;
  proposal.id = Committer::next_proposal_id();
  proposal.payload = std::make_shared<const Bytes>(codec::encode(codec::Command(codec::Checkpoint{})));
  replicator_.propose(std::move(proposal));
}

Result<CheckpointReport> Checkpointer::attempt(uint64_t requested) {
  Time begin = steady_clock::now();
  CheckpointReport report;
  // What is durable but not applied yet is in no frame: a later request for it must not be taken for done. A
  // request arrives while its own entry, which changes nothing, is being applied.
  uint64_t applied = std::max(databases_.applied_point().index, requested);
  const uint64_t durable = std::min(replicator_.durable_index(), applied);
  report.index = durable;
  Status failure;
  for (Database* database : databases_.databases()) {
    Result<DatabaseCheckpoint> done = database->checkpoint(durable, steady_clock::now() + kLockWait);
    if (!done) {
      if (failure.is_ok()) failure = done.status();
      continue;
    }
    report.index = std::min(report.index, done->index);
    report.pages += done->cost.pages;
    report.bytes += done->cost.bytes;
  }
  report.duration_us =
      std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin).count();
  if (report.pages > 0) replicator_.checkpoint_done();
  if (!failure) return failure;
  return report;
}

void Checkpointer::run() {
  while (true) {
    try {
      return work();
    } catch (const std::bad_alloc&) {
      // What was requested is still to be done.
      std::unique_lock lock(mutex_);
      retry_at_ = steady_clock::now() + kRetryInterval;
      if (wake_.wait_for(lock, kRetryInterval, [this] { return stopping_; })) return;
    }
  }
}

void Checkpointer::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Time now = steady_clock::now();
    if (requested_ > report_.index && now >= retry_at_) {
      uint64_t requested = requested_;
      // Whatever is published from here on says so again.
      armed_ = false;
      due_known_ = false;
      lock.unlock();
      Result<CheckpointReport> result = attempt(requested);
      PendingFrames left = pending_frames(databases_);
      lock.lock();
      now = steady_clock::now();
      if (left.frames > 0) arm(now);
      if (CheckpointSchedule::are_many(left)) due_known_ = true;
      if (result) {
        if (!reached_) {
          // The disk was behind the request, or readers were: both attempts together carry it out.
          result->pages += report_.pages;
          result->bytes += report_.bytes;
          result->duration_us += report_.duration_us;
        }
        report_ = *result;
        reached_ = report_.index >= requested;
        if (reached_) completed_++;
        waiting_for_.clear();
        proposed_ = false;
        retry_at_ = now + kDurableWait;
      } else {
        // Whether the copy is rotten, and where, is for the verifier to find out: once.
        const bool is_rotten = result.status().code() == Code::kCorrupt;
        if (is_rotten && waiting_for_ != result.status().sentence()) databases_.verifier().suspect();
        waiting_for_ = result.status().sentence();
        queue_log(waiting_for_);
        retry_at_ = now + kRetryInterval;
      }
      done_.notify_all();
      continue;
    }
    lock.unlock();
    propose_if_due(now);
    lock.lock();
    if (stopping_) return;
    Time wake = next_wake(now);
    if (wake == Time::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, wake);
    }
  }
}

Result<CheckpointReport> Checkpointer::wait(uint64_t index, Deadline deadline) {
  std::unique_lock lock(mutex_);
  done_.wait_until(lock, deadline, [&] { return report_.index >= index || stopping_; });
  if (report_.index >= index) return report_;
  return Status(Code::kTimeout, "the checkpoint is not carried out yet on this node" +
                                    (waiting_for_.empty() ? std::string() : ": " + waiting_for_));
}

std::string Checkpointer::waiting_for() {
  std::lock_guard lock(mutex_);
  return waiting_for_;
}

uint64_t Checkpointer::completed() {
  std::lock_guard lock(mutex_);
  return completed_;
}

}  // namespace dqlite::vfs
