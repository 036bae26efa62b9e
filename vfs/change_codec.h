// Between the frames of a transaction and the change that travels in a log entry.
//
// Encoding runs on the committing thread, which holds the database's write turn; decoding on the applier thread. Both
// look previous versions up through Database::newest_page and nowhere else [A4], and both compute the rolling checksum
// of the whole database, so that a node that differs finds out before it publishes.
#pragma once

#include <functional>
#include <vector>

#include "codec/command.h"
#include "vfs/database.h"

namespace dqlite::vfs {

struct EncodedChange {
  codec::DatabaseChange change;  // its pages' views point into `bytes`
  Bytes bytes;
};

// Encodes the change of one database, at once or in parts. Every page comes once, as its last frame has it, and none
// that is as it was. Decodes its own result before it gives it away, so that a fault here never becomes an entry for
// all [A6].
class ChangeEncoder {
 public:
  // `frames`: as SQLite wrote them; the last of a page counts, those above `page_count` do not. `base`: the state they
  // stand on. All of them outlive the encoder.
  ChangeEncoder(Database& database, const CommittedView& base, const std::vector<PageImage>& frames,
                uint32_t page_count);

  // The next pages, ascending, until they take `part_bytes` in an entry or more; its checksums are those of the
  // database with the pages so far.
  Result<EncodedChange> next(size_t part_bytes);
  [[nodiscard]] bool is_done() const { return position_ == order_.size(); }
  // After all pages: the whole change, without them.
  Result<codec::DatabaseChange> close();

 private:
  Status add(const PageImage& frame, EncodedChange& encoded, size_t& end);
  [[nodiscard]] codec::DatabaseChange head(uint64_t checksum_before) const;

  Database& database_;
  const CommittedView& base_;
  const std::vector<PageImage>& frames_;
  const uint32_t page_count_;
  std::vector<uint32_t> order_;  // the positions of the frames that count, by page
  size_t position_ = 0;
  uint64_t checksum_;
};

// Each of these is kCorrupt if this node's copy is not the one the change stands on: the sentence says which of the
// two is wrong where that can be told.
//
// Does the change stand on `base`, the published state, and `checksum` lie before it?
Status check_base(Database& database, const CommittedView& base, const codec::DatabaseChange& change,
                  uint64_t index, uint64_t checksum);
// Decodes the pages of a change that stands on the published state; `checksum` goes along from that before to that
// after.
using AddPage = std::function<Status(uint32_t page_number, Bytes page)>;
Status decode_pages(Database& database, const codec::DatabaseChange& change, uint64_t index,
                    uint64_t& checksum, const AddPage& add);
Status check_checksum_after(Database& database, const codec::DatabaseChange& change, uint64_t index,
                            uint64_t checksum);
// The change as a whole, of whose pages `checksum` is the result.
Result<CommitMark> check_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                uint64_t term, uint64_t checksum);
// Both.
Result<CommitMark> decode_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                 uint64_t term, const AddPage& add);

}  // namespace dqlite::vfs
