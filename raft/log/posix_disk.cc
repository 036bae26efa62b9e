// The real disk: pread, pwrite, fdatasync, and a directory's fsync for names. See raft/log/disk.h.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "raft/descriptors.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

namespace {

Status failed(const std::string& call, const std::string& path, int error) {
  Code code = Code::kIo;
  if (error == ENOSPC || error == EDQUOT) code = Code::kFull;
  if (error == ENOENT) code = Code::kNotFound;
  if (error == EEXIST) code = Code::kRefused;
  return {code, call + " of " + path + " failed: " + std::strerror(error)};
}

// Leaked on purpose: a file may be closed after the static destructors ran.
Descriptors& open_files() {
  static auto* files = new Descriptors;
  return *files;
}

class PosixFile : public File {
 public:
  PosixFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {
    open_files().add(descriptor_);
  }
  ~PosixFile() override {
    open_files().remove(descriptor_);
    close(descriptor_);
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      ssize_t got =
          pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed_at("reading", offset + done);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  // The system may write less than asked for, for no fault at all: go on with the rest.
  Status write(uint64_t offset, ByteView bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      ssize_t put =
          pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failed_at("writing", offset + done);
      if (put == 0)
        return {Code::kIo,
                "writing " + path_ + " at offset " + std::to_string(offset + done) + " made no progress"};
      done += static_cast<size_t>(put);
    }
    return Status::ok();
  }

  // Not even EINTR is retried: after a failed sync the kernel may have marked the pages clean, and a second
  // one would report success for bytes that are not on the disk (Rebello et al., ATC'20).
  Status sync_data() override {
    return fdatasync(descriptor_) == 0 ? Status::ok() : failed("sync", path_, errno);
  }

  Status truncate(uint64_t size) override {
    return ftruncate(descriptor_, static_cast<off_t>(size)) == 0 ? Status::ok()
                                                                 : failed("truncation", path_, errno);
  }

  Result<uint64_t> size() override {
    struct stat found {};
    if (fstat(descriptor_, &found) != 0) return failed("stat", path_, errno);
    return static_cast<uint64_t>(found.st_size);
  }

 private:
  [[nodiscard]] Status failed_at(const std::string& doing, uint64_t offset) const {
    return failed(doing + " at offset " + std::to_string(offset), path_, errno);
  }

  const std::string path_;
  const int descriptor_;
};

class PosixDisk : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, bool create) override {
    // Nobody but the owner needs the log; the database file beside it keeps the mode that the host gave it.
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0);
    int descriptor = ::open(path.c_str(), flags, 0600);
    if (descriptor < 0) return failed(create ? "creation" : "opening", path, errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(path, descriptor));
  }

  Status make_directory(const std::string& path) override {
    if (mkdir(path.c_str(), 0700) == 0) return Status::ok();
    int error = errno;
    struct stat found {};
    if (error == EEXIST && stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return Status::ok();
    return failed("creation", path, error);
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* stream = opendir(directory.c_str());  // close-on-exec by itself
    if (stream == nullptr) return failed("listing", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
      errno = 0;
    }
    int error = errno;
    closedir(stream);
    if (error != 0) return failed("listing", directory, error);
    return names;
  }

  Status rename(const std::string& from, const std::string& to) override {
    return std::rename(from.c_str(), to.c_str()) == 0 ? Status::ok()
                                                      : failed("renaming to " + to, from, errno);
  }

  Status link(const std::string& path, const std::string& second_name) override {
    return ::link(path.c_str(), second_name.c_str()) == 0
               ? Status::ok()
               : failed("giving the second name " + second_name, path, errno);
  }

  Status remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? Status::ok() : failed("removal", path, errno);
  }

  Status sync_directory(const std::string& path) override {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failed("opening", path, errno);
    Status status = fsync(descriptor) == 0 ? Status::ok() : failed("sync", path, errno);
    close(descriptor);
    return status;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat found {};
    if (stat(path.c_str(), &found) == 0) return true;
    if (errno == ENOENT) return false;
    return failed("stat", path, errno);
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs found {};
    if (statvfs(path.c_str(), &found) != 0) return failed("statvfs", path, errno);
    return static_cast<uint64_t>(found.f_bavail) * found.f_frsize;
  }
};

}  // namespace

Disk& posix_disk() {
  // Leaked on purpose: nodes write until the handlers of the process's exit have stopped them.
  static auto* disk = new PosixDisk;
  return *disk;
}

void close_posix_files_after_fork() {
  open_files().close_all();
}

}  // namespace dqlite::raft
