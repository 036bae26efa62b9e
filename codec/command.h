// What a replicated log entry says to the databases of a node.
//
// A command is the payload of a Raft entry of kind `kCommand`: one byte of format version, one byte of kind,
// then the kind's own fields (layouts with a worked example in command.cc). A kind or version this build does
// not know is `kUnsupported`: the node stops and says so, it never skips. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "codec/bytes.h"
#include "codec/page_diff.h"
#include "codec/status.h"

namespace dqlite::codec {

// A database is named by the log index of its CREATE entry: a name can come again, an id cannot.
using DatabaseId = uint64_t;

struct CreateDatabase {
  std::string name;  // the file's name within the node's directory: see is_database_name
  uint32_t page_size = 0;
};

struct PageChange {
  uint32_t page_number = 0;  // from 1
  PageForm form = PageForm::kWhole;
  uint64_t previous_hash = 0;  // page_hash of the version a kDifference stands on, else 0
  ByteView bytes;              // into the command's own payload
};

// The part of a transaction that one database takes.
struct DatabaseChange {
  DatabaseId database = 0;
  uint64_t base_index = 0;  // the database's previous entry; the first transaction stands on its CREATE
  uint64_t base_term = 0;
  uint32_t page_count = 0;       // the database's size after it, in pages
  uint64_t checksum_before = 0;  // rolling checksum of the whole database
  uint64_t checksum_after = 0;
  std::vector<PageChange> pages;  // ascending by number, each number once, none above page_count
};

// All databases of one COMMIT: all of them take effect, or none does.
struct Transaction {
  std::vector<DatabaseChange> changes;  // ascending by database, each once, at least one
  // A transaction that is too large for one entry has sent its pages before, and takes effect with this one: the set
  // of its parts, from 1, and how many they are. 0: it has no parts. With parts, `changes` has no pages.
  uint64_t set = 0;
  uint32_t part_count = 0;
};

// Pages of a transaction that takes effect later, or never. A set has one leader's name for it and ends with its
// Transaction, a TransactionAbort, or the first entry of a higher term: only its own leader can finish it [A3].
struct TransactionPart {
  uint64_t set = 0;
  uint32_t number = 0;  // from 1, without a gap, over all databases of the set
  // At least one page, all above those of the database's part before. The checksums are those of the whole database
  // with the pages of the parts so far in place; the base and the page count are the transaction's.
  DatabaseChange change;
};

// The set never takes effect.
struct TransactionAbort {
  uint64_t set = 0;
};

// Asks every node to carry out a checkpoint at its next chance. Changes no state.
struct Checkpoint {};

using Command = std::variant<CreateDatabase, Transaction, Checkpoint, TransactionPart, TransactionAbort>;

// What `decode` accepts as a name: 1 to 255 bytes, no slash, no NUL, neither "." nor "..". Ask before
// proposing one.
bool is_database_name(std::string_view name);

// `encode` trusts its caller; `decode` trusts nobody, and its views point into `payload`.
Bytes encode(const Command& command);
Result<Command> decode(ByteView payload);

}  // namespace dqlite::codec
