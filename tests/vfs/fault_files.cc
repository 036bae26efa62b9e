#include "tests/vfs/fault_files.h"

#include <algorithm>
#include <utility>

namespace dqlite::vfs {
namespace {

constexpr uint64_t kSector = 512;

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool overlaps(uint64_t begin, uint64_t end, uint64_t other_begin, uint64_t other_end) {
  return begin < other_end && other_begin < end;
}

Status gone() {
  return {Code::kIo, "the process this file belonged to has ended"};
}

}  // namespace

class FaultFile : public DataFile {
 public:
  FaultFile(FaultDisk& disk, std::shared_ptr<FaultDisk::Inode> inode, std::string path)
      : disk_(disk), epoch_(disk.epoch_), inode_(std::move(inode)), path_(std::move(path)) {}

  ~FaultFile() override {
    std::erase_if(inode_->locks, [this](const FaultDisk::Lock& lock) { return lock.owner == this; });
  }

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    bool dies_now = false;
    if (Status status = step("read", false, dies_now); !status) return status;
    if (disk_.at_next_read_) std::exchange(disk_.at_next_read_, nullptr)();
    if (offset >= inode_->cache.size()) return size_t{0};
    size_t size = std::min<size_t>(out.size(), inode_->cache.size() - offset);
    std::copy_n(inode_->cache.begin() + static_cast<ptrdiff_t>(offset), size, out.begin());
    return size;
  }

  Status write(uint64_t offset, ByteView bytes) override {
    bool dies_now = false;
    Status status = step("write", true, dies_now);
    if (!status && !dies_now && status.code() != Code::kFull) return status;
    // Half of it may have been done when the machine stopped or the disk was full.
    if (!status) bytes = bytes.first(disk_.coin() ? bytes.size() / 2 / kSector * kSector : 0);
    if (!bytes.empty()) change({false, offset, Bytes(bytes.begin(), bytes.end())});
    return status;
  }

  Status truncate(uint64_t size) override {
    bool dies_now = false;
    Status status = step("truncate", false, dies_now);
    if (status || (dies_now && disk_.coin())) change({true, size, {}});
    return status;
  }

  Status sync() override {
    bool dies_now = false;
    Status status = step("sync", false, dies_now);
    if (!status) {
      if (epoch_ == disk_.epoch_) disk_.settle(*inode_);
      return status;
    }
    disk_.file_syncs_++;
    inode_->durable = inode_->cache;
    inode_->pending.clear();
    return status;
  }

  Result<FileStamp> stamp() override {
    bool dies_now = false;
    if (Status status = step("stamp", false, dies_now); !status) return status;
    return FileStamp{1, inode_->number, inode_->cache.size(), inode_->changed};
  }

  Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
    if (epoch_ != disk_.epoch_) return gone();
    const uint64_t end = offset + length;
    std::vector<FaultDisk::Lock> locks;
    for (const FaultDisk::Lock& lock : inode_->locks) {
      if (!overlaps(offset, end, lock.begin, lock.end)) {
        locks.push_back(lock);
      } else if (lock.owner != this) {
        if (kind != LockKind::kNone && (kind == LockKind::kWrite || lock.kind == LockKind::kWrite)) {
          return {Code::kBusy, path_ + " is locked by another process"};
        }
        locks.push_back(lock);
      } else {
        if (lock.begin < offset) locks.push_back({this, lock.begin, offset, lock.kind});
        if (end < lock.end) locks.push_back({this, end, lock.end, lock.kind});
      }
    }
    if (kind != LockKind::kNone) locks.push_back({this, offset, end, kind});
    inode_->locks = std::move(locks);
    return Status::ok();
  }

 private:
  Status step(const std::string& what, bool needs_space, bool& dies_now) {
    if (epoch_ != disk_.epoch_) return gone();
    return disk_.step(what + " of " + path_, needs_space, dies_now);
  }

  void change(FaultDisk::Change change) {
    FaultDisk::apply(change, inode_->cache);
    inode_->pending.push_back(std::move(change));
    inode_->changed = ++disk_.clock_;
  }

  FaultDisk& disk_;
  const uint64_t epoch_;
  std::shared_ptr<FaultDisk::Inode> inode_;
  const std::string path_;
};

void FaultDisk::fail_call(uint64_t number, Fault fault) {
  calls_ = 0;
  failing_call_ = number;
  fault_ = fault;
}

void FaultDisk::forgive() {
  fail_call(0, Fault::kError);
}

