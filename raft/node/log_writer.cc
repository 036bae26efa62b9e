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
  return thread_.start(
      "dqlite-log", [this] { run(); }, events_.failed);
}

void LogWriter::close(Index commit) {
  if (closing_.load()) return;
  final_commit_.store(commit);
  closing_.store(true);
  mailbox_.close();
}

void LogWriter::run() {
  std::vector<Persist> persists;
  while (mailbox_.take_all(persists)) {
    Status written = write_all(persists);
    if (written) continue;
    events_.failed(written);
    return;
  }
  // A failure costs nothing that was promised: the next start only knows less to be committed.
  if (log_) (void)log_->append_commit(final_commit_.load());
}

Status LogWriter::write_all(std::vector<Persist>& persists) {
  std::vector<Persist> batch;
  size_t bytes = 0;
  for (Persist& persist : persists) {
    const size_t size = size_of(persist);
    if (!batch.empty() && bytes + size > kMaxBatchBytes) {
      Status written = write_batch(batch);
      if (!written) return written;
      batch.clear();
      bytes = 0;
    }
    batch.push_back(std::move(persist));
    bytes += size;
  }
  return write_batch(batch);
}

Status LogWriter::write_batch(const std::vector<Persist>& batch) {
  Status written = log_->append(batch);
  bool told = false;
  while (written.code() == Code::kFull && !closing_.load()) {
    if (!told) events_.full(written);
    told = true;
    std::this_thread::sleep_for(kFullRetryInterval);
    written = log_->append(batch);
  }
  if (!written) return written;
  if (told) events_.full(Status::ok());
  uint64_t newest = durable_token_.load(std::memory_order_relaxed);
  for (const Persist& persist : batch) newest = std::max(newest, persist.token);
  durable_token_.store(newest, std::memory_order_release);
  events_.progressed();
  return Status::ok();
}

}  // namespace dqlite::raft
