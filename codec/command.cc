// The layout of a command, version 1. Integers are little-endian.
//
//   u8   version            1. It also stands for what is used inside: XXH3 for hashes, LZ4 for pages [B16]
//   u8   kind               1 CREATE DATABASE, 2 TRANSACTION, 3 CHECKPOINT, 4 PART, 5 CLOSE, 6 ABORT
//
// CREATE DATABASE          u32 page size, u32 length of the name, the name
// CHECKPOINT               nothing more
// TRANSACTION              u16 number of databases (1 or more), then for each, ascending by id:
//
//   u64  database           its id, from 1
//   u64  base index, u64 base term
//   u32  page count         1 or more
//   u64  checksum before, u64 checksum after
//   u32  number of pages, then for each, ascending by number:
//
//     u32  page number      1 to page count
//     u8   form             1 whole, 2 compressed, 3 difference (see page_diff.cc)
//     u64  previous hash    only with form 3
//     u32  length, bytes    whole: a page size, the same for all of this database; compressed: 1 to 65535;
//                           difference: 0 to 65535
//
// A transaction that is too large for one entry:
//
// PART                     u64 set, u32 number of the part (1 or more), then one database as in TRANSACTION, with one
//                          page or more
// CLOSE                    u64 set, u32 number of parts (1 or more), then as TRANSACTION, but without the number of
//                          pages and the pages: it takes effect
// ABORT                    u64 set: it never does
//
// There is exactly one encoding of a command: what `decode` accepts, `encode` gives back byte for byte.
//
// Example: a transaction changed page 2 of database 5, which has three pages; it stands on entry 8 of term 2.
//
//   01 02                     version, TRANSACTION
//   01 00                     one database
//   05 00 00 00 00 00 00 00   its id
//   08 00 00 00 00 00 00 00   base index
//   02 00 00 00 00 00 00 00   base term
//   03 00 00 00               page count
//   11 11 11 11 11 11 11 11   checksum before
//   22 22 22 22 22 22 22 22   checksum after
//   01 00 00 00               one page
//   02 00 00 00               page number
//   03                        difference
//   33 33 33 33 33 33 33 33   previous hash
//   02 00 00 00 aa bb         two bytes
#include "codec/command.h"

#include <string_view>

#include "codec/page.h"

namespace dqlite::codec {

namespace {

constexpr uint8_t kVersion = 1;

enum class Kind : uint8_t {
  kCreateDatabase = 1,
  kTransaction = 2,
  kCheckpoint = 3,
  kPart = 4,
  kClose = 5,
  kAbort = 6
};

constexpr size_t kHeadSize = 1 + 1;
constexpr size_t kChangeHeadSize = 8 + 8 + 8 + 4 + 8 + 8;
constexpr size_t kDatabaseChangeSize = kChangeHeadSize + 4;  // without its pages
constexpr size_t kPageChangeSize = 4 + 1 + 4;                // at least: a difference has 8 more
constexpr size_t kMaxNameSize = 255;                         // what Linux file systems allow

size_t encoded_size(const DatabaseChange& change) {
  size_t size = kDatabaseChangeSize;
  for (const PageChange& page : change.pages) size += kPageChangeSize + 8 + page.bytes.size();
  return size;
}

size_t encoded_size(const Transaction& transaction) {
  size_t size = kHeadSize + 8 + 4 + 2;
  for (const DatabaseChange& change : transaction.changes) size += encoded_size(change);
  return size;
}

void put_head(Writer& writer, Kind kind) {
  writer.u8(kVersion);
  writer.u8(static_cast<uint8_t>(kind));
}

void put_page(Writer& writer, const PageChange& page) {
  writer.u32(page.page_number);
  writer.u8(static_cast<uint8_t>(page.form));
  if (page.form == PageForm::kDifference) writer.u64(page.previous_hash);
  writer.blob(page.bytes);
}

void put_change_head(Writer& writer, const DatabaseChange& change) {
  writer.u64(change.database);
  writer.u64(change.base_index);
  writer.u64(change.base_term);
  writer.u32(change.page_count);
  writer.u64(change.checksum_before);
  writer.u64(change.checksum_after);
}

void put_change(Writer& writer, const DatabaseChange& change) {
  put_change_head(writer, change);
  writer.u32(static_cast<uint32_t>(change.pages.size()));
  for (const PageChange& page : change.pages) put_page(writer, page);
}

void put(Bytes& out, const CreateDatabase& create) {
  Writer writer(out);
  put_head(writer, Kind::kCreateDatabase);
  writer.u32(create.page_size);
  writer.text(create.name);
}

void put(Bytes& out, const Transaction& transaction) {
  out.reserve(encoded_size(transaction));
  Writer writer(out);
  const bool has_parts = transaction.set != 0;
  put_head(writer, has_parts ? Kind::kClose : Kind::kTransaction);
  if (has_parts) {
    writer.u64(transaction.set);
    writer.u32(transaction.part_count);
  }
  writer.u16(static_cast<uint16_t>(transaction.changes.size()));
  for (const DatabaseChange& change : transaction.changes) {
    has_parts ? put_change_head(writer, change) : put_change(writer, change);
  }
}

void put(Bytes& out, const TransactionPart& part) {
  out.reserve(kHeadSize + 8 + 4 + encoded_size(part.change));
  Writer writer(out);
  put_head(writer, Kind::kPart);
  writer.u64(part.set);
  writer.u32(part.number);
  put_change(writer, part.change);
}

void put(Bytes& out, const TransactionAbort& abort) {
  Writer writer(out);
  put_head(writer, Kind::kAbort);
  writer.u64(abort.set);
}

void put(Bytes& out, const Checkpoint&) {
  Writer writer(out);
  put_head(writer, Kind::kCheckpoint);
}

// Reads one command front to back. Every step checks what it read before anything is made of it.
class Decoder {
 public:
  explicit Decoder(ByteView payload) : payload_(payload), reader_(payload) {}