Status FaultDisk::step(const std::string& what, bool needs_space, bool& dies_now) {
  if (stopped_) return {Code::kIo, what + " failed: the machine is off"};
  calls_++;
  if (failing_call_ == 0 || calls_ != failing_call_) return Status::ok();
  if (fault_ == Fault::kNoSpace) {
    if (!needs_space) return Status::ok();
    return {Code::kFull, what + " failed: no space left"};
  }
  if (fault_ == Fault::kStop) {
    std::atomic_ref(stopped_).store(true);
    dies_now = true;
  }
  return {Code::kIo, what + " failed on request"};
}

void FaultDisk::kill_processes() {
  epoch_++;
  stopped_ = false;
  forgive();
  for (auto& [path, inode] : entries_) inode->locks.clear();
}

void FaultDisk::lose_power() {
  kill_processes();
  const bool in_order = coin();
  size_t kept = in_order ? random_() % (pending_entries_.size() + 1) : pending_entries_.size();
  for (size_t i = 0; i < kept; i++) {
    if (in_order || coin()) apply(pending_entries_[i]);
  }
  pending_entries_.clear();
  for (auto& [path, inode] : entries_) settle(*inode);
  entries_ = durable_entries_;
  for (auto& [path, inode] : entries_) {
    settle(*inode);
    if (inode->cache != inode->durable) {
      inode->cache = inode->durable;
      if (coin()) inode->changed = ++clock_;
    }
  }
}

void FaultDisk::settle(Inode& inode) {
  const uint64_t mode = random_() % 4;  // nothing, everything, or sector by sector
  for (const Change& change : inode.pending) {
    if (mode == 0) continue;
    if (change.is_truncate) {
      if (mode == 1 || coin()) apply(change, inode.durable);
      continue;
    }
    for (uint64_t done = 0; done < change.bytes.size();) {
      uint64_t size =
          std::min<uint64_t>(kSector - (change.offset + done) % kSector, change.bytes.size() - done);
      auto first = change.bytes.begin() + static_cast<ptrdiff_t>(done);
      if (mode == 1 || coin()) {
        apply({false, change.offset + done, Bytes(first, first + static_cast<ptrdiff_t>(size))},
              inode.durable);
      }
      done += size;
    }
  }
  inode.pending.clear();
}

void FaultDisk::apply(const Change& change, Bytes& content) {
  if (change.is_truncate) {
    content.resize(change.offset, 0);
    return;
  }
  if (content.size() < change.offset + change.bytes.size())
    content.resize(change.offset + change.bytes.size(), 0);
  std::copy(change.bytes.begin(), change.bytes.end(),
            content.begin() + static_cast<ptrdiff_t>(change.offset));
}

void FaultDisk::apply(const EntryChange& change) {
  if (!change.unlink.empty()) durable_entries_.erase(change.unlink);
  if (!change.link.empty()) durable_entries_[change.link] = change.inode;
}

std::shared_ptr<FaultDisk::Inode> FaultDisk::create(const std::string& path) {
  auto inode = std::make_shared<Inode>();
  inode->number = next_inode_++;
  inode->changed = ++clock_;
  entries_[path] = inode;
  return inode;
}

std::optional<Bytes> FaultDisk::look(const std::string& path) const {
  auto found = entries_.find(path);
  if (found == entries_.end()) return std::nullopt;
  return found->second->cache;
}

void FaultDisk::put(const std::string& path, Bytes bytes) {
  auto found = entries_.find(path);
  auto inode = found == entries_.end() ? create(path) : found->second;
  durable_entries_[path] = inode;
  inode->cache = bytes;
  inode->durable = std::move(bytes);
  inode->pending.clear();
  inode->changed = ++clock_;
}

void FaultDisk::erase(const std::string& path) {
  entries_.erase(path);
  durable_entries_.erase(path);
}

std::vector<std::string> FaultDisk::paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : entries_) paths.push_back(path);
  return paths;
}

void FaultDisk::touch(const std::string& path) {
  entries_.at(path)->changed = ++clock_;
}

void FaultDisk::rot(const std::string& path, uint64_t offset) {
  Inode& inode = *entries_.at(path);
  inode.cache[offset] ^= 1;
  inode.durable[offset] ^= 1;
}

void FaultDisk::sync_all() {
  pending_entries_.clear();
  durable_entries_ = entries_;
  for (auto& [path, inode] : entries_) {
    inode->durable = inode->cache;
    inode->pending.clear();
  }
}

Status FaultFiles::step(const std::string& what, bool needs_space, bool& dies_now) {
  if (epoch_ != disk_.epoch_) return gone();
  return disk_.step(what, needs_space, dies_now);
}

