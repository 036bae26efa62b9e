// vfs/files.h on POSIX: pread, pwrite, fsync, and open-file-description locks.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <map>
#include <mutex>
#include <system_error>

#include "vfs/files.h"

namespace dqlite::vfs {
namespace {

constexpr int kFree = -1;
constexpr int kClosedByFork = -2;

// One descriptor. Slots stay in a list that only grows and are used again, so a forked child can walk it
// without a lock that a thread which the fork did not copy may have held.
struct Slot {
  std::atomic<int> descriptor{kFree};
  Slot* next = nullptr;
};

std::atomic<Slot*> slots{nullptr};

Slot* keep_in_slot(int descriptor) {
  for (Slot* slot = slots.load(); slot != nullptr; slot = slot->next) {
    int expected = kFree;
    if (slot->descriptor.compare_exchange_strong(expected, descriptor)) return slot;
  }
  Slot* slot = new Slot;
  slot->descriptor = descriptor;
  slot->next = slots.load();
  while (!slots.compare_exchange_weak(slot->next, slot)) {
  }
  return slot;
}

Code code_of(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case ENOSPC:
    case EDQUOT:
      return Code::kFull;
    case EACCES:
    case EEXIST:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return Code::kRefused;
    default:
      return Code::kIo;
  }
}

Status failed_call(const char* call, const std::string& path, int error) {
  return {code_of(error), std::string(call) + " of " + path +
                              " failed: " + std::error_code(error, std::generic_category()).message() +
                              " (errno " + std::to_string(error) + ")"};
}

Status failed_call_at(const char* call, const std::string& path, uint64_t offset, int error) {
  Status status = failed_call(call, path, error);
  return {status.code(), status.sentence() + " at offset " + std::to_string(offset)};
}

FileStamp stamp_from(const struct stat& info) {
  FileStamp stamp;
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size_bytes = static_cast<uint64_t>(info.st_size);
  stamp.changed_ns = static_cast<int64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + info.st_ctim.tv_nsec;
  return stamp;
}

class PosixFile : public DataFile {
 public:
  PosixFile(std::string path, int descriptor) : path_(std::move(path)), slot_(keep_in_slot(descriptor)) {}

