// Transactions that arrive in parts and have not taken effect yet [A3, B13], and what both these and whole ones decode
// to.
//
// A part is decoded when it is applied, against the state that its transaction stands on, which cannot change before
// its set has ended: the writer holds the turn. So its frames wait here, most of them in a spill file, seen by nobody,
// and the closing entry has little to do. (To read them again from the log at the close would stop all databases for
// as long as decoding takes.) Nothing here is durable: after a restart the log brings the parts again. So neither the
// log's prefix nor a snapshot may pass `floor()` while a set is open.
//
// A set ends with its closing entry, with an abort, and with the first entry of a higher term, since only its own
// leader can finish it; also with a part that is not its next one, and with any other change of one of its databases:
// its writer has given up then. What is left of a set that has ended is passed over, and a closing entry whose parts
// are not all here is found out.
//
// This node's own parts are counted only: the committer has the frames. The applier thread, but for `floor`.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vfs/change_codec.h"
#include "vfs/frame_list.h"
#include "vfs/transaction_limits.h"

namespace dqlite::vfs {

// What a committed entry does to one database.
struct DecodedChange {
  std::vector<PageImage> frames;
  CommitMark mark;  // sequence is the database's to fill in
};

struct LogPoint {
  uint64_t index = 0;
  uint64_t term = 0;
};

class PartStage {
 public:
  // `goes_on`: false when the node has failed or stops, so that nobody needs what waits for space. Any thread.
  PartStage(Files& files, std::string directory, const TransactionLimits& limits,
            std::function<bool()> goes_on)
      : files_(files), directory_(std::move(directory)), limits_(limits), goes_on_(std::move(goes_on)) {}

  // An entry of this term is applied.
  void enter_term(uint64_t term);
  // `before`: the entry before it. `database`: null if the frames are not needed here, because they are this node's
  // own, or in the file already [A5]. Waits if the disk is full, since a node that stopped for want of space would have
  // to be started again by somebody, and stop again; kFull if the node ended meanwhile.
  Status add(const codec::TransactionPart& part, uint64_t index, uint64_t term, LogPoint before,
             Database* database);
  // A whole transaction's change of one of its databases. It is short in the log where little of many pages differs, and
  // may be as large as any here. Waits like `add`.
  Result<DecodedChange> decode(Database& database, const codec::DatabaseChange& change, uint64_t index,
                               uint64_t term);
  // What a closing entry does to one of its databases. kCorrupt: parts are missing, or this node's copy is not the one
  // they stand on.
  Result<DecodedChange> close(Database& database, const codec::Transaction& transaction,
                              const codec::DatabaseChange& change, uint64_t index, uint64_t term);
  void end(uint64_t set);
  // A change of the database took effect, or a part of `but` came.
  void end_sets_of(uint64_t database, uint64_t but = 0);
  void clear();
  [[nodiscard]] bool empty() const { return sets_.empty(); }

  // Any thread: the entry before the first part of any open set.
  [[nodiscard]] std::optional<LogPoint> floor() const;
  // Any thread: of the pages in open sets, as a checkpoint will write them.
  [[nodiscard]] uint64_t size_bytes() const;
  // Any thread: why there is no space for what is to be put aside; empty if nothing waits for it.
  [[nodiscard]] std::string waiting_for() const;

 private:
  struct Change {
    FrameList frames;
    uint64_t checksum = 0;  // of the database with the frames in place
    uint32_t last_page = 0;
  };
  struct Set {
    uint64_t term = 0;
    LogPoint before;
    uint32_t count = 0;                  // parts that came
    uint64_t bytes = 0;                  // of the pages in them
    std::map<uint64_t, Change> changes;  // by database
  };

  Status stage(Change& change, const codec::TransactionPart& part, uint64_t index, Database& database);
  [[nodiscard]] FrameList new_list() const { return {files_, directory_, limits_.memory_bytes}; }
  Status put(FrameList& frames, uint32_t page_number, Bytes page);
  template <typename Condition>
  void end_if(Condition condition);
  void note_open();
  void set_waiting_for(const std::string& reason);

  Files& files_;
  const std::string directory_;
  const TransactionLimits& limits_;
  const std::function<bool()> goes_on_;
  std::map<uint64_t, Set> sets_;  // open, by name
  mutable std::mutex mutex_;      // guards what follows
  std::optional<LogPoint> floor_;
  uint64_t size_bytes_ = 0;
  std::string waiting_for_;
};

}  // namespace dqlite::vfs
