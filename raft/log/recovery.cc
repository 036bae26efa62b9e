#include "raft/log/recovery.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "raft/log/replay.h"
#include "raft/log/salvage.h"

namespace dqlite::raft {

namespace {

// What lies behind the place where the stream of batches stops.
struct Evidence {
  uint64_t batch = 0;    // the highest batch number of any valid record header
  std::string where;     // where that one is
  Index commit = 0;      // the highest commit index of any
  Index last_index = 0;  // the highest entry of any
  Term term = 0;         // the highest term of any
};

class Recovery {
 public:
  Recovery(Disk& disk, const std::string& directory, const DurableState& state, const LogOptions& options)
      : disk_(disk), directory_(directory), state_(state), options_(options), replay_(state) {}

  Result<RecoveredLog> run();

 private:
  Result<size_t> read_all();
  Status keep_readable(bool put_aside, RecoveredLog& log);
  void fill(RecoveredLog& log);
  Status find_files();
  Status open_segments();
  Result<size_t> replay_segments();
  Status judge(size_t stopped);
  Result<uint64_t> survey(const Segment& segment, uint64_t from, Evidence& evidence);
  Status damage(const std::string& where, const std::string& what, Index last);
  [[nodiscard]] std::string describe(const Status& damage) const;
  Status make_durable(size_t active);
  Status write_again(const Segment& segment, uint64_t from, uint64_t keep_until, uint64_t zero_until);

