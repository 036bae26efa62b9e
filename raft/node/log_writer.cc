#include "raft/node/log_writer.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr size_t kMaxBatchBytes = 1 << 20;
constexpr std::chrono::milliseconds kFullRetryInterval{100};

size_t size_of(const Persist& persist) {
  size_t size = 64;
  for (const Entry& entry : persist.entries) size += 64 + entry.size_bytes();
  return size;
}

}  // namespace

Status LogWriter::start() {
  return lane_->start("dqlite-log", {[this] { work(); }, [this] { end(); }}, events_.failed);
}

void LogWriter::close(Index commit) {
  if (closing_.load()) return;
  final_commit_.store(commit);
  closing_.store(true);
  mailbox_.close();
}

void LogWriter::work() {
  if (has_failed_) return;
  std::vector<Persist> persists;
  mailbox_.take_all(persists);
  for (Persist& persist : persists) taken_.push_back(std::move(persist));
  for (fill_batch(); !batch_.empty(); fill_batch()) {
    const Status written = write_batch();
    if (written) continue;
    if (written.code() == Code::kFull && !closing_.load()) {
      if (!std::exchange(is_full_, true)) events_.full(written);
      return lane_->rest(kFullRetryInterval);
    }
    has_failed_ = true;
    events_.failed(written);
    return lane_->close();
  }
}

void LogWriter::put(Persist persist) {
  waiting_bytes_ += size_of(persist);
  mailbox_.put_quietly(std::move(persist));
}

// One that found no space is tried again as it is.
void LogWriter::fill_batch() {
  if (!batch_.empty()) return;
  while (!taken_.empty()) {
    const size_t size = size_of(taken_.front());
    if (!batch_.empty() && batch_bytes_ + size > kMaxBatchBytes) return;
    batch_bytes_ += size;
    batch_.push_back(std::move(taken_.front()));
    taken_.pop_front();
  }
}

Status LogWriter::write_batch() {
  Status written = log_->append(batch_);
  if (!written) return written;
  if (std::exchange(is_full_, false)) events_.full(Status::ok());
  uint64_t newest = durable_token_.load(std::memory_order_relaxed);
  for (const Persist& persist : batch_) newest = std::max(newest, persist.token);
  batch_.clear();
  waiting_bytes_ -= std::exchange(batch_bytes_, 0);
  durable_token_.store(newest, std::memory_order_release);
  events_.progressed();
  return Status::ok();
}

void LogWriter::end() {
  // A failure costs nothing that was promised: the next start only knows less to be committed.
  if (log_ && !has_failed_) (void)log_->append_commit(final_commit_.load());
}

}  // namespace dqlite::raft