void FaultFiles::change_entry(FaultDisk::EntryChange change) {
  if (!change.unlink.empty()) disk_.entries_.erase(change.unlink);
  if (!change.link.empty()) disk_.entries_[change.link] = change.inode;
  disk_.pending_entries_.push_back(std::move(change));
}

Result<std::shared_ptr<DataFile>> FaultFiles::open_database(const std::string& path, bool create) {
  auto found = disk_.entries_.find(path);
  if (found != disk_.entries_.end() && epoch_ == disk_.epoch_) {
    auto known = databases_.find(found->second->number);
    if (known != databases_.end()) return known->second;
  }
  bool dies_now = false;
  if (Status status = step("open of " + path, create, dies_now); !status) return status;
  if (found == disk_.entries_.end()) {
    if (!create) return Status(Code::kNotFound, "open of " + path + " failed: no such file");
    auto inode = disk_.create(path);
    disk_.pending_entries_.push_back({directory_of(path), "", path, inode});
    found = disk_.entries_.find(path);
  }
  auto file = std::make_shared<FaultFile>(disk_, found->second, path);
  databases_[found->second->number] = file;
  return std::shared_ptr<DataFile>(file);
}

Result<std::shared_ptr<DataFile>> FaultFiles::open(const std::string& path, bool create) {
  bool dies_now = false;
  if (Status status = step("open of " + path, create, dies_now); !status) return status;
  auto found = disk_.entries_.find(path);
  if (found == disk_.entries_.end()) {
    if (!create) return Status(Code::kNotFound, "open of " + path + " failed: no such file");
    auto inode = disk_.create(path);
    disk_.pending_entries_.push_back({directory_of(path), "", path, inode});
    found = disk_.entries_.find(path);
  } else if (create && !found->second->cache.empty()) {
    FaultDisk::Change empty{true, 0, {}};
    FaultDisk::apply(empty, found->second->cache);
    found->second->pending.push_back(empty);
    found->second->changed = ++disk_.clock_;
  }
  return std::shared_ptr<DataFile>(std::make_shared<FaultFile>(disk_, found->second, path));
}

Result<std::shared_ptr<DataFile>> FaultFiles::create_new(const std::string& path) {
  if (disk_.entries_.contains(path)) return Status(Code::kRefused, "open of " + path + " failed: it exists");
  return open(path, true);
}

Result<bool> FaultFiles::exists(const std::string& path) {
  bool dies_now = false;
  if (Status status = step("exists of " + path, false, dies_now); !status) return status;
  return disk_.entries_.contains(path);
}

Result<std::vector<std::string>> FaultFiles::list(const std::string& directory) {
  bool dies_now = false;
  if (Status status = step("list of " + directory, false, dies_now); !status) return status;
  std::vector<std::string> names;
  for (const auto& [path, inode] : disk_.entries_) {
    if (directory_of(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

Status FaultFiles::make_directory(const std::string& path) {
  bool dies_now = false;
  return step("mkdir of " + path, true, dies_now);
}

Status FaultFiles::rename(const std::string& from, const std::string& to) {
  bool dies_now = false;
  Status status = step("rename of " + from, true, dies_now);
  auto found = disk_.entries_.find(from);
  if (status && found == disk_.entries_.end())
    return {Code::kNotFound, "rename of " + from + ": no such file"};
  if (status || (dies_now && disk_.coin())) change_entry({directory_of(to), from, to, found->second});
  return status;
}

Status FaultFiles::rename_new(const std::string& from, const std::string& to) {
  if (disk_.entries_.contains(to)) return {Code::kRefused, "rename to " + to + " failed: it exists"};
  return rename(from, to);
}

Status FaultFiles::remove(const std::string& path) {
  bool dies_now = false;
  Status status = step("remove of " + path, false, dies_now);
  if (!disk_.entries_.contains(path)) return status;
  if (status || (dies_now && disk_.coin())) change_entry({directory_of(path), path, "", nullptr});
  return status;
}

Status FaultFiles::sync_directory(const std::string& path) {
  bool dies_now = false;
  if (Status status = step("sync of " + path, false, dies_now); !status) return status;
  std::vector<FaultDisk::EntryChange> others;
  for (FaultDisk::EntryChange& change : disk_.pending_entries_) {
    if (change.directory == path) {
      disk_.apply(change);
    } else {
      others.push_back(std::move(change));
    }
  }
  disk_.pending_entries_ = std::move(others);
  return Status::ok();
}

}  // namespace dqlite::vfs
