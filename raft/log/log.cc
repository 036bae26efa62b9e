#include "raft/log/log.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

#include "raft/log/batch_plan.h"
#include "raft/log/batch_writer.h"
#include "raft/log/checked_file.h"
#include "raft/log/entry_index.h"
#include "raft/log/log_reader.h"
#include "raft/log/recovery.h"
#include "raft/log/segment.h"
#include "raft/log/spare_segments.h"
#include "raft/log/state_file.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kMaxConfigurationPayload = 16 << 20;  // recovery holds configurations in memory

SpareOptions spare_options(const LogOptions& options) {
  SpareOptions spares;
  spares.segment_bytes = options.segment_bytes;
  spares.count = options.spare_segments;
  spares.cluster_id_high = options.cluster_id_high;
  spares.cluster_id_low = options.cluster_id_low;
  spares.salt_seed = options.salt_seed;
  return spares;
}

}  // namespace

// Lock order: writer > state > mutex. `writer` and `state` are turns at the disk and are held over disk
// calls, by the log-writer thread and by whoever compacts or resets; no reader ever takes them. `mutex` is
// never held over a disk call.
struct Log::State {
  State(Disk& the_disk, std::string the_directory, const LogOptions& the_options)
      : disk(the_disk),
        directory(std::move(the_directory)),
        segment_bytes(the_options.segment_bytes),
        state_file(disk, directory),
        spares(disk, directory, spare_options(the_options)) {}

  // --- opening ---
  Status begin_new_log();
  Status adopt(RecoveredLog log);

  // --- appending, with `writer` held ---
  struct Work {
    std::optional<HardState> hard_state;
    std::vector<NewRecord> records;
    Index last = 0;       // of the log with all of it
    Index committed = 0;  // nothing at or below may be truncated
  };
  Result<Work> collect(const std::vector<Persist>& persists) const;
  Status add_persist(const Persist& persist, Work& work) const;
  Status write(const Work& work);
  Result<std::vector<std::shared_ptr<Segment>>> reserve(const std::vector<BatchPart>& parts);
  Status make_live(const std::vector<std::shared_ptr<Segment>>& fresh, const std::vector<BatchPart>& parts);
  Status write_part(const BatchPart& part, const std::shared_ptr<Segment>& segment,
                    const std::vector<NewRecord>& records);
  [[nodiscard]] Index durable_commit(std::span<const NewRecord> records) const;
  Status save_hard_state(const HardState& wanted);
  Status rename_live(Segment& segment, uint64_t sequence, Index first);

  Status poison(const Status& cause);
  [[nodiscard]] Status fault_status() const;

  Disk& disk;
  const std::string directory;
  const uint64_t segment_bytes;
  Recovered recovered;  // immutable once open
  std::string note;     // immutable once open

  std::mutex writer;       // guards: the position behind the last batch, and the order of batches
  Index commit_known = 0;  // told by persists, recorded with the next batch
  Index commit_recorded = 0;
  uint64_t next_batch = 1;
  uint32_t previous = 0;

  std::mutex state;  // guards: the state file
  StateFile state_file;

  mutable std::mutex mutex;                       // guards: what readers see
  std::deque<std::shared_ptr<Segment>> segments;  // ascending by sequence, without a gap
  // Takes the next batch. Segments behind it have been made live for an append that is under way.
  std::shared_ptr<Segment> active;
  uint64_t end = 0;  // of the records in `active`
  EntryIndex index;
  LogStart start;
  HardState hard_state;
  std::optional<Status> fault;

  std::atomic<uint64_t> sync_count{0};
  SpareSegments spares;  // last: its thread ends first
};

Status Log::State::poison(const Status& cause) {
  std::lock_guard lock(mutex);
  if (!fault) fault = Status(Code::kPoisoned, cause.sentence());
  return cause;
}

Status Log::State::fault_status() const {
  std::lock_guard lock(mutex);
  return fault ? *fault : Status::ok();
}

// --- opening ---

