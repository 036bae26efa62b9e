#include "raft/log/directory_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace dqlite::raft {

namespace {

Status failed(const std::string& call, const std::string& path) {
  return {Code::kIo, call + " of " + path + " failed: " + std::strerror(errno)};
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// 0: the file names nobody (the owner has not written yet).
pid_t read_owner(int descriptor) {
  char text[24] = {};
  ssize_t got = pread(descriptor, text, sizeof(text) - 1, 0);
  pid_t owner = 0;
  if (got > 0) std::from_chars(text, text + got, owner);
  return owner;
}

Status held_by_other(const std::string& directory, pid_t owner) {
  std::string what = "the node directory " + directory + " is in use by ";
  if (owner <= 0) return {Code::kBusy, what + "another process"};
  std::string pid = std::to_string(owner);
  if (owner == getpid()) return {Code::kBusy, what + "this process already (pid " + pid + ")"};
  if (kill(owner, 0) != 0 && errno == ESRCH) {
    return {Code::kBusy, what + "a child of dead pid " + pid + ", which inherited its lock: end that child"};
  }
  return {Code::kBusy, what + "pid " + pid};
}

Status write_owner(int descriptor, const std::string& path) {
  std::string text = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0) return failed("truncation", path);
  if (pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return failed("writing", path);
  }
  return Status::ok();
}

}  // namespace

DirectoryLock::~DirectoryLock() {
  if (descriptor_ < 0) return;
  struct flock unlock = whole_file(F_UNLCK);
  fcntl(descriptor_, F_OFD_SETLK, &unlock);  // closing alone would leave it with a forked child
  close(descriptor_);
}

Status DirectoryLock::take(const std::string& directory) {
  std::string path = directory + "/lock";
  int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return failed("opening", path);
  struct flock lock = whole_file(F_WRLCK);
  Status status;
  if (fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
    bool held = errno == EAGAIN || errno == EACCES;
    status = held ? held_by_other(directory, read_owner(descriptor)) : failed("locking", path);
  } else {
    status = write_owner(descriptor, path);
  }
  if (!status) {
    close(descriptor);  // of another open file description: whoever holds the lock keeps it
    return status;
  }
  descriptor_ = descriptor;
  return status;
}

void DirectoryLock::close_after_fork() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

}  // namespace dqlite::raft
