#include "raft/node/compactor.h"

#include <algorithm>

namespace dqlite::raft {

Compactor::Compactor(Core& core, Executor& loop, Worker& reader, StateMachine& machine,
                     std::shared_ptr<Log> log, uint64_t tail_bytes,
                     std::function<std::optional<Index>()> pinned)
    : core_(core),
      loop_(loop),
      reader_(reader),
      machine_(machine),
      log_(std::move(log)),
      tail_bytes_(tail_bytes),
      pinned_(std::move(pinned)) {}

void Compactor::ask(BytesCompletion completion) {
  waiting_.push_back(std::move(completion));
  ask();
}

void Compactor::maybe_begin() {
  if (!asked_ || busy_) return;
  asked_ = false;
  busy_ = true;
  served_.swap(waiting_);
  reader_.post([this] {
    const Index durable = machine_.durable_point().index;
    const Result<uint64_t> free = log_->free_bytes();
    const Index tail = log_->tail_begin(free ? std::min(tail_bytes_, *free / 2) : tail_bytes_);
    loop_.post([this, target = std::min(durable, tail)] { found_target(target); });
  });
}

void Compactor::tick() {
  if (was_pinned_ && !pinned_()) asked_ = true;
}

void Compactor::found_target(Index target) {
  const std::optional<Index> pin = pinned_();
  was_pinned_ = pin && *pin < target;
  if (was_pinned_) target = *pin;
  target = std::min({target, core_.applied_index(), core_.durable_index()});
  Result<LogStart> start = core_.log_start_at(target);
  if (!start || target <= log_->start().last.index) return finish();
  reader_.post([this, start = std::move(*start)] {
    // A failure that matters poisons the log, and the next append says so; any other leaves files behind that
    // the next start removes.
    (void)log_->compact(start);
    loop_.post([this, start] { compacted(start); });
  });
}

void Compactor::compacted(const LogStart& start) {
  if (log_->start().last.index >= start.last.index) core_.compacted(start);
  finish();
}

void Compactor::fail_all(const Status& reason) {
  for (auto* completions : {&waiting_, &served_}) {
    for (const BytesCompletion& completion : *completions) completion->complete(reason);
    completions->clear();
  }
}

void Compactor::finish() {
  busy_ = false;
  for (const BytesCompletion& completion : served_) completion->complete(log_->dropped_bytes());
  served_.clear();
}

}  // namespace dqlite::raft