Result<std::unique_ptr<Log>> Log::open(Disk& disk, const std::string& directory, const LogOptions& options) {
  LogOptions checked = options;
  checked.segment_bytes = (std::max(options.segment_bytes, kMinSegmentBytes) + kSegmentHeaderBytes - 1) /
                          kSegmentHeaderBytes * kSegmentHeaderBytes;
  if (Status status = ensure_directory(disk, directory); !status) return status;
  auto state = std::make_unique<State>(disk, directory, checked);
  Result<bool> exists = state->state_file.load();
  if (!exists) return exists.status();
  if (!*exists) {
    if (Status status = state->begin_new_log(); !status) return status;
  }
  Result<RecoveredLog> log = recover_log(disk, directory, state->state_file.current(),
                                         options.cluster_id_high, options.cluster_id_low);
  if (!log) return log.status();
  if (Status status = state->adopt(std::move(*log)); !status) return status;
  state->spares.start();
  return std::unique_ptr<Log>(new Log(std::move(state)));
}

// The first segment is there before the state is: so a state without segments is damage, and segments without
// a state are the beginning of a log that never took a record, or damage.
Status Log::State::begin_new_log() {
  Result<std::vector<std::string>> names = disk.list(directory);
  if (!names) return names.status();
  for (const std::string& name : *names) {
    if (!parse_segment_name(name) && !is_spare_name(name)) continue;
    std::string path = directory + "/" + name;
    if (parse_segment_name(name)) {
      Result<bool> used = segment_was_used(disk, path);
      if (!used) return used.status();
      if (*used) {
        return {Code::kCorrupt,
                path + " holds a log, but " + directory +
                    "/state-0 and state-1, with term and vote, are missing: this node may have voted "
                    "and must not vote again under its identity. Remove its directory and let it "
                    "rejoin the cluster as a new node"};
      }
    }
    if (Status status = disk.remove(path); !status) return status;
  }
  if (Status status = disk.sync_directory(directory); !status) return status;
  Result<std::unique_ptr<Segment>> segment = spares.take(segment_bytes);
  if (!segment) return segment.status();
  if (Status status = rename_live(**segment, 1, 1); !status) return status;
  return state_file.save(DurableState());
}

Status Log::State::adopt(RecoveredLog log) {
  note = std::move(log.note);
  start = state_file.current().start;
  hard_state = state_file.current().hard_state;
  segments = std::move(log.segments);
  active = segments.back();
  index = std::move(log.index);
  end = log.end;
  next_batch = log.next_batch;
  previous = log.previous;
  commit_known = commit_recorded = log.commit;
  recovered.hard_state = hard_state;
  recovered.start = start;
  recovered.term_runs = index.term_runs();
  recovered.last_index = index.last_index();
  recovered.configurations = std::move(log.configurations);
  recovered.commit = log.commit;
  return Status::ok();
}

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::~Log() = default;

const Recovered& Log::recovered() const {
  return state_->recovered;
}
const std::string& Log::recovery_note() const {
  return state_->note;
}

