// Between the frames of a transaction and the change that travels in a log entry.
//
// `encode_change` runs on the committing thread, which holds the database's write turn; `decode_change` on
// the applier thread. Both look previous versions up through Database::newest_page and nowhere else [A4], and
// both compute the rolling checksum of the whole database, so that a node that differs finds out before it
// publishes.
#pragma once

#include <vector>

#include "codec/command.h"
#include "vfs/database.h"

namespace dqlite::vfs {

struct EncodedChange {
  codec::DatabaseChange change;  // its pages' views point into `bytes`
  Bytes bytes;
};

// `frames`: as SQLite wrote them; the last of a page counts, those above `page_count` do not. `base`: the
// state they stand on. Decodes its own result before it returns, so that a fault here never becomes an entry
// for all [A6].
Result<EncodedChange> encode_change(Database& database, const CommittedView& base,
                                    const std::vector<PageImage>& frames, uint32_t page_count);

struct DecodedChange {
  std::vector<PageImage> frames;
  CommitMark mark;  // sequence is the database's to fill in
};

// kCorrupt if this node's copy is not the one the change stands on: the sentence says which of the two is
// wrong where that can be told.
Result<DecodedChange> decode_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                    uint64_t term);

}  // namespace dqlite::vfs
