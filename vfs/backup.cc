#include "vfs/backup.h"

#include <algorithm>

#include "codec/page.h"
#include "vfs/state_scan.h"

namespace dqlite::vfs {
namespace {

// Synced every so often, so that the log of the node, which may be on the same disk, never waits for much.
constexpr uint64_t kBytesBetweenSyncs = 16 << 20;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A fault of the disk that the backup goes to is none of the node's.
Status not_written(const std::string& path, const Status& reason) {
  if (reason.code() == Code::kFull) {
    return {Code::kFull, "there is no space for the backup " + path + ": " + reason.sentence()};
  }
  return {Code::kRefused, "the backup " + path + " cannot be written: " + reason.sentence()};
}

class BackupFile {
 public:
  BackupFile(Files& files, std::string path)
      : files_(files), path_(std::move(path)), part_(path_ + ".part") {}
  // Without `finish` nothing stays.
  ~BackupFile() {
    if (written_to_.empty()) return;
    file_.reset();
    (void)files_.remove(written_to_);
  }
  BackupFile(const BackupFile&) = delete;
  BackupFile& operator=(const BackupFile&) = delete;

  Status begin() {
    if (Status status = check_names(); !status) return status;
    Result<std::shared_ptr<DataFile>> created = files_.create_new(part_);
    if (!created) return not_written(path_, created.status());
    file_ = std::move(*created);
    written_to_ = part_;
    return Status::ok();
  }

  Status write(uint64_t offset, ByteView bytes) {
    unsynced_ += bytes.size();
    Status status = file_->write(offset, bytes);
    return status ? status : not_written(path_, status);
  }

  Status maybe_sync() {
    if (unsynced_ < kBytesBetweenSyncs) return Status::ok();
    unsynced_ = 0;
    Status status = file_->sync();
    return status ? status : not_written(path_, status);
  }

  Status finish(uint64_t size) {
    Status status = file_->truncate(size);  // pages of zeros at the end were not written
    if (status) status = file_->sync();
    file_
        .reset();  // before others can find it: closing a file drops the locks that this process has on it [V-C6]
    if (status) status = files_.rename_new(part_, path_);
    if (status) written_to_ = path_;
    if (status) status = sync_directory();
    if (!status) return not_written(path_, status);
    written_to_.clear();
    return Status::ok();
  }

 private:
  // Some file systems cannot, and some directories may only be written to. The file is whole and synced all the same.
  Status sync_directory() {
    Status status = files_.sync_directory(directory_of(path_));
    const bool cannot = status.code() == Code::kUnsupported || status.code() == Code::kRefused;
    return cannot ? Status::ok() : status;
  }

  // What lies beside a database belongs to it: stock SQLite would roll a journal back into the new file.
  Status check_names() {
    for (const char* suffix : {"", "-journal", "-wal"}) {
      Result<bool> is_there = files_.exists(path_ + suffix);
      if (!is_there) return not_written(path_, is_there.status());
      if (*is_there) {
        return {Code::kRefused,
                path_ + suffix +
                    " is there already, and a backup replaces nothing: choose another name, or "
                    "remove it first"};
      }
    }
    Result<bool> is_there = files_.exists(part_);
    if (!is_there) return not_written(path_, is_there.status());
    if (!*is_there) return Status::ok();
    return {Code::kRefused,
            part_ +
                " is there already: another backup of this name is being written, or was cut off; "
                "then remove it"};
  }

  Files& files_;
  const std::string path_;
  const std::string part_;
  std::string written_to_;  // the name that goes with this object; empty: none
  std::shared_ptr<DataFile> file_;
  uint64_t unsynced_ = 0;
};

bool is_zero(ByteView page) {
  return std::all_of(page.begin(), page.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

Result<uint64_t> write_backup(Files& files, Database& database, const std::string& path,
                              const std::function<Status()>& pause) {
  BackupFile file(files, path);
  if (Status status = file.begin(); !status) return status;
  const StateScan* begun = nullptr;
  StateScan scan(database, [&](uint32_t number, ByteView page, const Status& fault) -> Status {
    if (!fault) return fault;
    const uint64_t offset = uint64_t{number - 1} * page.size();
    if (number == 1) {
      Bytes stamped(page.begin(), page.end());
      codec::stamp_page1(stamped, codec::stamp_of(begun->mark().index));
      return file.write(offset, stamped);
    }
    return is_zero(page) ? Status::ok() : file.write(offset, page);
  });
  begun = &scan;
  if (Status status = scan.begin(); !status) return status;
  Status status = scan.run([&] {
    Status synced = file.maybe_sync();
    return synced ? pause() : synced;
  });
  if (!status) return status;
  if (scan.checksum() != scan.mark().checksum) {
    return Status(Code::kCorrupt, "the pages of " + database.name() + " add up to " +
                                      std::to_string(scan.checksum()) + " at index " +
                                      std::to_string(scan.mark().index) + ", expected " +
                                      std::to_string(scan.mark().checksum) + "; no backup was written");
  }
  status = file.finish(uint64_t{scan.mark().page_count} * scan.page_size());
  if (!status) return status;
  return scan.mark().index;
}

}  // namespace dqlite::vfs
