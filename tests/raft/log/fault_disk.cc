#include "tests/raft/log/fault_disk.h"

#include <algorithm>
#include <stdexcept>

namespace dqlite::raft::test {

namespace {

constexpr uint64_t kSectorBytes = 512;

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

bool is_root(const std::string& path) {
  return path == "." || path == "/";
}

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

void copy_range(Bytes& to, const Bytes& from, uint64_t begin, uint64_t end) {
  end = std::min<uint64_t>(end, to.size());
  uint64_t known = std::clamp<uint64_t>(from.size(), begin, std::max(begin, end));
  if (begin >= end) return;
  std::copy(from.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(begin, from.size())),
            from.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(known, from.size())),
            to.begin() + static_cast<ptrdiff_t>(begin));
  std::fill(to.begin() + static_cast<ptrdiff_t>(known), to.begin() + static_cast<ptrdiff_t>(end), uint8_t{0});
}

}  // namespace

class FaultDisk::FaultFile : public File {
 public:
  FaultFile(FaultDisk& disk, std::string path, std::shared_ptr<Inode> inode)
      : disk_(disk), path_(std::move(path)), inode_(std::move(inode)), generation_(disk.generation_) {}

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    std::lock_guard lock(disk_.mutex_);
    if (disk_.crashed_ || generation_ != disk_.generation_)
      return disk_.failure(Fate::kDead, "read of " + path_);
    for (auto [from, length] : inode_->unreadable) {
      if (offset < from + length && from < offset + out.size()) {
        return disk_.failure(Fate::kFail, "read of " + path_);
      }
    }
    disk_.largest_read_ = std::max(disk_.largest_read_, out.size());
    const Bytes& bytes = inode_->cached;
    size_t got = offset >= bytes.size() ? 0 : std::min<uint64_t>(out.size(), bytes.size() - offset);
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, bytes.size())), got,
                out.begin());
    return got;
  }

  Status write(uint64_t offset, ByteView bytes) override {
    std::lock_guard lock(disk_.mutex_);
    Fate fate = fate_of_call();
    if (fate == Fate::kDead) return disk_.failure(fate, "write to " + path_);
    if (inode_->forgets_writes && fate == Fate::kNormal) return Status::ok();
    uint64_t more = growth(offset + bytes.size());
    bool fits = more == 0 || disk_.used_space() + more <= disk_.space_;
    bool whole = fate == Fate::kCrash || (fate == Fate::kNormal && fits);
    put(offset, whole ? bytes : bytes.first(fits ? bytes.size() / 2 : 0));
    if (fate != Fate::kNormal) return disk_.failure(fate, "write to " + path_);
    return fits ? Status::ok() : Status(Code::kFull, "write to " + path_ + " failed: no space left");
  }

  Status sync_data() override {
    std::lock_guard lock(disk_.mutex_);
    Fate fate = fate_of_call();
    if (fate == Fate::kNormal) disk_.sync_calls_++;
    if (fate == Fate::kNormal) make_durable(*inode_);
    if (fate == Fate::kFail) {  // clean, and not durable
      inode_->dirty.clear();
      inode_->length_changed = false;
    }
    return fate == Fate::kNormal ? Status::ok() : disk_.failure(fate, "sync of " + path_);
  }

  Status truncate(uint64_t size) override {
    std::lock_guard lock(disk_.mutex_);
    Fate fate = fate_of_call();
    if (fate == Fate::kNormal || fate == Fate::kCrash) {
      inode_->cached.resize(size);
      inode_->length_changed = true;
    }
    return fate == Fate::kNormal ? Status::ok() : disk_.failure(fate, "truncation of " + path_);
  }

  Result<uint64_t> size() override {
    std::lock_guard lock(disk_.mutex_);
    if (disk_.crashed_ || generation_ != disk_.generation_)
      return disk_.failure(Fate::kDead, "stat of " + path_);
    return inode_->cached.size();
  }

 private:
  Fate fate_of_call() { return generation_ == disk_.generation_ ? disk_.next_call() : Fate::kDead; }

  [[nodiscard]] uint64_t growth(uint64_t end) const {
    return end > inode_->cached.size() ? end - inode_->cached.size() : 0;
  }

  void put(uint64_t offset, ByteView bytes) {
    if (bytes.empty()) return;
    if (offset + bytes.size() > inode_->cached.size()) {
      inode_->cached.resize(offset + bytes.size());
      inode_->length_changed = true;
    }
    std::copy(bytes.begin(), bytes.end(), inode_->cached.begin() + static_cast<ptrdiff_t>(offset));
    for (uint64_t s = offset / kSectorBytes; s <= (offset + bytes.size() - 1) / kSectorBytes; s++) {
      inode_->dirty.insert(s);
    }
  }

  FaultDisk& disk_;
  const std::string path_;
  const std::shared_ptr<Inode> inode_;
  const uint64_t generation_;
};

