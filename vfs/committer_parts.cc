// What goes into the log for a COMMIT: one entry or, for a large transaction, its parts and an entry that closes them.
#include <algorithm>
#include <deque>
#include <new>

#include "codec/command.h"
#include "vfs/committer.h"

namespace dqlite::vfs {

using std::chrono::steady_clock;

// Proposes the parts of one set, none before there is room for it.
class Committer::PartSender {
 public:
  PartSender(Committer& committer, uint64_t term, steady_clock::duration patience)
      : committer_(committer), term_(term), patience_(patience) {}
  // Unless the set was closed it ends here.
  ~PartSender() {
    if (set_ != 0) committer_.give_up(set_);
  }
  PartSender(const PartSender&) = delete;
  PartSender& operator=(const PartSender&) = delete;

  [[nodiscard]] bool has_begun() const { return set_ != 0; }
  [[nodiscard]] uint64_t set() const { return set_; }
  [[nodiscard]] uint32_t count() const { return count_; }

  Status send(EncodedChange piece) {
    if (piece.change.pages.empty()) return Status::ok();
    if (!has_begun()) begin();
    while (in_flight_.size() >= committer_.limits_.parts_in_flight) {
      if (Status status = wait_for_oldest(); !status) return status;
    }
    ReplicatedProposal proposal;
    proposal.id = next_proposal_id();
    proposal.term = term_;
    codec::TransactionPart part{set_, ++count_, std::move(piece.change)};
    proposal.payload = std::make_shared<const Bytes>(codec::encode(codec::Command(std::move(part))));
    auto pending = std::make_shared<Pending>();
    pending->is_of_set = true;
    in_flight_.push_back(pending);
    committer_.propose(pending, std::move(proposal));
    return Status::ok();
  }

  // Ok: all parts are applied here, so the closing entry may be proposed.
  Status finish() {
    while (!in_flight_.empty()) {
      if (Status status = wait_for_oldest(); !status) return status;
    }
    return Status::ok();
  }

  // The closing entry was proposed: its fate is the set's.
  void closed() { set_ = 0; }

 private:
  void begin() {
    const uint64_t set = next_proposal_id();
    std::lock_guard lock(committer_.mutex_);
    committer_.sets_[set].term = term_;
    set_ = set;
  }

  Status wait_for_oldest() {
    Pending& oldest = *in_flight_.front();
    std::unique_lock lock(committer_.mutex_);
    if (!oldest.signal.wait_for(lock, patience_, [&oldest] { return oldest.done; })) {
      return {Code::kNotCommitted,
              "the transaction was not committed: no majority confirmed a part of it in time"};
    }
    Status status = oldest.status;
    in_flight_.pop_front();
    return status;
  }

  Committer& committer_;
  const uint64_t term_;
  const steady_clock::duration patience_;
  uint64_t set_ = 0;
  uint32_t count_ = 0;
  std::deque<Handle> in_flight_;
};

Status Committer::commit_changes(const Handle& pending, uint64_t term, Deadline deadline) {
  const auto patience = deadline - steady_clock::now();
  PartSender sender(*this, term, patience);
  codec::Transaction transaction;
  std::vector<EncodedChange> held;  // what may still go into one entry, one for each database
  size_t held_bytes = 0;
  ReplicatedProposal proposal;
  proposal.term = term;
  for (const CommitPart& part : pending->parts) {
    ChangeEncoder encoder(*part.database, part.base, part.frames, part.page_count);
    do {
      Result<EncodedChange> piece = encoder.next(std::max<size_t>(limits_.part_bytes, 1));
      if (!piece) return piece.status();
      held_bytes += piece->bytes.size();
      held.push_back(std::move(*piece));
      if (!sender.has_begun() && encoder.is_done() && held_bytes < limits_.part_bytes) break;
      for (EncodedChange& each : held) {
        if (Status status = sender.send(std::move(each)); !status) return status;
      }
      held.clear();
    } while (!encoder.is_done());
    Result<codec::DatabaseChange> whole = encoder.close();
    if (!whole) return whole.status();
    pending->marks.push_back({0, 0, 0, part.page_count, whole->checksum_after});
    proposal.bases.push_back({part.base.database, part.base.mark.index, part.base.mark.term});
    transaction.changes.push_back(std::move(*whole));
  }
  for (size_t i = 0; i < held.size(); i++) transaction.changes[i].pages = std::move(held[i].change.pages);
  proposal.id = next_proposal_id();
  if (sender.has_begun()) {
    if (Status status = sender.finish(); !status) return status;
    transaction.set = proposal.id = pending->closed_set = sender.set();
    transaction.part_count = sender.count();
    deadline = steady_clock::now() + patience;
  }
  proposal.payload = std::make_shared<const Bytes>(codec::encode(codec::Command(std::move(transaction))));
  return propose_and_wait(pending, std::move(proposal), deadline, &sender);
}

Status Committer::propose_and_wait(const Handle& pending, ReplicatedProposal proposal, Deadline deadline,
                                   PartSender* sender) {
  // Made now: once it is proposed, running out of memory must not look like a refusal.
  Status unknown(
      Code::kUnknown,
      "the transaction was proposed, but no majority confirmed it in time: it may still be committed. "
      "Look on the leader within BEGIN IMMEDIATE before you repeat it");
  propose(pending, std::move(proposal));
  if (sender != nullptr) sender->closed();
  std::unique_lock lock(mutex_);
  if (pending->signal.wait_until(lock, deadline, [&] { return pending->done; })) return pending->status;
  return unknown;
}

// --- sets that are given up ---

// Also while memory has run out.
void Committer::give_up(uint64_t set) {
  uint64_t term = 0;
  {
    std::lock_guard lock(mutex_);
    const auto open = sets_.find(set);
    if (open == sets_.end()) return;
    open->second.given_up = true;
    term = open->second.term;
  }
  retry_aborts(term);
}

void Committer::retry_aborts(uint64_t write_term) {
  std::unique_lock lock(mutex_);
  // The first entry of the next term ends what belongs to an earlier one. A set of a newer one may be here already:
  // this one was given up late.
  std::erase_if(sets_, [&](const auto& set) {
    return set.second.given_up && (write_term == 0 || set.second.term < write_term);
  });
  for (uint64_t after = 0;;) {
    const auto due = std::find_if(sets_.upper_bound(after), sets_.end(), [](const auto& set) {
      return set.second.given_up && !set.second.aborting;
    });
    if (due == sets_.end()) return;
    due->second.aborting = true;
    after = due->first;
    lock.unlock();
    bool is_proposed = false;
    try {
      propose_abort(after);
      is_proposed = true;
    } catch (const std::bad_alloc&) {
      // The next entry tries again.
    }
    lock.lock();
    if (const auto set = sets_.find(after); set != sets_.end() && !is_proposed) set->second.aborting = false;
  }
}

// Of no term: it finds room in a log that is full, which the open set keeps from being cut. In a later term it would
// find nothing, since no other set of this process has its name, and another node has none open while this one leads.
void Committer::propose_abort(uint64_t set) {
  ReplicatedProposal proposal;
  proposal.id = next_proposal_id();
  proposal.payload =
      std::make_shared<const Bytes>(codec::encode(codec::Command(codec::TransactionAbort{set})));
  auto pending = std::make_shared<Pending>();
  pending->is_of_set = true;
  pending->aborted_set = set;
  propose(pending, std::move(proposal));
}

}  // namespace dqlite::vfs
