#include "raft/core/stream_fence.h"

namespace dqlite::raft {

namespace {

Status mismatch(const Base& base, const std::string& why) {
  return {Code::kNotCommitted, "stream " + std::to_string(base.stream) + ": the proposal stands on entry " +
                                   text(base.newest) + ", but " + why +
                                   "; nothing was appended, compute it again on the committed state"};
}

}  // namespace

void StreamFence::begin_term(Index noop) {
  noop_ = noop;
  newest_.clear();
}

Status StreamFence::check(const std::vector<Base>& bases, const LogWindow& log) const {
  for (const Base& base : bases) {
    const auto found = newest_.find(base.stream);
    if (found != newest_.end()) {
      if (found->second != base.newest) {
        return mismatch(base, "the stream's newest entry is " + text(found->second));
      }
      continue;
    }
    const bool creates_stream = base.newest.index == base.stream;
    if (base.newest.index >= noop_ && !creates_stream) {
      return mismatch(base,
                      "the stream has no entry since this term began at index " + std::to_string(noop_));
    }
    // Below the log's start the term is no longer known; such an entry is committed and applied, so whoever
    // computed on the applied state in this term has it right.
    if (base.newest.index >= log.start().index && !log.holds(base.newest)) {
      return mismatch(base, "the log holds no such entry");
    }
  }
  return Status::ok();
}

void StreamFence::appended(const std::vector<Base>& bases, EntryId entry) {
  for (const Base& base : bases) newest_[base.stream] = entry;
}

}  // namespace dqlite::raft
