// A log on a faulty disk, with the verbs of the domain: write, vote, truncate, kill, lose power, let a record
// rot.
//
// Payloads are a function of (index, term, size), so that a reader knows whether bytes are those of their
// entry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "raft/log/log.h"
#include "raft/log/record.h"
#include "tests/raft/log/fault_disk.h"

namespace dqlite::raft::test {

inline constexpr const char* kDirectory = "node";

SharedBytes make_payload(Index index, Term term, size_t size);
Entry make_entry(Index index, Term term, size_t size);

// Everything that a log promises to keep, as one line:
//   "start 0/0 | vote 3/1 | 1@1#100 2@1#100"    (index@term#payload bytes)
// Entries are read back; a wrong payload or a failed read becomes part of the text.
std::string describe(Log& log);

// A record as a test finds it in the files.
struct FoundRecord {
  std::string path;
  uint64_t offset = 0;
  uint64_t salt = 0;
  RecordHeader header;
};

class LogFixture {
 public:
  LogFixture();

  // --- life ---
  Status try_open();
  bool open();  // and it works; else `failure` says why
  bool reopen_after_kill();
  bool reopen_after_power_loss(FaultDisk::Survival survival = FaultDisk::Survival::kNothing,
                               uint64_t seed = 0);
  void close() { log.reset(); }

  // --- work; each is one append ---
  Status write(int entries, size_t size = 100, Index commit = 0);
  Status replace_from(Index from, int entries, size_t size = 100);  // truncation and new entries of `term`
  Status write_configuration(const Configuration& configuration);
  Status vote(Term new_term, NodeId candidate);
  Status compact_to(Index index);
  Status reset_to(EntryId last);

  // --- looking ---
  std::string text() { return describe(*log); }
  [[nodiscard]] std::vector<FoundRecord> records()
      const;  // of all segments, oldest first; payloads are not checked
  [[nodiscard]] FoundRecord record_of(Index index) const;   // the last one of that entry
  [[nodiscard]] std::vector<std::string> segments() const;  // paths, oldest first

  // --- harm ---
  void rot(const FoundRecord& record, uint64_t offset_in_record) {
    disk.flip_bit(record.path, record.offset + offset_in_record);
  }
  // As if the disk had never got this record's bytes.
  void lose(const FoundRecord& record);

  FaultDisk disk;
  LogOptions options;
  std::unique_ptr<Log> log;
  Term term = 1;
  std::string failure;
};

}  // namespace dqlite::raft::test