  ~PosixFile() override {
    int descriptor = slot_->descriptor.load();
    if (descriptor < 0) return;
    // Freed before the close: a child forked in between keeps a copy of a file of ours, which is harmless;
    // the other way round it would close a number that may be the host's by then.
    slot_->descriptor.store(kFree);
    ::close(descriptor);
  }

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      ssize_t n =
          ::pread(descriptor(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure_at("pread", offset + done);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status write(uint64_t offset, ByteView bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      ssize_t n =
          ::pwrite(descriptor(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure_at("pwrite", offset + done);
      done += static_cast<size_t>(n);
    }
    return Status::ok();
  }

  Status truncate(uint64_t size) override {
    while (::ftruncate(descriptor(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return failure("ftruncate");
    }
    return Status::ok();
  }

  Status sync() override {
    // A second fsync after a failed one succeeds although the data is gone: the kernel marked the pages
    // clean.
    if (int error = sync_error_.load(); error != 0) return failed_call("an earlier fsync", path_, error);
    while (::fsync(descriptor()) != 0) {
      if (errno == EINTR) continue;
      sync_error_ = errno;
      return failure("fsync");
    }
    return Status::ok();
  }

  Result<FileStamp> stamp() override {
    struct stat info {};
    if (::fstat(descriptor(), &info) != 0) return failure("fstat");
    return stamp_from(info);
  }

  void forget_cached() override { (void)::posix_fadvise(descriptor(), 0, 0, POSIX_FADV_DONTNEED); }

  [[nodiscard]] bool is_the_parents() const { return descriptor() == kClosedByFork; }

  Status lock(uint64_t offset, uint64_t length, LockKind kind) override {
    struct flock range = range_of(offset, length, kind);
    while (::fcntl(descriptor(), F_OFD_SETLK, &range) != 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EACCES) return failure("fcntl(F_OFD_SETLK)");
      return {Code::kBusy, path_ + " is locked by " + holder(offset, length, kind)};
    }
    return Status::ok();
  }

 private:
  [[nodiscard]] int descriptor() const { return slot_->descriptor.load(std::memory_order_relaxed); }

  Status failure(const char* call) {
    int error = errno;
    if (descriptor() == kClosedByFork) {
      return {Code::kRefused, path_ + " belongs to the process that opened it: a forked child cannot use it"};
    }
    return failed_call(call, path_, error);
  }

  Status failure_at(const char* call, uint64_t offset) {
    int error = errno;
    if (descriptor() == kClosedByFork) return failure(call);
    return failed_call_at(call, path_, offset, error);
  }

  static struct flock range_of(uint64_t offset, uint64_t length, LockKind kind) {
    struct flock range {};
    range.l_type = kind == LockKind::kNone ? F_UNLCK : kind == LockKind::kRead ? F_RDLCK : F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = static_cast<off_t>(offset);
    range.l_len = static_cast<off_t>(length);
    return range;
  }

  // Who is in the way, as far as the kernel tells: nobody is named for another open-file-description lock.
  std::string holder(uint64_t offset, uint64_t length, LockKind kind) {
    struct flock range = range_of(offset, length, kind);
    if (::fcntl(descriptor(), F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK) return "another program";
    if (range.l_pid <= 0) return "another open of the file that does not tell its process id";
    if (range.l_pid == ::getpid())
      return "a connection of this process (pid " + std::to_string(range.l_pid) + ")";
    return "the process with pid " + std::to_string(range.l_pid);
  }

  const std::string path_;
  Slot* const slot_;
  std::atomic<int> sync_error_{0};
};

class PosixFiles : public Files {
 public:
  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override {
    // Ask before opening: a descriptor of a known inode could neither be used nor closed [V-C6].
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) {
      if (auto known = find(info)) return known;
    }
    int descriptor = -1;
    if (Status status = open_descriptor(path, create ? O_CREAT : 0, descriptor); !status) return status;
    auto opened = std::make_shared<PosixFile>(path, descriptor);
    if (::fstat(descriptor, &info) != 0) {
      Status status = failed_call("fstat", path, errno);
      keep_for_ever(opened);
      return status;
    }
    return remember(info, opened);
  }

  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override {
    int descriptor = -1;
    if (Status status = open_descriptor(path, create ? O_CREAT | O_TRUNC : 0, descriptor); !status)
      return status;
    return std::shared_ptr<DataFile>(std::make_shared<PosixFile>(path, descriptor));
  }

  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override {
    const int descriptor = open_retrying(path, O_CREAT | O_EXCL);
    if (descriptor < 0) {
      const int error = errno;
      const bool has_run_out = error == EMFILE || error == ENFILE || error == ENOMEM;
      const Status failure = failed_call("open", path, error);
      return has_run_out ? Status(Code::kFull, failure.sentence()) : failure;
    }
    return std::shared_ptr<DataFile>(std::make_shared<PosixFile>(path, descriptor));
  }

  Result<bool> exists(const std::string& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT) return false;
    return failed_call("stat", path, errno);
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0) return failed_call("statvfs", path, errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return failed_call("opendir", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    int error = errno;
    ::closedir(stream);
    if (error != 0) return failed_call("readdir", directory, error);
    return names;
  }

  Status make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return Status::ok();
    return failed_call("mkdir", path, errno);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return Status::ok();
    return failed_call("rename", from, errno).in("to " + to);
  }

  Status rename_new(const std::string& from, const std::string& to) override {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return Status::ok();
    if (errno != EINVAL && errno != ENOSYS) return failed_call("rename", from, errno).in("to " + to);
    // A file system that cannot do both in one step. A link that leads nowhere is something as well.
    struct stat info {};
    const int error = ::lstat(to.c_str(), &info) == 0 ? EEXIST : errno;
    if (error != ENOENT) return failed_call("rename", from, error).in("to " + to);
    return rename(from, to);
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Status::ok();
    return failed_call("unlink", path, errno);
  }

  Status sync_directory(const std::string& path) override {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failed_call("open", path, errno);
    int result;
    do {
      result = ::fsync(descriptor);
    } while (result != 0 && errno == EINTR);
    int error = errno;
    ::close(descriptor);
    if (result == 0) return Status::ok();
    Status status = failed_call("fsync", path, error);
    return error == EINVAL || error == ENOTSUP ? Status(Code::kUnsupported, status.sentence()) : status;
  }

  void close_after_fork() override {
    for (Slot* slot = slots.load(); slot != nullptr; slot = slot->next) {
      int descriptor = slot->descriptor.load();
      if (descriptor < 0) continue;
      slot->descriptor.store(kClosedByFork);
      ::close(descriptor);
    }
  }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // device, inode

  static int open_retrying(const std::string& path, int flags) {
    int descriptor;
    do {
      descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0644);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor;
  }

  static Status open_descriptor(const std::string& path, int flags, int& descriptor) {
    descriptor = open_retrying(path, flags);
    return descriptor >= 0 ? Status::ok() : failed_call("open", path, errno);
  }

  std::shared_ptr<DataFile> find(const struct stat& info) {
    std::lock_guard<std::mutex> guard(mutex_);
    auto known = databases_.find(Key(info.st_dev, info.st_ino));
    return known == databases_.end() || known->second->is_the_parents() ? nullptr : known->second;
  }

  // If another thread was faster, its descriptor is the one, and this one stays open unused. What a parent
  // had open gives way: a child of a process whose opens all failed may open nodes of its own.
  std::shared_ptr<DataFile> remember(const struct stat& info, std::shared_ptr<PosixFile> opened) {
    std::lock_guard<std::mutex> guard(mutex_);
    auto [known, is_new] = databases_.emplace(Key(info.st_dev, info.st_ino), opened);
    if (!is_new && known->second->is_the_parents()) std::swap(known->second, opened);
    if (!is_new) unused_.push_back(std::move(opened));
    return known->second;
  }

  void keep_for_ever(std::shared_ptr<PosixFile> opened) {
    std::lock_guard<std::mutex> guard(mutex_);
    unused_.push_back(std::move(opened));
  }

  std::mutex mutex_;  // guards databases_ and unused_; no system call is made under it
  std::map<Key, std::shared_ptr<PosixFile>> databases_;
  std::vector<std::shared_ptr<PosixFile>> unused_;
};

}  // namespace

Files& posix_files() {
  static PosixFiles* const files =
      new PosixFiles;  // never destroyed: its locks must hold until the process is gone
  return *files;
}

}  // namespace dqlite::vfs