// --- Disk ---

Result<std::unique_ptr<File>> FaultDisk::open(const std::string& path, bool create) {
  std::unique_lock lock(mutex_);
  if (crashed_) return failure(Fate::kDead, "opening of " + path);
  auto found = names_.find(path);
  if (create) {
    if (found != names_.end()) return Status(Code::kRefused, path + " exists");
    auto inode = std::make_shared<Inode>();
    if (Status status = change_names("creation of " + path, {parent_of(path), "", path, inode}); !status)
      return status;
    return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, path, inode));
  }
  if (found == names_.end() || found->second->is_directory)
    return Status(Code::kNotFound, path + " does not exist");
  return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, path, found->second));
}

Status FaultDisk::make_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (names_.contains(path)) return Status::ok();
  auto inode = std::make_shared<Inode>();
  inode->is_directory = true;
  return change_names("creation of " + path, {parent_of(path), "", path, inode});
}

Result<std::vector<std::string>> FaultDisk::list(const std::string& directory) {
  std::lock_guard lock(mutex_);
  if (crashed_) return failure(Fate::kDead, "listing of " + directory);
  std::vector<std::string> result;
  for (const auto& [path, inode] : names_) {
    if (parent_of(path) == directory) result.push_back(path.substr(directory.size() + 1));
  }
  std::reverse(result.begin(), result.end());  // no order is promised
  return result;
}

Status FaultDisk::rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  if (!crashed_ && !names_.contains(from)) return {Code::kNotFound, from + " does not exist"};
  return change_names("renaming of " + from, {parent_of(to), from, to, nullptr});
}

Status FaultDisk::link(const std::string& path, const std::string& second_name) {
  std::lock_guard lock(mutex_);
  const auto found = names_.find(path);
  if (!crashed_ && found == names_.end()) return {Code::kNotFound, path + " does not exist"};
  if (!crashed_ && names_.contains(second_name)) return {Code::kIo, second_name + " exists"};
  const std::shared_ptr<Inode> inode = crashed_ ? nullptr : found->second;
  return change_names("second name of " + path, {parent_of(second_name), "", second_name, inode});
}

Status FaultDisk::remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!crashed_ && !names_.contains(path)) return {Code::kNotFound, path + " does not exist"};
  return change_names("removal of " + path, {parent_of(path), path, "", nullptr});
}

Status FaultDisk::sync_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  Fate fate = next_call();
  if (fate != Fate::kNormal) return failure(fate, "sync of " + path);
  if (!is_root(path) && !names_.contains(path)) return {Code::kNotFound, path + " does not exist"};
  sync_calls_++;
  for (const NameChange& change : pending_) {
    if (change.directory == path) apply(change, durable_names_);
  }
  std::erase_if(pending_, [&path](const NameChange& change) { return change.directory == path; });
  return Status::ok();
}

Result<bool> FaultDisk::exists(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (crashed_) return failure(Fate::kDead, "stat of " + path);
  return names_.contains(path);
}

FaultDisk::Fate FaultDisk::next_call() {
  if (crashed_) return Fate::kDead;
  calls_++;
  if (calls_ == crash_call_) {
    crashed_ = true;
    return Fate::kCrash;
  }
  return calls_ == fail_call_ ? Fate::kFail : Fate::kNormal;
}

