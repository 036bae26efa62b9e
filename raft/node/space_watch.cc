#include "raft/node/space_watch.h"

namespace dqlite::raft {
namespace {

// In shortest election time-outs. Space that the log itself can give back is there again before.
constexpr int kLasting = 10;
// Of a segment: what transactions leave to the entries of the cluster itself (a leader's first, members, checkpoints).
constexpr uint64_t kReservedShare = 64;
// Beyond its payload: record, batch and alignment, generously.
constexpr size_t kEntryOverhead = 512;

}  // namespace

SpaceWatch::SpaceWatch(std::shared_ptr<Log> log, const LogWriter& writer, const NodeOptions& options)
    : log_(std::move(log)), writer_(writer), options_(options) {}

bool SpaceWatch::tick() {
  if (!log_->is_short_of_space()) {
    short_ticks_ = 0;
    return false;
  }
  return short_ticks_++ % options_.election_ticks == 0;
}

Status SpaceWatch::admit(size_t bytes) {
  admitted_bytes_ += bytes + kEntryOverhead;
  if (!log_->is_short_of_space()) return Status::ok();
  const uint64_t wanted = writer_.waiting_bytes() + admitted_bytes_ + options_.segment_bytes / kReservedShare;
  if (wanted <= log_->reserved_bytes()) return Status::ok();
  admitted_bytes_ -= bytes + kEntryOverhead;
  return {Code::kFull,
          "no space is left for the log in " + options_.directory + "; make room there, and do it again"};
}

bool SpaceWatch::is_lasting() const {
  return short_ticks_ > kLasting * options_.election_ticks;
}

std::string SpaceWatch::trouble() const {
  if (!is_lasting()) return {};
  return "no space is left for the log in " + options_.directory +
         ": what is there can be read; this node leads only if no other can, and takes writes again by itself once "
         "there is room";
}

}  // namespace dqlite::raft
