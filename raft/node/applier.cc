#include "raft/node/applier.h"

namespace dqlite::raft {

namespace {

constexpr size_t kReadBytes = 1 << 20;  // of the log at a time

size_t size_of(const std::vector<Entry>& entries) {
  size_t size = 0;
  for (const Entry& entry : entries) size += sizeof(Entry) + entry.size_bytes();
  return size;
}

}  // namespace

Status Applier::start() {
  const auto ended_by_exception = [this](const Status& reason) {
    machine_.poisoned({Code::kPoisoned, reason.sentence()});
    events_.failed(reason);
  };
  return lane_->start("dqlite-apply", {[this] { work(); }}, ended_by_exception);
}

void Applier::apply(std::vector<Entry> entries) {
  backlog_bytes_.fetch_add(size_of(entries));
  mailbox_.put_quietly(Entries{std::move(entries)});
}

void Applier::work() {
  std::vector<Item> items;
  mailbox_.take_all(items);
  const Index before = applied_;
  for (Item& item : items) {
    std::visit([this](auto& each) { handle(each); }, item);
  }
  if (applied_ != before && applied_ >= published_.report_at.load()) events_.progressed();
}

void Applier::note_applied(Index index) {
  applied_ = index;
  published_.applied.store(index);
  published_.changed();
}

void Applier::handle(Begin& begin) {
  log_ = std::move(begin.log);
  note_applied(begin.applied);
}

void Applier::handle(Entries& entries) {
  backlog_bytes_.fetch_sub(size_of(entries.entries));
  for (const Entry& entry : entries.entries) {
    if (failed_ || mute_.load()) return;
    Status applied = apply_one(entry);
    if (!applied) return fail(applied);
  }
}

void Applier::handle(Range& range) {
  Index next = range.from;
  while (next <= range.to && !failed_ && !mute_.load()) {
    Result<std::vector<Entry>> entries = log_->read(next, range.to, kReadBytes);
    if (!entries) return fail(entries.status().in("reading committed entries from the log"));
    for (const Entry& entry : *entries) {
      Status applied = apply_one(entry);
      if (!applied) return fail(applied);
    }
    next = applied_ + 1;
    events_.progressed();
  }
}

Status Applier::apply_one(const Entry& entry) {
  if (entry.index != applied_ + 1) {
    return {Code::kCorrupt, "entry " + std::to_string(entry.index) + " was to be applied behind entry " +
                                std::to_string(applied_)};
  }
  const std::optional<Origin> own = decide(entry);
  const bool is_machines = own && own->ticket == 0;
  Status applied =
      machine_.apply(entry, is_machines ? std::optional<ProposalId>(own->machine_id) : std::nullopt);
  if (!applied) return applied.in("applying entry " + std::to_string(entry.index));
  note_applied(entry.index);
  if (own && own->ticket != 0) events_.ticket_decided(own->ticket, entry.index);
  if (gaining_ && entry.index == gaining_->noop) {
    leads_ = true;
    const Term term = gaining_->term;
    gaining_.reset();
    machine_.leadership_gained(term);
  }
  return Status::ok();
}

// Whose it is, if it is this node's own. The fate of those whose place it took is known now; so is that of everything
// that was overwritten and is of an older term, since terms only rise along a log that holds this entry.
std::optional<Origin> Applier::decide(const Entry& entry) {
  std::optional<Origin> own;
  std::vector<Origin> without_effect;
  if (!pending_.empty() && pending_.front().first.index == entry.index) {
    overwritten_.insert(overwritten_.begin(), pending_.front());
    pending_.pop_front();
  }
  std::erase_if(overwritten_, [&](const std::pair<EntryId, Origin>& each) {
    const auto& [id, origin] = each;
    const bool is_it = id == entry.id();
    const bool is_impossible = id.index <= entry.index || id.term < entry.term;
    if (is_it) own = origin;
    if (!is_it && is_impossible) without_effect.push_back(origin);
    return is_it || is_impossible;
  });
  for (const Origin& origin : without_effect) {
    drop(origin, {Code::kNotCommitted, "another leader's entry took the place of it: it had no effect"});
  }
  return own;
}

void Applier::handle(LeadershipEvent& event) {
  if (failed_ || mute_.load()) return;
  if (event.gained) {
    gaining_ = event;
    return;
  }
  gaining_.reset();
  if (!leads_) return;
  leads_ = false;
  machine_.leadership_lost();
}

void Applier::handle(Appended& appended) {
  pending_.emplace_back(appended.entry, appended.origin);
}

void Applier::handle(Truncated& truncated) {
  auto first = pending_.begin();
  while (first != pending_.end() && first->first.index < truncated.from) ++first;
  overwritten_.insert(overwritten_.end(), first, pending_.end());
  pending_.erase(first, pending_.end());
}

void Applier::handle(Dropped& dropped) {
  drop(dropped.origin, dropped.reason);
}

void Applier::drop_all(const Status& reason) {
  std::vector<std::pair<EntryId, Origin>> gone(pending_.begin(), pending_.end());
  gone.insert(gone.end(), overwritten_.begin(), overwritten_.end());
  pending_.clear();
  overwritten_.clear();
  for (const auto& [entry, origin] : gone) drop(origin, reason);
}

void Applier::drop(Origin origin, const Status& reason) {
  if (failed_ || mute_.load()) return;
  if (origin.ticket != 0) {
    events_.ticket_decided(origin.ticket, reason);
  } else {
    machine_.proposal_dropped(origin.machine_id, reason);
  }
}

void Applier::handle(Install& install) {
  if (failed_ || mute_.load()) return;
  Status installed = install.sink->install();
  install.sink.reset();
  if (installed) {
    // Whether they are among what the snapshot holds is not known here.
    drop_all({Code::kUnknown, "a snapshot replaced the state before the entry's fate was known here"});
    note_applied(install.last.index);
  }
  install.installed(installed);
}

void Applier::fail(const Status& reason) {
  failed_ = true;
  events_.failed(reason);
}

void Applier::handle(Poison& poison) {
  failed_ = true;
  pending_.clear();
  overwritten_.clear();
  gaining_.reset();
  machine_.poisoned(poison.reason);
}

}  // namespace dqlite::raft
