// Is this node's copy of a database what the cluster agreed on? And how members tell each other.
//
// Every transaction's entry carries the rolling checksum of the whole database after it, and a node applies it only
// if its own is the same (vfs/change_codec.h). So the checksum that a node has at a log index is the cluster's, and
// what is left to find out is whether its pages still give it: `verify_copy` reads them all again, those of the file
// from the disk. Each member does so at an index of its own, while writes go on. Members at the same index are
// compared with each other beside.
//
// A question to a member (raft's Node::inquire; integers little-endian): u16 version (1), u8 kind; 1: verify all
// copies; 2: a page, behind it u64 database, u32 page number, u64 hash. The answer to 2: the page of that hash, canonical,
// or kNotFound. The answer to 1: u16 version (1), u32 count, then per database u64 id, text name, u64 index, u64 term, u32
// pages, u64 expected checksum, u64 found, u32 pages that are wrong, u8 code, text sentence.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vfs/database.h"

namespace dqlite::vfs {

struct CopyFinding {
  uint64_t database = 0;  // id
  std::string name;
  uint64_t index = 0;  // the newest entry of the database that is in the state that was read
  uint64_t term = 0;
  uint32_t pages = 0;
  uint64_t expected = 0;
  uint64_t found = 0;
  uint32_t wrong_pages = 0;  // of the file, as far as they can be told
  // kCorrupt: the copy differs, and where; another failure: it could not be read to the end.
  Status status;
};

// `pause` is called every so many pages; a failure of it ends the reading.
CopyFinding verify_copy(Database& database, const std::function<Status()>& pause);

// Findings of several members: where two of them have different checksums at the same index, those that are not
// the majority's become kCorrupt; all of them if there is none.
void compare_copies(const std::vector<CopyFinding*>& findings);

// A version of a page, named by its content, so that any member's will do.
struct PageName {
  uint64_t database = 0;
  uint32_t page_number = 0;
  uint64_t hash = 0;
};

struct Question {
  bool is_verify = true;
  PageName page{};  // of the other kind
};

Bytes encode_verify_question();
Bytes encode_page_question(const PageName& page);
// kUnsupported: of a version or kind that this build does not know.
Result<Question> decode_question(ByteView question);
Bytes encode_findings(const std::vector<CopyFinding>& findings);
Result<std::vector<CopyFinding>> decode_findings(ByteView answer);

}  // namespace dqlite::vfs
