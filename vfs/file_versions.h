// The database file as readers of different ages see it.
//
// A checkpoint overwrites pages in place. A reader whose snapshot is older than the checkpoint still needs
// the old content of those pages [V-A2], so each checkpoint state of the file is a `FileVersion` that readers
// pin; before a checkpoint overwrites a page while an older version is pinned, the page's old content is kept
// with that version, in memory or, beyond a limit, in a spill file. A chain leads from each version to the next; whoever
// is pinned keeps the rest of the chain alive, and all of it goes with the last pin. Who reads for long, as a backup
// does, pins nothing and is a `PageKeeper` instead: no checkpoint waits for it, and it may take as long as it likes.
//
// `read` from any thread; `advance` and `replace` from one thread at a time. Has its own mutexes, the innermost
// of the room but for what a keeper has.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "vfs/database_file.h"

namespace dqlite::vfs {

class FileVersion {
 public:
  using Total = std::shared_ptr<std::atomic<uint64_t>>;

  explicit FileVersion(Total kept_total) : kept_total_(std::move(kept_total)) {}
  ~FileVersion();
  FileVersion(const FileVersion&) = delete;
  FileVersion& operator=(const FileVersion&) = delete;

  [[nodiscard]] const CheckpointRecord& record() const { return record_; }

 private:
  friend class FileVersions;
  void forget_kept() {
    kept_total_->fetch_sub(kept_in_memory_);
    kept_in_memory_ = 0;
    kept_.clear();
  }

  Total kept_total_;  // bytes of memory kept by all versions of one file
  CheckpointRecord record_;
  std::shared_ptr<FileVersion> next_;
  std::unordered_map<uint32_t, PageImage> kept_;  // pages that `next_` overwrote
  uint64_t kept_in_memory_ = 0;                   // bytes of them
  bool lost_ = false;                             // replaced as a whole without keeping its pages
};

using PinnedVersion = std::shared_ptr<const FileVersion>;

// Somebody who needs the file as it is now and takes what he still needs of it before it is overwritten.
// Called by the thread that changes the file, which must not be kept waiting.
class PageKeeper {
 public:
  virtual ~PageKeeper() = default;
  [[nodiscard]] virtual bool needs(uint32_t page_number) = 0;
  // The page as it is in the file, canonical; `fault`: what is wrong with it, or ok.
  virtual void keep(uint32_t page_number, ByteView page, const Status& fault) = 0;
  // The file is being replaced by another copy of the database.
  virtual void lose() = 0;
};

class FileVersions {
 public:
  // Of memory for pages that pinned versions need.
  static constexpr uint64_t kMemoryLimit = 64 << 20;

  explicit FileVersions(std::unique_ptr<DatabaseFile> file);

  [[nodiscard]] PinnedVersion current() const;
  // The file beneath, for its record, path and establishment; not for pages.
  [[nodiscard]] DatabaseFile& file() { return *file_; }
  // After `file().establish` or `replace`: the next version has the file's record.
  void record_changed();

  // One page as of `version`, canonical. kBusy ("replaced") if the version was lost to a whole new copy.
  Status read(const FileVersion& version, uint32_t page_number, std::span<uint8_t> out);

  // DatabaseFile::checkpoint, keeping what pinned versions need. `older_pinned`: somebody may read as of the
  // present version or an older one with a snapshot that ends before the checkpoint (decided under the
  // database's mutex).
  Result<CheckpointCost> advance(const CheckpointRecord& next, const std::vector<PageImage>& pages,
                                 bool older_pinned, std::chrono::steady_clock::time_point deadline);

  // DatabaseFile::replace: another copy of the database, with nothing kept for pinned versions, which are
  // lost from the first page on. Until `record_changed` the present version stays the current one.
  using PageReader = std::function<Status(uint32_t page_number, std::span<uint8_t> out)>;
  Result<CheckpointCost> replace(const CheckpointRecord& next, const PageReader& source,
                                 std::chrono::steady_clock::time_point deadline);

  // From now on the keeper is asked about every page before a checkpoint overwrites it. False: another copy of
  // the database is being moved to the file just now.
  bool add_keeper(PageKeeper& keeper);
  // Returns when the keeper is not being called any more.
  void remove_keeper(PageKeeper& keeper);

  // Memory held for pinned versions.
  [[nodiscard]] uint64_t kept_bytes() const { return kept_total_->load(); }

 private:
  // The kept page of `version` or a later one, if an overwrite has begun.
  [[nodiscard]] std::optional<PageImage> find_kept(const FileVersion& version, uint32_t page_number) const;

  // Old content of pages that `next` overwrites or cuts off, with the current version.
  Status keep_old_pages(const CheckpointRecord& next, const std::vector<PageImage>& pages);
  void give_to_keepers(const CheckpointRecord& next, const std::vector<PageImage>& pages);

  // After a failure: is the file what it was before?
  [[nodiscard]] bool is_untouched() const { return file_->failure().is_ok(); }

  // `file_` has reached its next state: the chain follows. Call with the mutex held.
  void move_on();

  std::unique_ptr<DatabaseFile> file_;
  FileVersion::Total kept_total_ = std::make_shared<std::atomic<uint64_t>>(0);
  mutable std::mutex mutex_;  // guards the chain: current_, and next_, kept_, lost_ of every version
  std::shared_ptr<FileVersion> current_;
  std::mutex keeping_;  // guards keepers_, and is held while they are called; before mutex_
  std::vector<PageKeeper*> keepers_;
};

}  // namespace dqlite::vfs