  Disk& disk_;
  const std::string& directory_;
  const DurableState& state_;
  const LogOptions& options_;
  Replay replay_;
  std::map<uint64_t, std::string> names_;  // by sequence number, from the first segment on
  std::vector<std::string> left_overs_;    // spares, and segments of before the start; oldest first
  std::deque<std::shared_ptr<Segment>> segments_;
  std::map<uint64_t, uint64_t> dirty_ends_;  // by sequence number: behind the last byte that is not zero
  Evidence evidence_;
  Index doubtful_to_ = 0;  // the last entry that damage is known to concern; 0: unknown
  std::string note_;
};

Status Recovery::find_files() {
  Result<std::vector<std::string>> listed = disk_.list(directory_);
  if (!listed) return listed.status();
  std::sort(listed->begin(), listed->end());
  Status found;
  uint64_t doubtful_from = UINT64_MAX;
  for (const std::string& name : *listed) {
    std::optional<SegmentName> parsed = parse_segment_name(name);
    if (is_spare_name(name) || (parsed && parsed->sequence < state_.first_segment))
      left_overs_.push_back(name);
    if (!parsed || parsed->sequence < state_.first_segment) continue;
    auto [known, is_new] = names_.emplace(parsed->sequence, name);
    if (is_new || !found) continue;
    found = damage(directory_, "both " + known->second + " and " + name + " claim one place", 0);
    doubtful_from = parsed->sequence;
  }
  names_.erase(names_.lower_bound(doubtful_from), names_.end());
  uint64_t expected = state_.first_segment;
  while (names_.contains(expected)) expected++;
  const bool is_complete = expected > state_.first_segment && names_.upper_bound(expected) == names_.end();
  if (found && !is_complete) {
    found = damage(directory_, "segment " + std::to_string(expected) + " of the log is missing", 0);
  }
  names_.erase(names_.lower_bound(expected), names_.end());
  return found;
}

Status Recovery::open_segments() {
  for (const auto& [sequence, name] : names_) {
    Result<std::unique_ptr<Segment>> segment =
        open_segment(disk_, directory_ + "/" + name, options_.cluster_id_high, options_.cluster_id_low,
                     options_.former_clusters);
    if (!segment) return segment.status();
    (*segment)->sequence = sequence;
    segments_.push_back(std::move(*segment));
  }
  return Status::ok();
}

// Returns which segment the stream of batches ends in: the one that takes the next batch, unless there is
// damage.
Result<size_t> Recovery::replay_segments() {
  for (size_t i = 0; i < segments_.size(); i++) {
    Result<Replay::End> end = replay_.read(*segments_[i]);
    if (!end) return end.status();
    if (*end == Replay::End::kStopped) return i;
  }
  const std::string where = segments_.empty() ? directory_ : segments_.back()->path;
  return damage(where, "the segment is complete and the one behind it is missing", 0);
}

Status Recovery::damage(const std::string& where, const std::string& what, Index last) {
  doubtful_to_ = last;
  return {Code::kCorrupt, where + ": " + what};
}

std::string Recovery::describe(const Status& damage) const {
  const Index first = replay_.next_index();
  return "the log is damaged: " + damage.sentence() + "; entries " +
         (doubtful_to_ > first ? std::to_string(first) + " to " + std::to_string(doubtful_to_)
                               : "from " + std::to_string(first) + " on") +
         " are in doubt";
}

// The decision table of recovery.h, rows a to d.
Status Recovery::judge(size_t stopped) {
  Evidence& evidence = evidence_;
  for (size_t i = stopped; i < segments_.size(); i++) {
    const Segment& segment = *segments_[i];
    uint64_t from = i == stopped ? replay_.stopped_at() : kSegmentHeaderBytes;
    Result<uint64_t> dirty_end = survey(segment, from, evidence);
    if (!dirty_end) return dirty_end.status();
    // The valid first records of a batch that is not whole lie before `from`.
    dirty_ends_[segment.sequence] = std::max(*dirty_end, from);
  }
  const Segment& segment = *segments_[stopped];
  std::string where = segment.path + ", offset " + std::to_string(replay_.stopped_at());
  std::string expected = "no valid record of batch " + std::to_string(replay_.expected_batch());
  if (evidence.batch > replay_.expected_batch()) {
    return damage(where,
                  expected + ", yet batch " + std::to_string(evidence.batch) + " is at " + evidence.where,
                  evidence.last_index);
  }
  Index commit = std::max({evidence.commit, replay_.commit(), state_.start.last.index});
  if (commit >= replay_.next_index()) {
    return damage(where, expected + ", yet entry " + std::to_string(commit) + " is known to be committed",
                  commit);
  }
  if (replay_.next_index() != replay_.index().last_index() + 1) {
    return damage(where,
                  "the log begins behind entry " + std::to_string(state_.start.last.index) +
                      ", its oldest segment at entry " + std::to_string(replay_.next_index()),
                  0);
  }
  uint64_t cut = dirty_ends_[segment.sequence] - replay_.accepted_end();
  if (cut > 0) {
    note_ = "cut " + std::to_string(cut) + " bytes of an unfinished batch from " + segment.path +
            ", offset " + std::to_string(replay_.accepted_end());
  }
  return Status::ok();
}

// Looks at every aligned offset for a valid record header, whatever lies between. A header alone is proof: it
// cannot have been written before the batches below its own were synced. Returns where the bytes that are not
// zero end.
Result<uint64_t> Recovery::survey(const Segment& segment, uint64_t from, Evidence& evidence) {
  constexpr size_t kOverlap =
      kRecordHeaderBytes - kRecordAlignment;  // a header may begin in one view and end in the next
  SegmentReader reader(*segment.file, segment.header.size_bytes);
  uint64_t dirty_end = from;
  for (uint64_t block = from; block < segment.header.size_bytes;) {
    size_t length = std::min<uint64_t>(SegmentReader::kBufferBytes, segment.header.size_bytes - block);
    Result<ByteView> bytes = reader.view(block, length);
    if (!bytes)
      return damage(segment.path + ", offset " + std::to_string(block), bytes.status().sentence(), 0);
    for (size_t i = 0; i + kRecordAlignment <= length; i += kRecordAlignment) {
      uint64_t word = 0;
      std::memcpy(&word, bytes->data() + i, sizeof(word));
      if (word == 0) continue;
      dirty_end = std::max(dirty_end, block + i + kRecordAlignment);
      std::optional<DecodedHeader> found = decode_record_header(bytes->subspan(i), segment.header.salt);
      if (!found) continue;
      evidence.commit = std::max(evidence.commit, found->header.commit);
      evidence.term = std::max(evidence.term, found->header.term);
      if (found->header.type == RecordType::kEntry) {
        evidence.last_index = std::max(evidence.last_index, found->header.index);
      }
      if (found->header.batch > evidence.batch) {
        evidence.batch = found->header.batch;
        evidence.where = segment.path + ", offset " + std::to_string(block + i);
      }
    }
    block += block + length == segment.header.size_bytes ? length : length - kOverlap;
  }
  return dirty_end;
}

// Equal bytes over [from, keep_until), zeros over [keep_until, zero_until), then a sync. Why this is safe:
// recovery.h.
Status Recovery::write_again(const Segment& segment, uint64_t from, uint64_t keep_until,
                             uint64_t zero_until) {
  Bytes piece;
  for (uint64_t at = from; at < keep_until || at < zero_until; at += piece.size()) {
    uint64_t until = at < keep_until ? keep_until : zero_until;
    piece.assign(std::min<uint64_t>(SegmentReader::kBufferBytes, until - at), 0);
    if (at < keep_until) {
      Result<size_t> got = segment.file->read(at, piece);
      if (!got || *got != piece.size()) {
        return {Code::kIo,
                segment.path + ", offset " + std::to_string(at) + ": read once, but not a second time"};
      }
    }
    if (Status status = segment.file->write(at, piece); !status) return status;
  }
  return segment.file->sync_data();
}

Status Recovery::make_durable(size_t active) {
  const Replay::Extent& last = replay_.last_batch();
  for (size_t i = 0; i <= active; i++) {
    const Segment& segment = *segments_[i];
    bool holds_last = segment.sequence == last.sequence;
    if (!holds_last && i != active) continue;
    uint64_t keep_until = holds_last ? last.end : kSegmentHeaderBytes;
    uint64_t zero_until = i == active ? dirty_ends_[segment.sequence] : keep_until;
    if (Status status = write_again(segment, holds_last ? last.begin : keep_until, keep_until, zero_until);
        !status) {
      return status;
    }
  }
  // Segments behind the active one were made for a batch that was never written to its end. From the newest
  // on, each removal durable, so that no crash leaves a gap.
  while (segments_.size() > active + 1) {
    if (Status status = disk_.remove(segments_.back()->path); !status) return status;
    if (Status status = disk_.sync_directory(directory_); !status) return status;
    segments_.pop_back();
  }
  for (const std::string& name : left_overs_) {
    if (Status status = disk_.remove(directory_ + "/" + name); !status) return status;
  }
  return disk_.sync_directory(directory_);  // names, too, may have been in memory only
}

// Also with files missing the ones in front of them are read: they may be kept.
Result<size_t> Recovery::read_all() {
  const auto is_damage = [](const Status& status) { return status.code() == Code::kCorrupt; };
  Status complete = find_files();
  if (!complete && !is_damage(complete)) return complete;
  Status opened = open_segments();
  if (!opened && !is_damage(opened)) return opened;
  Result<size_t> active = replay_segments();
  if (!active && !is_damage(active.status())) return active;
  if (!complete) return complete;
  if (!opened) return opened;
  if (!active) return active;
  Status judged = judge(*active);
  return judged ? active : judged;
}

// In front of the damage: whole batches, one behind the other, of which no later one proves anything wrong.
// They are a log as good as any that ends there.
Status Recovery::keep_readable(bool put_aside, RecoveredLog& log) {
  const Replay::Extent& last = replay_.last_batch();
  // Damage below the log's start, or in front of the truncation that a later part counts on, leaves nothing.
  const bool is_usable = last.sequence != 0 && replay_.next_index() == replay_.index().last_index() + 1;
  while (!segments_.empty() && (!is_usable || segments_.back()->sequence > last.sequence))
    segments_.pop_back();
  if (put_aside) {
    ReadablePart readable{.first_segment = state_.first_segment};
    if (is_usable) {
      readable.last_segment = last.sequence;
      readable.end = last.end;
      if (!last.completes_segment) readable.segment = segments_.back().get();
    }
    // A footer may be in the page cache only [A12].
    if (is_usable && last.completes_segment) {
      Status written = write_again(*segments_.back(), last.begin, last.end, last.end);
      if (!written) return written;
    }
    if (Status status = put_damage_aside(disk_, directory_, readable); !status) return status;
    if (readable.segment != nullptr) {
      const SegmentHeader& header = readable.segment->header;
      Result<std::unique_ptr<Segment>> copy =
          open_segment(disk_, readable.segment->path, header.cluster_id_high, header.cluster_id_low);
      if (!copy) return copy.status();
      (*copy)->sequence = last.sequence;
      (*copy)->first_batch = segments_.back()->first_batch;
      segments_.back() = std::move(*copy);
    } else {
      log.segment_wanted = is_usable ? last.sequence + 1 : state_.first_segment;
    }
  }
  if (is_usable) {
    fill(log);
  } else {
    log.index = EntryIndex(state_.start.last);
    log.next_batch = state_.first_batch;
    log.end = kSegmentHeaderBytes;
    log.commit = state_.start.last.index;
  }
  return Status::ok();
}

void Recovery::fill(RecoveredLog& log) {
  log.segments = std::move(segments_);
  log.index = std::move(replay_.index());
  log.configurations = std::move(replay_.configurations());
  log.commit = std::max(replay_.commit(), state_.start.last.index);
  log.end = log.segment_wanted == 0 ? replay_.last_batch().end : kSegmentHeaderBytes;
  log.next_batch = replay_.expected_batch();
  log.previous = replay_.previous();
  log.note = std::move(note_);
}

Result<RecoveredLog> Recovery::run() {
  RecoveredLog log;
  const OnDamage on_damage = options_.on_damage;
  Result<size_t> active = read_all();
  if (!active && active.status().code() == Code::kCorrupt) {
    log.damage = describe(active.status());
    if (on_damage == OnDamage::kRefuse) {
      return Status(Code::kCorrupt,
                    log.damage +
                        ". Nothing was changed. This node must neither vote nor acknowledge: restore "
                        "the file, or " +
                        kJoinAnew);
    }
    log.highest_term = evidence_.term;
    Status kept = keep_readable(on_damage == OnDamage::kPutAside, log);
    if (!kept) return kept;
    log.commit = std::min(log.commit, log.index.last_index());
    return log;
  }
  if (!active) return active.status();
  if (Status status = make_durable(*active); !status) return status;
  fill(log);
  log.end = replay_.accepted_end();
  return log;
}

}  // namespace

Result<RecoveredLog> recover_log(Disk& disk, const std::string& directory, const DurableState& state,
                                 const LogOptions& options) {
  return Recovery(disk, directory, state, options).run();
}

}  // namespace dqlite::raft