  Result<Command> command() {
    const uint8_t version = reader_.u8();
    const uint8_t kind = reader_.u8();
    if (reader_.failed()) return truncated("the head");
    if (version != kVersion) return unsupported("version", version, "version 1");
    switch (static_cast<Kind>(kind)) {
      case Kind::kCreateDatabase:
        return whole<CreateDatabase>(&Decoder::create_database);
      case Kind::kTransaction:
        return whole<Transaction>(&Decoder::transaction);
      case Kind::kCheckpoint:
        return whole<Checkpoint>(&Decoder::checkpoint);
      case Kind::kPart:
        return whole<TransactionPart>(&Decoder::part);
      case Kind::kClose:
        return whole<Transaction>(&Decoder::close);
      case Kind::kAbort:
        return whole<TransactionAbort>(&Decoder::abort);
    }
    return unsupported("kind", kind, "kinds 1 to 6");
  }

 private:
  // A value of one kind, with nothing left over behind it.
  template <typename Value>
  Result<Command> whole(Status (Decoder::*read)(Value&)) {
    Value value;
    if (Status status = (this->*read)(value); !status) return status;
    if (!reader_.finished())
      return corrupt(std::to_string(reader_.remaining()) + " bytes too many, expected the end");
    return Command(std::move(value));
  }

  Status create_database(CreateDatabase& create) {
    create.page_size = reader_.u32();
    create.name = reader_.text();
    if (reader_.failed()) return truncated("CREATE DATABASE");
    if (!is_page_size(create.page_size)) {
      return corrupt("page size " + std::to_string(create.page_size) +
                     ", expected a power of two from 512 to 65536");
    }
    if (!is_database_name(create.name)) {
      return corrupt(
          "a name of " + std::to_string(create.name.size()) +
          " bytes that no database can have, expected a file name of 1 to 255 bytes without a slash");
    }
    return Status::ok();
  }

  Status transaction(Transaction& transaction) {
    return changes(transaction, kDatabaseChangeSize, &Decoder::database_change);
  }

  Status close(Transaction& transaction) {
    if (Status status = set_and_number(transaction.set, transaction.part_count); !status) return status;
    return changes(transaction, kChangeHeadSize, &Decoder::change_head);
  }

  Status part(TransactionPart& part) {
    if (Status status = set_and_number(part.set, part.number); !status) return status;
    if (Status status = database_change(part.change, 0); !status) return status;
    return part.change.pages.empty() ? corrupt("a part without pages") : Status::ok();
  }

  Status abort(TransactionAbort& abort) {
    abort.set = reader_.u64();
    if (reader_.failed()) return truncated("ABORT");
    return abort.set == 0 ? corrupt("set 0, expected one from 1") : Status::ok();
  }

  Status set_and_number(uint64_t& set, uint32_t& number) {
    set = reader_.u64();
    number = reader_.u32();
    if (reader_.failed()) return truncated("the name of a part");
    if (set == 0 || number == 0) {
      return corrupt("part " + std::to_string(number) + " of set " + std::to_string(set) +
                     ", expected both from 1");
    }
    return Status::ok();
  }

  Status changes(Transaction& transaction, size_t size,
                 Status (Decoder::*read)(DatabaseChange&, DatabaseId)) {
    const uint16_t count = reader_.u16();
    if (reader_.failed()) return truncated("TRANSACTION");
    if (count == 0) return corrupt("a transaction of no database, expected at least one");
    if (count > reader_.remaining() / size) return too_many("databases", count);
    transaction.changes.reserve(count);
    for (uint16_t i = 0; i < count; i++) {
      const DatabaseId last = transaction.changes.empty() ? 0 : transaction.changes.back().database;
      if (Status status = (this->*read)(transaction.changes.emplace_back(), last); !status) return status;
    }
    return Status::ok();
  }