Status FaultDisk::failure(Fate fate, const std::string& what) const {
  if (fate == Fate::kFail) return {fail_code_, what + " failed: injected fault"};
  return {Code::kIo, what + " failed: the power is off"};
}

Status FaultDisk::change_names(const std::string& what, NameChange change) {
  Fate fate = next_call();
  if (fate == Fate::kDead || fate == Fate::kFail) return failure(fate, what);
  if (!is_root(change.directory) && !names_.contains(change.directory)) {
    return {Code::kNotFound, change.directory + " does not exist"};
  }
  apply(change, names_);
  pending_.push_back(std::move(change));
  return fate == Fate::kNormal ? Status::ok() : failure(fate, what);
}

void FaultDisk::apply(const NameChange& change, Names& names) {
  std::shared_ptr<Inode> inode = change.inode;
  if (!change.from.empty()) {
    auto found = names.find(change.from);
    if (found == names.end()) return;  // what made it did not survive
    if (!inode) inode = found->second;
    names.erase(found);
  }
  if (!change.to.empty()) names[change.to] = inode;
}

void FaultDisk::make_durable(Inode& inode) {
  inode.durable.resize(inode.cached.size());
  for (uint64_t sector : inode.dirty) {
    copy_range(inode.durable, inode.cached, sector * kSectorBytes, (sector + 1) * kSectorBytes);
  }
  inode.dirty.clear();
  inode.length_changed = false;
}

// --- failures ---

void FaultDisk::crash_at(uint64_t call) {
  std::lock_guard lock(mutex_);
  crash_call_ = calls_ + call;
}

void FaultDisk::fail_call(uint64_t call, Code code) {
  std::lock_guard lock(mutex_);
  fail_call_ = calls_ + call;
  fail_code_ = code;
}

void FaultDisk::set_space(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  space_ = bytes;
}

Result<uint64_t> FaultDisk::free_bytes(const std::string&) {
  std::lock_guard lock(mutex_);
  return space_ - std::min(space_, used_space());
}

void FaultDisk::fail_reads(const std::string& path, uint64_t offset, uint64_t length) {
  std::lock_guard lock(mutex_);
  find(path).unreadable.emplace_back(offset, length);
}

void FaultDisk::lose_writes(const std::string& path) {
  std::lock_guard lock(mutex_);
  find(path).forgets_writes = true;
}

// --- the end of a process ---

void FaultDisk::survive(Inode& inode, Survival survival, uint64_t& random) {
  if (survival == Survival::kEverything) make_durable(inode);
  if (survival == Survival::kRandom) {
    if (inode.length_changed && next_random(random) % 2 == 0) inode.durable.resize(inode.cached.size());
    for (uint64_t sector : inode.dirty) {
      uint64_t begin = sector * kSectorBytes;
      uint64_t end = begin + kSectorBytes;
      uint64_t choice = next_random(random);
      uint64_t cut = begin + (choice >> 8) % kSectorBytes;
      if (choice % 8 < 3) copy_range(inode.durable, inode.cached, begin, end);
      if (choice % 8 == 3) copy_range(inode.durable, inode.cached, begin, cut);
      if (choice % 8 == 4) copy_range(inode.durable, inode.cached, cut, end);
    }
  }
  inode.cached = inode.durable;
  inode.dirty.clear();
  inode.length_changed = false;
}

void FaultDisk::power_loss(Survival survival, uint64_t seed) {
  std::lock_guard lock(mutex_);
  uint64_t random = seed;
  for (const NameChange& change : pending_) {
    bool lives =
        survival == Survival::kEverything || (survival == Survival::kRandom && next_random(random) % 2 == 0);
    if (lives) apply(change, durable_names_);
  }
  pending_.clear();
  // What lies in a directory whose own name is gone is gone too.
  std::erase_if(durable_names_, [this](const auto& name) {
    std::string parent = parent_of(name.first);
    return !is_root(parent) && !durable_names_.contains(parent);
  });
  names_ = durable_names_;
  std::set<Inode*> done;
  for (auto& [path, inode] : names_) {
    if (done.insert(inode.get()).second) survive(*inode, survival, random);
  }
  generation_++;
  crashed_ = false;
  crash_call_ = fail_call_ = 0;
}