// --- appending ---

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
  std::vector<std::shared_ptr<Segment>> fresh;
  for (auto& segment : taken) fresh.push_back(std::move(segment));
  return fresh;
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
  position.commit = durable_commit(records);
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
Index Log::State::durable_commit(std::span<const NewRecord> records) const {
  std::lock_guard lock(mutex);
  Index durable = index.last_index();
  for (const NewRecord& record : records) {
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

// --- reading ---

Result<std::vector<Entry>> Log::read(Index from, Index to, size_t max_bytes) {
  std::vector<EntryLocation> locations;
  {
    std::lock_guard lock(state_->mutex);
    const EntryIndex& index = state_->index;
    if (!index.contains(from)) {
      return Status(Code::kNotFound, "entry " + std::to_string(from) +
                                         " is not in the log, which holds entries " +
                                         std::to_string(index.start().index + 1) + " to " +
                                         std::to_string(index.last_index()));
    }
    size_t bytes = 0;
    for (Index at = from; at <= std::min(to, index.last_index()); at++) {
      EntryPlace place = index.place(at);
      bytes += place.record_bytes - kRecordHeaderBytes;
      if (at > from && bytes > max_bytes) break;
      uint64_t position = static_cast<uint32_t>(place.segment - state_->segments.front()->sequence);
      locations.push_back({state_->segments[position], {at, place.term}, place.offset, place.record_bytes});
    }
  }
  return read_entries(locations);
}

// --- dropping ---

Status Log::compact(const LogStart& start) {
  State& state = *state_;
  std::deque<std::shared_ptr<Segment>> dropped;
  {
    std::lock_guard turn(state.state);
    DurableState next = state.state_file.current();
    next.start = start;
    {
      std::lock_guard lock(state.mutex);
      if (state.fault) return *state.fault;
      if (start.last.index <= state.start.last.index) return Status::ok();
      if (state.index.term_at(start.last.index) != start.last.term) {
        return {Code::kInvalid, "asked to compact the log up to entry " + std::to_string(start.last.index) +
                                    " of term " + std::to_string(start.last.term) +
                                    ", which is not in the log (it ends at entry " +
                                    std::to_string(state.index.last_index()) + ")"};
      }
      // With no entry left, the segment that takes the next batch; never one that an append under way has
      // made live.
      uint64_t first = static_cast<uint32_t>(state.active->sequence);
      if (state.index.contains(start.last.index + 1)) first = state.index.place(start.last.index + 1).segment;
      const Segment& segment =
          *state.segments[static_cast<uint32_t>(first - state.segments.front()->sequence)];
      next.first_segment = segment.sequence;
      next.first_batch = segment.first_batch;
    }
    if (Status status = state.state_file.save(next); !status) return state.poison(status);
    std::lock_guard lock(state.mutex);
    state.index.drop_prefix(start.last);
    state.start = start;
    while (state.segments.front()->sequence < next.first_segment) {
      dropped.push_back(std::move(state.segments.front()));
      state.segments.pop_front();
    }
  }
  return remove_segments(state.disk, dropped);
}

Status Log::reset(const LogStart& start) {
  State& state = *state_;
  std::deque<std::shared_ptr<Segment>> dropped;
  {
    std::lock_guard writer_turn(state.writer);
    std::lock_guard turn(state.state);
    if (Status status = state.fault_status(); !status) return status;
    Result<std::unique_ptr<Segment>> taken = state.spares.take(state.segment_bytes);
    if (!taken) return taken.status().code() == Code::kFull ? taken.status() : state.poison(taken.status());
    std::shared_ptr<Segment> fresh = std::move(*taken);
    // A crash before the state is saved leaves an empty segment behind the old log; after it, old segments
    // that the state no longer counts. Neither brings an entry back or loses one.
    fresh->first_batch = state.next_batch;
    Status status = state.rename_live(*fresh, state.active->sequence + 1, start.last.index + 1);
    if (!status) return state.poison(status);
    DurableState next = state.state_file.current();
    next.start = start;
    next.first_segment = fresh->sequence;
    next.first_batch = fresh->first_batch;
    if (status = state.state_file.save(next); !status) return state.poison(status);
    state.commit_known = state.commit_recorded = start.last.index;
    std::lock_guard lock(state.mutex);
    dropped.swap(state.segments);
    state.segments.push_back(fresh);
    state.active = fresh;
    state.end = kSegmentHeaderBytes;
    state.index = EntryIndex(start.last);
    state.start = start;
  }
  return remove_segments(state.disk, dropped);
}

void Log::set_cluster_id(uint64_t high, uint64_t low) {
  state_->spares.set_cluster_id(high, low);
}

// --- looking ---

LogStart Log::start() const {
  std::lock_guard lock(state_->mutex);
  return state_->start;
}

HardState Log::hard_state() const {
  std::lock_guard lock(state_->mutex);
  return state_->hard_state;
}

Index Log::last_index() const {
  std::lock_guard lock(state_->mutex);
  return state_->index.last_index();
}

Term Log::term_at(Index index) const {
  std::lock_guard lock(state_->mutex);
  return state_->index.term_at(index);
}

uint64_t Log::size_bytes() const {
  std::lock_guard lock(state_->mutex);
  return state_->index.size_bytes();
}

Index Log::tail_begin(uint64_t bytes) const {
  std::lock_guard lock(state_->mutex);
  return state_->index.tail_begin(bytes);
}

uint64_t Log::reserved_bytes() const {
  uint64_t spare = state_->spares.ready_bytes();
  std::lock_guard lock(state_->mutex);
  uint64_t used = state_->end + kFooterBytes;
  return spare + (state_->active->header.size_bytes > used ? state_->active->header.size_bytes - used : 0);
}

uint64_t Log::sync_count() const {
  return state_->sync_count;
}

}  // namespace dqlite::raft
