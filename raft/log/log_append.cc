// Appending: from persists to records, to batches, to synced bytes. See raft/log/log.h.
#include <algorithm>
#include <iterator>

#include "raft/log/batch_writer.h"
#include "raft/log/log_state.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kMaxConfigurationPayload = 16 << 20;  // recovery holds configurations in memory

}  // namespace

Status Log::append(const std::vector<Persist>& persists) {
  std::lock_guard turn(state_->writer);
  if (Status status = state_->fault_status(); !status) return status;
  Result<State::Work> work = state_->collect(persists);
  if (!work) return state_->poison(work.status());
  return state_->write(*work);
}

Status Log::append_commit(Index commit) {
  std::lock_guard turn(state_->writer);
  if (Status status = state_->fault_status(); !status) return status;
  Index last = last_index();
  State::Work work;
  work.committed = std::max(state_->commit_known, commit);
  if (std::min(work.committed, last) <= state_->commit_recorded) return Status::ok();
  work.records.push_back({RecordType::kCommit, EntryKind::kNoop, 0, 0, nullptr, last + 1});
  return state_->write(work);
}

// Turns persists into records, and refuses what would break the log: the core must never ask for it.
Result<Log::State::Work> Log::State::collect(const std::vector<Persist>& persists) const {
  Work work;
  HardState newest;
  {
    std::lock_guard lock(mutex);
    newest = hard_state;
    work.last = index.last_index();
    work.committed = std::max(commit_known, start.last.index);
  }
  for (const Persist& persist : persists) {
    if (persist.hard_state && *persist.hard_state != newest) {
      const HardState& wanted = *persist.hard_state;
      if (wanted.term < newest.term || (wanted.term == newest.term && newest.vote != 0)) {
        return Status(Code::kInvalid, "asked to go from term " + std::to_string(newest.term) + ", vote " +
                                          std::to_string(newest.vote) + " to term " +
                                          std::to_string(wanted.term) + ", vote " +
                                          std::to_string(wanted.vote) + ": a vote cannot be taken back");
      }
      newest = wanted;
      work.hard_state = wanted;
    }
    if (Status status = add_persist(persist, work); !status) return status;
    work.committed = std::max(work.committed, persist.commit);
  }
  return work;
}

Status Log::State::add_persist(const Persist& persist, Work& work) const {
  if (persist.truncate_from != 0 && persist.truncate_from <= work.last) {
    if (persist.truncate_from <= work.committed) {
      return {Code::kInvalid, "asked to truncate the log from entry " +
                                  std::to_string(persist.truncate_from) + " on, but entry " +
                                  std::to_string(work.committed) + " is committed"};
    }
    work.records.push_back(
        {RecordType::kTruncate, EntryKind::kNoop, persist.truncate_from, 0, nullptr, work.last + 1});
    work.last = persist.truncate_from - 1;
  }
  for (const Entry& entry : persist.entries) {
    if (entry.index != work.last + 1) {
      return {Code::kInvalid, "asked to append entry " + std::to_string(entry.index) + " behind entry " +
                                  std::to_string(work.last)};
    }
    bool is_configuration = entry.kind == EntryKind::kConfiguration;
    if (entry.size_bytes() > (is_configuration ? kMaxConfigurationPayload : kMaxPayloadBytes)) {
      return {Code::kInvalid, "asked to append entry " + std::to_string(entry.index) + " of " +
                                  std::to_string(entry.size_bytes()) +
                                  " bytes, which no log record can hold"};
    }
    work.records.push_back(
        {RecordType::kEntry, entry.kind, entry.index, entry.term, entry.payload, entry.index});
    work.last = entry.index;
  }
  return Status::ok();
}

// Space first (the only step that may fail without consequence), then term and vote, then the records.
Status Log::State::write(const Work& work) {
  std::vector<BatchPart> parts;
  if (!work.records.empty()) {
    parts = plan_batches(work.records, {end, active->header.size_bytes}, segment_bytes);
  }
  Result<std::vector<std::shared_ptr<Segment>>> fresh = reserve(parts);
  if (!fresh) return fresh.status().code() == Code::kFull ? fresh.status() : poison(fresh.status());
  if (work.hard_state) {
    if (Status status = save_hard_state(*work.hard_state); !status) return poison(status);
  }
  commit_known = std::max(commit_known, work.committed);
  if (parts.empty()) return Status::ok();
  std::shared_ptr<Segment> segment = active;
  if (Status status = make_live(*fresh, parts); !status) return poison(status);
  for (size_t i = 0; i < parts.size(); i++) {
    if (i > 0) segment = (*fresh)[i - 1];
    if (Status status = write_part(parts[i], segment, work.records); !status) {
      return poison(status.in("writing the log"));
    }
  }
  return Status::ok();
}

