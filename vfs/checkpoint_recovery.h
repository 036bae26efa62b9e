// Which checkpoint a database file is at, from what a crash left: the decision, as a table. Pure.
//
// Three things are looked at: the journal beside the file, how many checkpoint records there are, and which
// of them the file's header belongs to. The order of a checkpoint (database_file.h) allows some combinations;
// the others mean that something else was at the file, and nothing is changed then.
#pragma once

#include <cstdint>

namespace dqlite::vfs {

enum class JournalLeft : uint8_t {
  kNone,
  kInert,    // its header was never finished, or a stock connection that keeps its journals zeroed it
  kWhole,    // goes back to the older (or only) record
  kDamaged,  // ours, and fails its checksums
  kStale,    // ours and whole, but goes back to a checkpoint that no record knows [B12]
  kForeign,  // a stock writer's [A9 iii, V-C8]
};

enum class RecordsLeft : uint8_t { kOne, kTwo };

enum class HeaderLeft : uint8_t {
  kOlder,  // as the older (or only) record says
  kNewer,  // as the newer of two says
  kBlank,  // one record is of an empty file, and on the way from or back to the other page 1 is not there yet
  kOther,
};

enum class Recovery : uint8_t {
  kKeepOlder,
  kKeepNewer,
  kRollBack,      // with the journal, to the older
  kCompareOlder,  // keep it only if the whole file has its checksum
  kCompareNewer,
  kRefuseJournal,  // a foreign journal
  kRefuseChange,   // a foreign change
  kGiveUp,         // the file cannot be made whole here [A5]
};

Recovery decide_recovery(JournalLeft journal, RecordsLeft records, HeaderLeft header);

}  // namespace dqlite::vfs