void FaultDisk::kill() {
  std::lock_guard lock(mutex_);
  generation_++;
  crashed_ = false;
  crash_call_ = fail_call_ = 0;
}

// --- rot ---

void FaultDisk::flip_bit(const std::string& path, uint64_t offset, int bit) {
  std::lock_guard lock(mutex_);
  Inode& inode = find(path);
  auto flipped = static_cast<uint8_t>(inode.cached.at(offset) ^ (1U << bit));
  inode.cached[offset] = flipped;
  if (offset < inode.durable.size()) inode.durable[offset] = flipped;
}

void FaultDisk::put(const std::string& path, uint64_t offset, ByteView bytes) {
  std::lock_guard lock(mutex_);
  Inode& inode = find(path);
  for (Bytes* content : {&inode.cached, &inode.durable}) {
    if (content->size() < offset + bytes.size()) content->resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), content->begin() + static_cast<ptrdiff_t>(offset));
  }
}

void FaultDisk::resize(const std::string& path, uint64_t size) {
  std::lock_guard lock(mutex_);
  find(path).cached.resize(size);
  find(path).durable.resize(size);
}

void FaultDisk::drop_file(const std::string& path) {
  std::lock_guard lock(mutex_);
  static_cast<void>(find(path));
  names_.erase(path);
  durable_names_.erase(path);
}

// --- looking ---

FaultDisk::Inode& FaultDisk::find(const std::string& path) const {
  auto found = names_.find(path);
  if (found == names_.end()) throw std::out_of_range("the test names a file that does not exist: " + path);
  return *found->second;
}

uint64_t FaultDisk::used_space() const {
  uint64_t bytes = 0;
  for (const auto& [path, inode] : names_) bytes += inode->cached.size();
  return bytes;
}

Bytes FaultDisk::content(const std::string& path) const {
  std::lock_guard lock(mutex_);
  return find(path).cached;
}

std::vector<std::string> FaultDisk::files() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> result;
  for (const auto& [path, inode] : names_) {
    if (!inode->is_directory) result.push_back(path);
  }
  return result;
}

uint64_t FaultDisk::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

uint64_t FaultDisk::sync_calls() const {
  std::lock_guard lock(mutex_);
  return sync_calls_;
}

size_t FaultDisk::largest_read() const {
  std::lock_guard lock(mutex_);
  return largest_read_;
}

uint64_t FaultDisk::used() const {
  std::lock_guard lock(mutex_);
  return used_space();
}

bool FaultDisk::is_off() const {
  std::lock_guard lock(mutex_);
  return crashed_;
}

void FaultDisk::forget_counts() {
  std::lock_guard lock(mutex_);
  largest_read_ = 0;
  sync_calls_ = 0;
}

std::unique_ptr<FaultDisk> FaultDisk::clone() const {
  std::lock_guard lock(mutex_);
  auto copy = std::make_unique<FaultDisk>();
  std::map<Inode*, std::shared_ptr<Inode>> inodes;
  auto copied = [&inodes](const std::shared_ptr<Inode>& inode) {
    if (!inode) return inode;
    auto& there = inodes[inode.get()];
    if (!there) there = std::make_shared<Inode>(*inode);
    return there;
  };
  for (const auto& [path, inode] : names_) copy->names_[path] = copied(inode);
  for (const auto& [path, inode] : durable_names_) copy->durable_names_[path] = copied(inode);
  for (NameChange change : pending_) {
    change.inode = copied(change.inode);
    copy->pending_.push_back(std::move(change));
  }
  copy->space_ = space_;
  copy->calls_ = calls_;
  return copy;
}

}  // namespace dqlite::raft::test
