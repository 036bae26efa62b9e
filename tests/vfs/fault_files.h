// A disk in memory that loses power: for tests of what must survive.
//
// A FaultDisk is the machine's disk, a FaultFiles one process on it. What was written and not synced is in
// the cache: every process sees it, and `lose_power` keeps or drops each 512-byte sector and each directory
// entry by a coin. A call can be made to fail, or to be the one at which the machine stops: then it and all
// later calls fail.
//
// A failed sync leaves what the kernel leaves: the cache looks right, the disk holds some of it, and later
// syncs succeed without writing the rest.
//
// One thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "vfs/files.h"

namespace dqlite::vfs {

enum class Fault : uint8_t { kError, kNoSpace, kStop };

class FaultDisk {
 public:
  explicit FaultDisk(uint64_t seed = 1) : random_(seed) {}

  // The `number`th call from now on (from 1) fails in this way.
  void fail_call(uint64_t number, Fault fault);
  void forgive();
  [[nodiscard]] uint64_t calls() const { return calls_; }  // since the last fail_call or forgive
  [[nodiscard]] uint64_t file_syncs() const { return file_syncs_; }
  [[nodiscard]] bool stopped() const { return std::atomic_ref(stopped_).load(); }  // any thread

  // Runs once, in the midst of the next read of a file: what another thread does meanwhile.
  void at_next_read(std::function<void()> action) { at_next_read_ = std::move(action); }

  // All processes end; the cache stays, or goes with the power.
  void kill_processes();
  void lose_power();

  // Past the cache, without a fault: what a test finds and what "somebody else" does.
  [[nodiscard]] std::optional<Bytes> look(const std::string& path) const;
  void put(const std::string& path, Bytes bytes);  // a new file, or other content of the same one
  void erase(const std::string& path);
  [[nodiscard]] std::vector<std::string> paths() const;
  void touch(const std::string& path);  // ctime alone
  // One byte changes by itself, on the disk and in the cache.
  void rot(const std::string& path, uint64_t offset);
  void sync_all();  // nothing is left that could be lost
  void set_changed(const std::string& path, int64_t changed_ns) { entries_.at(path)->changed = changed_ns; }

 private:
  friend class FaultFiles;
  friend class FaultFile;

  struct Change {
    bool is_truncate = false;
    uint64_t offset = 0;  // or the new size
    Bytes bytes;
  };
  struct Lock {
    const void* owner = nullptr;
    uint64_t begin = 0, end = 0;
    LockKind kind = LockKind::kRead;
  };
  struct Inode {
    uint64_t number = 0;
    int64_t changed = 0;
    Bytes cache;
    Bytes durable;
    std::vector<Change> pending;
    std::vector<Lock> locks;
  };
  struct EntryChange {
    std::string directory;
    std::string unlink;
    std::string link;
    std::shared_ptr<Inode> inode;
  };
  using Entries = std::map<std::string, std::shared_ptr<Inode>>;

  // Counts a call: ok, or the failure it has to return. `dies_now`: the call that stops the machine.
  Status step(const std::string& what, bool needs_space, bool& dies_now);
  bool coin() { return (random_() & 1) != 0; }
  std::shared_ptr<Inode> create(const std::string& path);
  void apply(const EntryChange& change);
  void settle(Inode& inode);  // keeps or drops each pending sector
  static void apply(const Change& change, Bytes& content);

  std::mt19937_64 random_;
  uint64_t calls_ = 0;
  uint64_t file_syncs_ = 0;
  uint64_t failing_call_ = 0;
  Fault fault_ = Fault::kError;
  mutable bool stopped_ = false;
  std::function<void()> at_next_read_;
  uint64_t epoch_ = 0;  // processes of an earlier one are gone
  uint64_t next_inode_ = 1;
  int64_t clock_ = 1;
  Entries entries_;
  Entries durable_entries_;
  std::vector<EntryChange> pending_entries_;
};

class FaultFiles : public Files {
 public:
  explicit FaultFiles(FaultDisk& disk) : disk_(disk), epoch_(disk.epoch_) {}

  Result<std::shared_ptr<DataFile>> open_database(const std::string& path, bool create) override;
  Result<std::shared_ptr<DataFile>> open(const std::string& path, bool create) override;
  Result<std::shared_ptr<DataFile>> create_new(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status make_directory(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status rename_new(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string&) override { return UINT64_MAX; }
  void close_after_fork() override {}

 private:
  Status step(const std::string& what, bool needs_space, bool& dies_now);
  void change_entry(FaultDisk::EntryChange change);

  FaultDisk& disk_;
  const uint64_t epoch_;
  std::map<uint64_t, std::shared_ptr<DataFile>> databases_;  // by inode
};

}  // namespace dqlite::vfs
