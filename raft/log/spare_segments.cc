#include "raft/log/spare_segments.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <new>
#include <system_error>

#include "codec/checksum.h"
#include "raft/log/random.h"

namespace dqlite::raft {

namespace {

constexpr std::chrono::seconds kRetry{1};  // after a failure: the disk may have got space

// Spares beyond this are not kept when an append gives its own back.
constexpr size_t kMaxReady = 8;

Result<uint64_t> new_salt(uint64_t seed, uint64_t number) {
  if (seed == 0) return random_number();
  Bytes bytes;
  codec::Writer(bytes).u64(number);
  return codec::checksum(bytes, seed);
}

}  // namespace

SpareSegments::SpareSegments(Disk& disk, std::string directory, const SpareOptions& options)
    : disk_(disk),
      directory_(std::move(directory)),
      segment_bytes_(options.segment_bytes),
      count_(options.count),
      leaves_free_(options.leaves_free),
      salt_seed_(options.salt_seed),
      cluster_id_high_(options.cluster_id_high),
      cluster_id_low_(options.cluster_id_low) {}

SpareSegments::~SpareSegments() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void SpareSegments::start() {
  if (count_ == 0) return;
  // The thread inherits the mask: no handler of the host ever runs on it, not even at its beginning.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // No thread to be had: segments are made on the commit path, slower and just as right.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void SpareSegments::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (ready_.size() >= count_) {
      changed_.wait(lock);
      continue;
    }
    making_ = true;
    lock.unlock();
    Result<std::unique_ptr<Segment>> made = make_in_background();
    is_short_ = made.status().code() == Code::kFull;
    lock.lock();
    making_ = false;
    if (made) ready_.push_back(std::move(*made));
    changed_.notify_all();
    if (!made) changed_.wait_for(lock, kRetry, [this] { return stop_ || try_again_; });
    try_again_ = false;
  }
}

Result<std::unique_ptr<Segment>> SpareSegments::make_in_background() {
  try {
    if (leaves_free_) {
      const Result<uint64_t> free = disk_.free_bytes(directory_);
      if (free && *free < leaves_free_() + segment_bytes_) {
        return Status(Code::kFull,
                      "what is left of the disk of " + directory_ + " is for the next checkpoint");
      }
    }
    return make(segment_bytes_);
  } catch (const std::bad_alloc&) {
    return Status(Code::kIo, "out of memory");  // short enough to need none; tried again later
  }
}

Result<std::unique_ptr<Segment>> SpareSegments::make(uint64_t size_bytes) {
  SegmentHeader header;
  header.size_bytes = size_bytes;
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    number = next_number_++;
    header.cluster_id_high = cluster_id_high_;
    header.cluster_id_low = cluster_id_low_;
  }
  Result<uint64_t> salt = new_salt(salt_seed_, number);
  if (!salt) return salt.status();
  header.salt = *salt;
  return create_segment(disk_, directory_ + "/" + spare_name(number), header);
}

Result<std::unique_ptr<Segment>> SpareSegments::take(uint64_t size_bytes) {
  {
    std::unique_lock lock(mutex_);
    if (size_bytes <= segment_bytes_) {
      size_bytes = segment_bytes_;
      changed_.wait(lock, [this] { return !ready_.empty() || !making_; });
    }
    auto fits = [size_bytes](const auto& segment) { return segment->header.size_bytes == size_bytes; };
    auto found = std::find_if(ready_.begin(), ready_.end(), fits);
    if (found != ready_.end()) {
      std::unique_ptr<Segment> segment = std::move(*found);
      ready_.erase(found);
      changed_.notify_all();
      return segment;
    }
  }
  return make(size_bytes);
}

void SpareSegments::space_came_back() {
  std::lock_guard lock(mutex_);
  try_again_ = true;
  changed_.notify_all();
}

void SpareSegments::give_back(std::unique_ptr<Segment> segment) {
  {
    std::lock_guard lock(mutex_);
    if (segment->header.size_bytes == segment_bytes_ && ready_.size() < kMaxReady) {
      ready_.push_back(std::move(segment));
      return;
    }
  }
  (void)disk_.remove(segment->path).is_ok();  // else the next start removes it
}

void SpareSegments::set_cluster_id(uint64_t high, uint64_t low) {
  std::lock_guard lock(mutex_);
  cluster_id_high_ = high;
  cluster_id_low_ = low;
}

uint64_t SpareSegments::ready_bytes() const {
  std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& segment : ready_) {
    bytes += segment->header.size_bytes - kSegmentHeaderBytes - kBeginBytes - kFooterBytes;
  }
  return bytes;
}

}  // namespace dqlite::raft
