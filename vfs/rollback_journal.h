// The checkpoint journal: a genuine SQLite rollback journal that holds the old pages. A private part of
// DatabaseFile.
//
// Whoever opens the database first after a crash, this class or stock sqlite3, rolls a half-copied file back
// with it [A9 i]. The format is SQLite's ("Database File Format", 3. The Rollback Journal; integers there are
// big-endian). What SQLite leaves unused in the header's sector carries a mark (integers little-endian),
// which tells our journal from a stock writer's and adds checksums that are worth the name: SQLite's own sums
// up every 200th byte.
//
//   offset  bytes  field
//        0      8  magic d9 d5 05 f9 20 a1 63 d7 ┐ zeros until all else is on disk: SQLite takes a journal
//        8      4  number of records             ┘ that begins with a zero byte for none
//       12      4  nonce: what each record's sum starts from
//       16      4  pages of the database at the checkpoint to go back to
//       20      4  sector size, 512: the size of this header
//       24      4  page size
//       28      8  the mark "dqliteJ1"
//       36      8  database
//       44      8  base index: the checkpoint to go back to; 0: the file as it was before adoption
//       52      8  next index: the checkpoint that was to be made
//       60      8  checksum of the records: codec::checksum of each, seeded with the one before
//       68      8  checksum of bytes 0..67 as they are when the journal is whole
//      512      -  the records: page number 4, the page as it was in the file, sum 4
//
// Example: the first 28 bytes of a journal of one 4096-byte page of a database of three
//   d9 d5 05 f9 20 a1 63 d7 | 00 00 00 01 | nonce | 00 00 00 03 | 00 00 02 00 | 00 00 10 00
//
// Made and read by one thread.
#pragma once

#include <memory>
#include <string>

#include "codec/bytes.h"
#include "codec/status.h"
#include "vfs/files.h"

namespace dqlite::vfs {

struct JournalMark {
  uint64_t database = 0;
  uint64_t base_index = 0;
  uint64_t next_index = 0;
  uint32_t page_size = 0;
  uint32_t base_page_count = 0;
  uint32_t record_count = 0;
  bool operator==(const JournalMark&) const = default;
};

class JournalWriter {
 public:
  JournalWriter(JournalWriter&&) = default;

  // Creates the file. The caller syncs its directory after `finish` and before it touches the database.
  static Result<JournalWriter> create(Files& files, const std::string& path, const JournalMark& mark);
  // `page` as it is in the file, stamp and all. Exactly `record_count` calls; never the lock-byte page, at
  // whose number SQLite stops reading.
  Status add(uint32_t page_number, ByteView page);
  // Makes the records durable, and only then the header that makes them count.
  Status finish();
  [[nodiscard]] uint64_t size_bytes() const;

 private:
  JournalWriter(std::shared_ptr<DataFile> file, const JournalMark& mark);
  Status flush();

  std::shared_ptr<DataFile> file_;
  JournalMark mark_;
  Bytes buffer_;  // records not yet written
  uint64_t written_;
  uint32_t added_ = 0;
  uint64_t records_checksum_ = 0;
};

enum class JournalState : uint8_t {
  kNone,     // no such file
  kInert,    // empty or without the magic: SQLite puts nothing back from it either
  kWhole,    // ours, and every checksum is right
  kDamaged,  // ours, and some checksum is wrong
  kForeign,  // a stock writer's
};

struct FoundJournal {
  JournalState state = JournalState::kNone;
  JournalMark mark;    // if kWhole
  std::string damage;  // if kDamaged: a sentence
};

// Reads the whole journal.
Result<FoundJournal> inspect_journal(Files& files, const std::string& path);

// Puts the old pages back and syncs the database. `mark` is what inspect_journal found whole. The journal
// stays.
Status roll_back(Files& files, const std::string& path, const JournalMark& mark, DataFile& database);

}  // namespace dqlite::vfs
