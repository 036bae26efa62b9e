// What clients and operators ask of a process, what is told them, and what is seen of it after each turn.
#include "tests/sim/sim_process.h"

namespace dqlite::raft::sim {

namespace {

// Core::check_invariants is asked after one turn in so many, and whenever the role changes.
constexpr uint64_t kInvariantsInterval = 16;

// Ready, or nothing: it never waits.
template <typename T>
auto answer_of(const std::shared_ptr<Completion<T>>& completion) {
  return completion->wait(Deadline::min());
}

}  // namespace

// --- questions ---

void SimProcess::write(uint64_t stream, size_t padding) {
  const Term term = machine_.leads();
  if (!member_ || poisoned_ || term == 0) return;
  Write write{host_.world.book.new_write(), stream, {}};
  Proposal proposal;
  proposal.id = write.id;
  if (stream != 0) {
    const auto newest = machine_.state().streams.find(stream);
    if (newest != machine_.state().streams.end()) write.base = newest->second;
    proposal.term = term;
    proposal.bases = {{stream, write.base}};
  }
  proposal.payload = std::make_shared<const Bytes>(encode(write, padding));
  post([this, proposal] {
    if (!poisoned_) member_->propose(proposal);
  });
}

void SimProcess::write_anywhere(size_t padding, Micros patience) {
  if (!member_ || poisoned_) return;
  const Write write{host_.world.book.new_write(), 0, {}};
  auto completion = std::make_shared<Completion<Result<Index>>>();
  commands_.push_back({write.id, completion});
  auto payload = std::make_shared<const Bytes>(encode(write, padding));
  post([this, payload, patience, completion] {
    if (!poisoned_)
      member_->propose_anywhere(payload, now() + std::chrono::microseconds(patience), completion);
  });
}

void SimProcess::confirm_leadership() {
  const Term term = machine_.leads();
  if (!member_ || poisoned_ || term == 0) return;
  auto completion = std::make_shared<Completion<Status>>();
  reads_.push_back({host_.world.book.highest_acked(), completion});
  post([this, term, completion] {
    if (!poisoned_) member_->confirm_leadership(term, completion);
  });
}

void SimProcess::hand_over() {
  if (!member_ || poisoned_) return;
  auto completion = std::make_shared<Completion<Status>>();
  if (leads()) transfers_.push_back(completion);
  post([this, completion] {
    if (!poisoned_) member_->transfer_leadership(completion);
  });
}

void SimProcess::change_members(const MemberChange& change, Micros patience) {
  if (!member_ || poisoned_) return;
  auto completion = std::make_shared<MemberCompletion::element_type>();
  changes_.push_back(completion);
  post([this, change, patience, completion] {
    if (!poisoned_) member_->change_members(change, now() + std::chrono::microseconds(patience), completion);
  });
}

Result<Index> SimProcess::change(const std::function<Result<Index>(Core&)>& change) {
  Result<Index> changed = change(const_cast<Core&>(member_->core()));
  request_turn();
  return changed;
}

void SimProcess::make_checkpoint() {
  if (!member_ || poisoned_ || !machine_.checkpoint()) return;
  host_.world.counters[Count::kCheckpoints]++;
  post([this] {
    if (!poisoned_) member_->durable_point_moved();
  });
}

// --- answers ---

void SimProcess::handle_own_fate(uint64_t write, const Result<Index>& fate) {
  if (write == 0) return;
  Book& book = host_.world.book;
  Counters& counters = host_.world.counters;
  const Code code = fate.status().code();
  host_.world.trace.note(host(), "fate", write, static_cast<uint64_t>(code));
  if (fate) {
    counters[Count::kWritesAcked]++;
    book.acked(write, *fate);
  } else if (code == Code::kUnknown || code == Code::kPoisoned || code == Code::kTimeout) {
    counters[Count::kWritesUnknown]++;
  } else {
    counters[Count::kWritesDropped]++;
    book.dropped(write);
  }
}

void SimProcess::handle_applied(const Entry& entry) {
  if (entry.index > log_->last_index())
    host_.world.book.fail("applied beyond the log: h" + std::to_string(host()) + " at " + text(entry.id()));
  host_.world.book.committed(host(), entry.id(), core().term());
  host_.world.book.applied(host(), entry, machine_.state().hash);
}

void SimProcess::settle_questions() {
  std::erase_if(commands_, [this](const Command& command) {
    const auto answer = answer_of(command.completion);
    if (!answer) return false;
    if (*answer) host_.world.counters[Count::kForwardsAcked]++;
    handle_own_fate(command.write, *answer);
    return true;
  });
  std::erase_if(reads_, [this](const Read& read) {
    const auto answer = answer_of(read.completion);
    if (!answer) return false;
    if (!*answer) return true;
    host_.world.counters[Count::kReadsConfirmed]++;
    const Index applied = machine_.state().last.index;
    if (applied < read.acked_before) {
      host_.world.book.fail("stale read: h" + std::to_string(host()) + " stands at entry " +
                            std::to_string(applied) + ", and " + std::to_string(read.acked_before) +
                            " was acknowledged before it asked");
    }
    return true;
  });
  std::erase_if(transfers_, [this](const StatusCompletion& transfer) {
    const auto answer = answer_of(transfer);
    if (answer && *answer) host_.world.counters[Count::kTransfers]++;
    return answer.has_value();
  });
  std::erase_if(changes_, [this](const MemberCompletion& change) {
    const auto answer = answer_of(change);
    if (answer && *answer) host_.world.counters[Count::kMemberChanges]++;
    return answer.has_value();
  });
  if (is_shutting_down_ || !host_.is_stopping()) return;
  if (transfers_.empty() && !leads()) shut_down();
}

// --- what is seen ---

// Entries that came to be on the disk since the last time.
void SimProcess::note_logged() {
  const EntryId start = log_->start().last;
  const Index last = log_->last_index();
  logged_.erase(logged_.upper_bound(last), logged_.end());
  logged_.erase(logged_.begin(), logged_.upper_bound(start.index));
  Index same = logged_.empty() ? start.index : logged_.rbegin()->first;
  while (same > start.index && logged_[same] != log_->term_at(same)) logged_.erase(same--);
  while (same < last) {
    const Result<std::vector<Entry>> entries = log_->read(same + 1, last, 1 << 20);
    if (!entries) return;  // the damage is told to whoever needs it
    for (const Entry& entry : *entries) {
      host_.world.book.logged(host(), entry, log_->term_at(entry.index - 1));
      logged_[entry.index] = entry.term;
      same = entry.index;
    }
  }
}

void SimProcess::observe() {
  const Core& core = SimProcess::core();
  Book& book = host_.world.book;
  // It looks at the whole log.
  const bool is_due =
      ++turns_ % kInvariantsInterval == 0 || core.term() != seen_term_ || core.role() != seen_role_;
  if (const Status status = is_due ? core.check_invariants() : Status::ok(); !status)
    book.fail(status.sentence());
  const std::string who = "h" + std::to_string(host()) + ": ";
  if (core.term() < seen_term_) book.fail(who + "the term went back");
  if (core.commit_index() < seen_commit_) book.fail(who + "the commit index went back");
  if (core.applied_index() < seen_applied_) book.fail(who + "the applied index went back");
  const bool is_new_term = core.term() != seen_term_;
  seen_term_ = core.term();
  seen_applied_ = core.applied_index();
  if (core.role() == Role::kLeader && (seen_role_ != Role::kLeader || is_new_term)) {
    host_.world.counters[Count::kElections]++;
    host_.world.trace.note(host(), "leads", core.term());
    book.became_leader(host(), core.term(), *log_);
  }
  if (core.role() != seen_role_ || is_new_term)
    host_.world.trace.note(host(), "role", static_cast<uint64_t>(core.role()), core.term());
  seen_role_ = core.role();
  if (!core.is_mute()) host_.note_sound();
  observe_commits();
}

// Only what is durable here: what the disk still holds from before may be another entry.
void SimProcess::observe_commits() {
  const Core& core = SimProcess::core();
  const Index durable = std::min(core.commit_index(), core.durable_index());
  if (durable > observed_commit_) host_.world.trace.note(host(), "commit", durable);
  for (Index index = std::max(observed_commit_, log_->start().last.index) + 1; index <= durable; index++) {
    const Term term = log_->term_at(index);
    if (term != 0) host_.world.book.committed(host(), {index, term}, core.term());
  }
  observed_commit_ = std::max(observed_commit_, durable);
  seen_commit_ = core.commit_index();
  const Index start = log_->start().last.index;
  if (start > seen_start_ && seen_start_ != kNoIndex) host_.world.counters[Count::kCompactions]++;
  seen_start_ = start;
}

}  // namespace dqlite::raft::sim