// A segment for every part but the first; all of them or none.
Result<std::vector<std::shared_ptr<Segment>>> Log::State::reserve(const std::vector<BatchPart>& parts) {
  std::vector<std::unique_ptr<Segment>> taken;
  for (size_t i = 1; i < parts.size(); i++) {
    Result<std::unique_ptr<Segment>> segment = spares.take(parts[i].segment_bytes);
    if (!segment) {
      for (auto& unused : taken) spares.give_back(std::move(unused));
      return segment.status();
    }
    taken.push_back(std::move(*segment));
  }
  return std::vector<std::shared_ptr<Segment>>(std::make_move_iterator(taken.begin()),
                                               std::make_move_iterator(taken.end()));
}

// A spare becomes the log's segment `sequence`; durable, name and all, on return [B12].
Status Log::State::rename_live(Segment& segment, uint64_t sequence, Index first) {
  std::string path = directory + "/" + segment_name({sequence, first});
  if (Status status = disk.rename(segment.path, path); !status) return status;
  segment.path = path;
  segment.sequence = sequence;
  return disk.sync_directory(directory);
}

// Before the footer that leads to them is written: so a footer without a next segment is damage.
Status Log::State::make_live(const std::vector<std::shared_ptr<Segment>>& fresh,
                             const std::vector<BatchPart>& parts) {
  for (size_t i = 0; i < fresh.size(); i++) {
    fresh[i]->first_batch = next_batch + i + 1;
    Status status = rename_live(*fresh[i], active->sequence + i + 1, parts[i + 1].next);
    if (!status) return status;
  }
  std::lock_guard lock(mutex);
  segments.insert(segments.end(), fresh.begin(), fresh.end());
  return Status::ok();
}

Status Log::State::write_part(const BatchPart& part, const std::shared_ptr<Segment>& segment,
                              const std::vector<NewRecord>& all) {
  auto records = std::span(all).subspan(part.first_record, part.record_count);
  BatchPosition position;
  position.offset = segment == active ? end : kSegmentHeaderBytes;
  position.batch = next_batch;
  position.previous = previous;
  position.commit = durable_commit(std::span(all).subspan(part.first_record));
  Result<WrittenBatch> written = write_batch(*segment, position, part, records);
  if (!written) return written.status();
  sync_count++;
  next_batch++;
  previous = written->previous;
  commit_recorded = position.commit;
  std::lock_guard lock(mutex);
  active = segment;
  end = written->end;
  for (size_t i = 0; i < records.size(); i++) {
    const NewRecord& record = records[i];
    if (record.type == RecordType::kTruncate) index.truncate(record.index);
    if (record.type == RecordType::kEntry) {
      index.append(record.term, segment->sequence, written->offsets[i], record.bytes());
    }
  }
  return Status::ok();
}

// Of the commit index only what was durable here before this batch, and stays: so a bad record at or below a
// recorded commit index is always damage, never the torn tail of the batch that names it [A8].
// `to_come` reaches to the end of the append: a truncation in a later part means that the commit index is
// about entries that are to replace the present ones.
Index Log::State::durable_commit(std::span<const NewRecord> to_come) const {
  std::lock_guard lock(mutex);
  Index durable = index.last_index();
  for (const NewRecord& record : to_come) {
    if (record.type == RecordType::kTruncate) durable = std::min(durable, record.index - 1);
  }
  return std::max(commit_recorded, std::min(commit_known, durable));
}

Status Log::State::save_hard_state(const HardState& wanted) {
  std::lock_guard turn(state);
  DurableState next = state_file.current();
  next.hard_state = wanted;
  if (Status status = state_file.save(next); !status) return status;
  std::lock_guard lock(mutex);
  hard_state = wanted;
  return Status::ok();
}

}  // namespace dqlite::raft