  Status change_head(DatabaseChange& change, DatabaseId last) {
    change.database = reader_.u64();
    change.base_index = reader_.u64();
    change.base_term = reader_.u64();
    change.page_count = reader_.u32();
    change.checksum_before = reader_.u64();
    change.checksum_after = reader_.u64();
    if (reader_.failed()) return truncated("a database's part");
    if (change.database <= last) {
      return corrupt("database " + std::to_string(change.database) + ", expected one above " +
                     std::to_string(last));
    }
    return change.page_count == 0 ? corrupt("page count 0, expected at least one page") : Status::ok();
  }

  Status database_change(DatabaseChange& change, DatabaseId last) {
    if (Status status = change_head(change, last); !status) return status;
    const uint32_t count = reader_.u32();
    if (reader_.failed()) return truncated("a database's part");
    if (count > reader_.remaining() / kPageChangeSize) return too_many("pages", count);
    change.pages.reserve(count);
    uint32_t last_page = 0;
    for (uint32_t i = 0; i < count; i++) {
      PageChange& page = change.pages.emplace_back();
      if (Status status = page_change(page, last_page, change.page_count); !status) return status;
      last_page = page.page_number;
    }
    return check_whole_pages(change);
  }

  Status page_change(PageChange& page, uint32_t last_page, uint32_t page_count) {
    page.page_number = reader_.u32();
    const uint8_t form = reader_.u8();
    if (reader_.failed()) return truncated("a page");
    if (page.page_number <= last_page || page.page_number > page_count) {
      return corrupt("page number " + std::to_string(page.page_number) + ", expected " +
                     std::to_string(uint64_t{last_page} + 1) + " to " + std::to_string(page_count));
    }
    if (form < static_cast<uint8_t>(PageForm::kWhole) || form > static_cast<uint8_t>(PageForm::kDifference)) {
      return unsupported("page form", form, "forms 1 to 3");
    }
    page.form = static_cast<PageForm>(form);
    if (page.form == PageForm::kDifference) page.previous_hash = reader_.u64();
    page.bytes = reader_.blob();
    if (reader_.failed()) return truncated("page " + std::to_string(page.page_number));
    if (!is_length_of(page.form, page.bytes.size())) {
      return corrupt("page " + std::to_string(page.page_number) + " of form " + std::to_string(form) +
                     " has " + std::to_string(page.bytes.size()) + " bytes, which no page size allows");
    }
    return Status::ok();
  }

  static bool is_length_of(PageForm form, size_t size) {
    if (form == PageForm::kWhole) return is_page_size(size);
    return size < kMaxPageSize && (size > 0 || form == PageForm::kDifference);
  }

  // A database has one page size.
  Status check_whole_pages(const DatabaseChange& change) const {
    size_t page_size = 0;
    for (const PageChange& page : change.pages) {
      if (page.form != PageForm::kWhole) continue;
      if (page_size == 0) page_size = page.bytes.size();
      if (page.bytes.size() != page_size) {
        return corrupt("page " + std::to_string(page.page_number) + " of " +
                       std::to_string(page.bytes.size()) + " bytes, expected " + std::to_string(page_size) +
                       " as the whole pages before it");
      }
    }
    return Status::ok();
  }

  Status checkpoint(Checkpoint&) { return Status::ok(); }

  Status corrupt(const std::string& found) const {
    return {Code::kCorrupt, "command of " + std::to_string(payload_.size()) + " bytes, before offset " +
                                std::to_string(reader_.position()) + ": " + found};
  }

  Status truncated(const std::string& part) const { return corrupt("it ends within " + part); }

  Status too_many(const char* things, uint64_t count) const {
    return corrupt(std::to_string(count) + " " + things + " announced, more than the remaining " +
                   std::to_string(reader_.remaining()) + " bytes can hold");
  }

  Status unsupported(const char* thing, unsigned found, const char* known) const {
    return {Code::kUnsupported, "command of " + std::to_string(payload_.size()) + " bytes, before offset " +
                                    std::to_string(reader_.position()) + ": " + thing + " " +
                                    std::to_string(found) + ", this build knows " + known +
                                    "; upgrade this node to the version of the others"};
  }

  ByteView payload_;
  Reader reader_;
};

}  // namespace

bool is_database_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameSize && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

Bytes encode(const Command& command) {
  Bytes out;
  std::visit([&out](const auto& value) { put(out, value); }, command);
  return out;
}

Result<Command> decode(ByteView payload) {
  return Decoder(payload).command();
}

}  // namespace dqlite::codec
