// Opening, reading, dropping; appending is in log_append.cc. See raft/log/log.h.
#include "raft/log/log.h"

#include <algorithm>

#include "raft/log/checked_file.h"
#include "raft/log/log_reader.h"
#include "raft/log/log_state.h"

namespace dqlite::raft {

namespace {

SpareOptions spare_options(const LogOptions& options) {
  SpareOptions spares;
  spares.segment_bytes = options.segment_bytes;
  spares.count = options.spare_segments;
  spares.cluster_id_high = options.cluster_id_high;
  spares.cluster_id_low = options.cluster_id_low;
  spares.salt_seed = options.salt_seed;
  spares.leaves_free = options.leaves_free;
  return spares;
}

}  // namespace

Log::State::State(Disk& the_disk, std::string the_directory, const LogOptions& options)
    : disk(the_disk),
      directory(std::move(the_directory)),
      segment_bytes(options.segment_bytes),
      state_file(disk, directory),
      spares(disk, directory, spare_options(options)) {}

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
  if (options.on_damage == OnDamage::kPutAside) {
    if (Status status = state->prepare_for_damage(options.raise_term_to); !status) return status;
  }
  Result<RecoveredLog> log = recover_log(disk, directory, state->state_file.current(), options);
  if (!log) return log.status();
  if (log->segment_wanted != 0) {
    if (Status status = state->add_segment(*log); !status) return status;
  }
  state->adopt(std::move(*log));
  if (options.on_damage == OnDamage::kKeepReadable && !state->damage.empty()) {
    state->fault = Status(Code::kPoisoned, state->damage);
  }
  if (!state->fault) state->spares.start();
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
                    "and must not vote again under its identity: " +
                    kJoinAnew};
      }
    }
    if (Status status = disk.remove(path); !status) return status;
  }
  if (Status status = disk.sync_directory(directory); !status) return status;
  Result<std::unique_ptr<Segment>> segment = spares.take(segment_bytes);
  if (!segment) return segment.status();
  if (Status status = rename_live(**segment, 1, 1); !status) return status;
  // Both slots from the beginning: no later save, nor the start of a node whose disk is full, needs new
  // space.
  if (Status status = state_file.save(DurableState()); !status) return status;
  return state_file.save(DurableState());
}

Status Log::State::prepare_for_damage(Term term) {
  DurableState next = state_file.current();
  if (next.hard_state.term >= term) return Status::ok();
  next.hard_state = {term, 0};
  return state_file.save(next);
}

Status Log::State::add_segment(RecoveredLog& log) {
  Result<std::unique_ptr<Segment>> taken = spares.take(segment_bytes);
  if (!taken) return taken.status();
  std::shared_ptr<Segment> fresh = std::move(*taken);
  fresh->first_batch = log.next_batch;
  Status renamed = rename_live(*fresh, log.segment_wanted, log.index.last_index() + 1);
  if (renamed) log.segments.push_back(std::move(fresh));
  return renamed;
}

void Log::State::adopt(RecoveredLog log) {
  note = std::move(log.note);
  damage = std::move(log.damage);
  highest_term = std::max(
      {log.highest_term, state_file.current().hard_state.term, log.index.term_at(log.index.last_index())});
  start = state_file.current().start;
  hard_state = state_file.current().hard_state;
  segments = std::move(log.segments);
  if (!segments.empty()) active = segments.back();
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
}

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::~Log() = default;

const Recovered& Log::recovered() const {
  return state_->recovered;
}
const std::string& Log::recovery_note() const {
  return state_->note;
}
const std::string& Log::damage() const {
  return state_->damage;
}
Term Log::highest_term() const {
  return state_->highest_term;
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

// Their space may be what a spare waits for.
Status Log::State::remove(const std::deque<std::shared_ptr<Segment>>& dropped) {
  Status removed = remove_segments(disk, dropped);
  if (!dropped.empty()) spares.space_came_back();
  return removed;
}

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
    const uint64_t before = state.index.size_bytes();
    state.index.drop_prefix(start.last);
    state.dropped_bytes += before - state.index.size_bytes();
    state.start = start;
    while (state.segments.front()->sequence < next.first_segment) {
      dropped.push_back(std::move(state.segments.front()));
      state.segments.pop_front();
    }
  }
  return state.remove(dropped);
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
  return state.remove(dropped);
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

uint64_t Log::dropped_bytes() const {
  std::lock_guard lock(state_->mutex);
  return state_->dropped_bytes;
}

Index Log::tail_begin(uint64_t bytes) const {
  std::lock_guard lock(state_->mutex);
  return state_->index.tail_begin(bytes);
}

bool Log::is_short_of_space() const {
  return state_->spares.is_short_of_space();
}

Result<uint64_t> Log::free_bytes() const {
  return state_->disk.free_bytes(state_->directory);
}

uint64_t Log::reserved_bytes() const {
  uint64_t spare = state_->spares.ready_bytes();
  std::lock_guard lock(state_->mutex);
  if (state_->fault) return 0;
  uint64_t used = state_->end + kFooterBytes;
  return spare + (state_->active->header.size_bytes > used ? state_->active->header.size_bytes - used : 0);
}

uint64_t Log::sync_count() const {
  return state_->sync_count;
}

}  // namespace dqlite::raft
