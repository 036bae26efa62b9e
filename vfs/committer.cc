#include "vfs/committer.h"

#include <algorithm>
#include <atomic>

#include "codec/command.h"

namespace dqlite::vfs {

uint64_t Committer::next_proposal_id() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

Result<Committer::After> Committer::commit(std::vector<CommitPart> parts, uint64_t term, Deadline deadline) {
  Status status = create_missing(parts, term, deadline);
  if (status) status = check_page_sizes(parts);
  std::sort(parts.begin(), parts.end(),
            [](const CommitPart& a, const CommitPart& b) { return a.base.database < b.base.database; });
  // No allocation may fail once the entry is committed: COMMIT would tell of an error.
  After after;
  for (const CommitPart& part : parts) after[part.database] = {};
  auto pending = std::make_shared<Pending>();
  // From here on the turns belong to the pending commit, so that `give_back` is the one way out.
  for (const CommitPart& part : parts) part.database->turn().hand_over(part.holder, pending.get());
  pending->parts = std::move(parts);
  pending->counted.count(size_bytes_, pending->parts);
  try {
    if (status) status = commit_changes(pending, term, deadline);
  } catch (...) {
    give_back(*pending);
    throw;
  }
  if (!status) {
    // A transaction whose fate is open keeps them until that is known.
    if (status.code() != Code::kUnknown) give_back(*pending);
    return status;
  }
  for (size_t i = 0; i < pending->parts.size(); i++) {
    after.find(pending->parts[i].database)->second = pending->marks[i];
  }
  return after;
}

void Committer::Counted::count(std::atomic<uint64_t>& total, const std::vector<CommitPart>& parts) {
  for (const CommitPart& part : parts) bytes_ += part.frames.size() * part.frames.front().size();
  total_ = &total;
  total.fetch_add(bytes_);
}

Status Committer::check_page_sizes(const std::vector<CommitPart>& parts) {
  for (const CommitPart& part : parts) {
    if (part.frames.front().size() == part.base.page_size) continue;
    return {Code::kNotCommitted, part.database->name() + " has pages of " +
                                     std::to_string(part.base.page_size) +
                                     " bytes: open the connection again"};
  }
  return Status::ok();
}

Status Committer::create_missing(std::vector<CommitPart>& parts, uint64_t term, Deadline deadline) {
  for (CommitPart& part : parts) {
    if (part.base.database != 0) continue;
    uint32_t page_size = static_cast<uint32_t>(part.frames.front().size());
    ReplicatedProposal proposal;
    proposal.id = next_proposal_id();
    proposal.term = term;
    proposal.payload = std::make_shared<const Bytes>(
        codec::encode(codec::Command(codec::CreateDatabase{part.database->name(), page_size})));
    Status status = propose_and_wait(std::make_shared<Pending>(), std::move(proposal), deadline);
    // An empty database more is no effect that anybody sees.
    if (status.code() == Code::kUnknown) return {Code::kNotCommitted, status.sentence()};
    if (!status) return status;
    CommittedView created = part.database->committed();
    if (created.database == 0 || created.page_size != page_size || created.mark.page_count != 0) {
      return {Code::kNotCommitted,
              "another node created " + part.database->name() + " at the same time: try again"};
    }
    part.base = created;
  }
  return Status::ok();
}

void Committer::propose(const Handle& pending, ReplicatedProposal proposal) {
  const uint64_t id = proposal.id;
  try {
    {
      std::lock_guard lock(mutex_);
      pending_[id] = pending;
    }
    replicator_.propose(std::move(proposal));
  } catch (...) {
    // Out of memory before the consensus took it.
    std::lock_guard lock(mutex_);
    pending_.erase(id);
    throw;
  }
}

Result<bool> Committer::settle(uint64_t id, uint64_t index, uint64_t term) {
  std::unique_lock lock(mutex_);
  auto found = pending_.find(id);
  if (found == pending_.end()) return false;
  Handle pending = found->second;
  if (pending->parts.empty()) return false;
  lock.unlock();
  for (const CommitPart& part : pending->parts) {
    CommitMark newest = part.database->committed().mark;
    if (newest.index != part.base.mark.index || newest.term != part.base.mark.term) {
      return Status(Code::kCorrupt, "entry " + std::to_string(index) + " of this node stands on entry " +
                                        std::to_string(part.base.mark.index) + " of " +
                                        part.database->name() + ", but entry " +
                                        std::to_string(newest.index) + " is published");
    }
  }
  for (size_t i = 0; i < pending->parts.size(); i++) {
    CommitMark& mark = pending->marks[i];
    mark.index = index;
    mark.term = term;
    mark.sequence = pending->parts[i].database->publish(pending->parts[i].frames, mark);
  }
  give_back(*pending);
  lock.lock();
  pending_.erase(id);
  sets_.erase(pending->closed_set);
  pending->done = true;
  lock.unlock();
  pending->signal.notify_all();  // without the mutex, which the thread that wakes takes first
  return true;
}

void Committer::settled_elsewhere(uint64_t id) {
  std::lock_guard lock(mutex_);
  auto found = pending_.find(id);
  if (found == pending_.end()) return;
  Handle pending = found->second;
  pending_.erase(found);
  if (pending->aborted_set != 0) sets_.erase(pending->aborted_set);
  finish(pending, Status::ok());
}

void Committer::drop(uint64_t id, const Status& reason) {
  std::unique_lock lock(mutex_);
  auto found = pending_.find(id);
  if (found == pending_.end()) return;
  Handle pending = found->second;
  pending_.erase(found);
  lock.unlock();
  give_back(*pending);
  lock.lock();
  // A snapshot may have replaced the state before the entry's fate was known here: then nobody may be told
  // that the transaction certainly had no effect.
  finish(pending, fate(*pending, reason.code() == Code::kUnknown, reason));
  lock.unlock();
  if (pending->closed_set != 0) give_up(pending->closed_set);
}

Status Committer::fate(const Pending& pending, bool unknown, const Status& reason) {
  if (unknown && !pending.is_of_set) {
    return {Code::kUnknown, "the outcome of the transaction is unknown: " + reason.sentence()};
  }
  const bool full = reason.code() == Code::kFull;
  return {full ? Code::kFull : Code::kNotCommitted,
          "the transaction was not committed: " + reason.sentence()};
}

void Committer::drop_all(const Status& reason) {
  std::map<uint64_t, Handle> all;
  {
    std::lock_guard lock(mutex_);
    all.swap(pending_);
  }
  for (auto& [id, pending] : all) {
    give_back(*pending);
    std::lock_guard lock(mutex_);
    finish(pending, fate(*pending, true, reason));
  }
}

void Committer::give_back(const Pending& pending) {
  for (const CommitPart& part : pending.parts) part.database->turn().release(&pending);
}

void Committer::finish(const Handle& pending, Status status) {
  const auto set = sets_.find(pending->aborted_set);
  if (set != sets_.end()) set->second.aborting = false;
  pending->done = true;
  pending->status = std::move(status);
  pending->signal.notify_all();
}

}  // namespace dqlite::vfs
