// A disk in memory that keeps apart what was written and what would survive a power failure, and fails on
// demand.
//
// Model: a write goes to the cache and makes its sectors dirty; a sync makes dirty sectors and the length
// durable. A power failure keeps of each dirty sector the old bytes, the new ones, or a mixture cut at any
// byte. Creating, renaming and removing names is durable only after the directory's sync; of unsynced ones
// any subset may survive. A FAILED sync leaves the pages clean but not durable, so that a second sync makes
// nothing of them durable (as Linux does). Counted, and hit by `crash_at` and `fail_call`, are the calls that
// change something; reads fail by place. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "raft/log/disk.h"

namespace dqlite::raft::test {

class FaultDisk : public Disk {
 public:
  FaultDisk() = default;
  ~FaultDisk() override = default;
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // --- Disk ---
  Result<std::unique_ptr<File>> open(const std::string& path, bool create) override;
  Status make_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status link(const std::string& path, const std::string& second_name) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;

  // --- failures to come; calls are counted from 1, beginning with the next one ---
  // The power fails in that call: it may have had any part of its effect, and nothing works until
  // `power_loss`.
  void crash_at(uint64_t call);
  // That call alone fails. A write leaves half of its bytes, a sync nothing durable, other calls no effect.
  void fail_call(uint64_t call, Code code);
  // No more than that many bytes in all files: a write beyond fails with kFull, half done.
  void set_space(uint64_t bytes);
  // Reads that touch these bytes fail.
  void fail_reads(const std::string& path, uint64_t offset, uint64_t length);
  // A disk that lies: from now on writes to this file are forgotten, and succeed.
  void lose_writes(const std::string& path);

  // --- the end of a process; every open file is dead afterwards ---
  enum class Survival : uint8_t { kNothing, kEverything, kRandom };  // of what was not synced
  void power_loss(Survival survival, uint64_t seed = 0);
  void kill();  // kill -9: the page cache survives, and is still not durable

  // --- rot: changes the medium and the cache alike ---
  void flip_bit(const std::string& path, uint64_t offset, int bit = 0);
  void put(const std::string& path, uint64_t offset, ByteView bytes);
  void resize(const std::string& path, uint64_t size);
  void drop_file(const std::string& path);

  // --- looking ---
  [[nodiscard]] Bytes content(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> files() const;  // paths, sorted
  [[nodiscard]] uint64_t calls() const;                  // so far
  [[nodiscard]] uint64_t sync_calls() const;
  [[nodiscard]] size_t largest_read() const;
  [[nodiscard]] uint64_t used() const;  // bytes in all files
  [[nodiscard]] bool is_off() const;    // the power failed, and `power_loss` has not come yet
  void forget_counts();
  [[nodiscard]] std::unique_ptr<FaultDisk> clone() const;

 private:
  struct Inode {
    bool is_directory = false;
    Bytes cached;
    Bytes durable;
    std::set<uint64_t> dirty;     // sectors
    bool length_changed = false;  // since the last sync
    bool forgets_writes = false;
    std::vector<std::pair<uint64_t, uint64_t>> unreadable;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct NameChange {
    std::string directory;
    std::string from;              // removed name, or empty
    std::string to;                // added name, or empty
    std::shared_ptr<Inode> inode;  // of a created name
  };
  enum class Fate : uint8_t { kNormal, kFail, kCrash, kDead };
  class FaultFile;
  friend class FaultFile;

  Fate next_call();
  [[nodiscard]] Status failure(Fate fate, const std::string& what) const;
  Status change_names(const std::string& what, NameChange change);
  static void apply(const NameChange& change, Names& names);
  static void make_durable(Inode& inode);
  static void survive(Inode& inode, Survival survival, uint64_t& random);
  [[nodiscard]] uint64_t used_space() const;
  [[nodiscard]] Inode& find(const std::string& path) const;

  mutable std::mutex mutex_;  // guards everything
  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_;
  uint64_t generation_ = 0;  // of open files
  uint64_t calls_ = 0;
  uint64_t sync_calls_ = 0;
  uint64_t crash_call_ = 0;
  uint64_t fail_call_ = 0;
  Code fail_code_ = Code::kIo;
  uint64_t space_ = UINT64_MAX;
  size_t largest_read_ = 0;
  bool crashed_ = false;
};

}  // namespace dqlite::raft::test
