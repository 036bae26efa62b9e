// The committed frames of one database that are newer than its file: SQLite's WAL, in memory, but for the pages of
// large transactions, which are in spill files (vfs/page.h).
//
// Frames are numbered by a sequence that only grows in the life of the process; a connection's own frame
// numbers are this sequence less an offset of its own. What a page is at the newest commit is defined here,
// in one place, for encoding, decoding, hashing and checkpoints [A4]: a commit of N pages removes all
// versions of pages above N, and a page that was not written since it came into range is zeros and has no
// previous version. Guarded by the database's mutex.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "vfs/page.h"

namespace dqlite::vfs {

// The state of a database right after one of its entries.
struct CommitMark {
  uint64_t sequence = 0;  // its last frame
  uint64_t index = 0;     // the log entry
  uint64_t term = 0;
  uint32_t page_count = 0;
  uint64_t checksum = 0;  // rolling
};

class MemoryWal {
 public:
  enum class Place : uint8_t {
    kFrame,  // `page` is it
    kZeros,  // in range, not written since
    kFile,   // as of the checkpoint
    kNone,   // above the end
  };
  struct Found {
    Place place = Place::kNone;
    PageImage page;
  };

  // Empty, behind a checkpoint: `base` is the file's state and its sequence the frames the file holds.
  void reset(const CommitMark& base);

  // The frames of one transaction, in the order SQLite wrote them (a page may come twice: the later counts).
  // One that changes the size of the database has a frame of page 1, where the size stands.
  void append(const std::vector<PageImage>& frames, CommitMark mark);

  [[nodiscard]] const CommitMark& newest() const { return marks_.back(); }
  // The last commit whose entry is at or below `index`; the base if there is none.
  [[nodiscard]] const CommitMark& newest_at(uint64_t index) const;
  // Frames at or below are in the file.
  [[nodiscard]] uint64_t checkpointed() const { return marks_.front().sequence; }
  [[nodiscard]] uint64_t frame_count() const { return newest().sequence - checkpointed(); }
  // In memory and in spill files.
  [[nodiscard]] uint64_t size_bytes() const { return frame_bytes_; }
  // Of the frames that no checkpoint has moved to the file yet.
  [[nodiscard]] uint64_t pending_bytes() const {
    return frames_.empty() ? 0 : frame_count() * frames_.back().image.size();
  }

  // False for frames that were released, or went with a `reset`.
  [[nodiscard]] bool holds(uint64_t sequence) const {
    return sequence >= first_ && sequence < first_ + frames_.size();
  }
  [[nodiscard]] const PageImage& frame(uint64_t sequence) const { return frames_[sequence - first_].image; }
  // A page at the newest commit.
  [[nodiscard]] Found find(uint32_t page_number) const;
  // What a checkpoint at `mark` writes: pages that differ from the file's, ascending; their content is not read.
  [[nodiscard]] std::vector<PageImage> changes_until(const CommitMark& mark) const;

  // The file is now at `mark`. Frames stay readable until `release`.
  void checkpointed_at(const CommitMark& mark);
  // Nobody reads frames at or below `sequence` any more; those the file does not hold stay all the same.
  void release(uint64_t sequence);

 private:
  struct Frame {
    PageImage image;
    bool above_end =
        false;  // its own commit ended below it (written by a spill, then cut off): nobody's version
  };

  // Is a frame at `sequence` still the page's version at `until`, or did a smaller commit cut it off?
  [[nodiscard]] bool cut_off(uint32_t page_number, uint64_t sequence, uint64_t until) const;

  std::deque<Frame> frames_;  // frames_[0] has the number first_
  uint64_t first_ = 1;
  uint64_t frame_bytes_ = 0;
  std::deque<CommitMark> marks_;  // marks_.front() is the file's state
  std::unordered_map<uint32_t, uint64_t> newest_frame_;
  // Commits that made the database smaller than some page before them, newer than the checkpoint.
  std::vector<CommitMark> shrinks_;
};

}  // namespace dqlite::vfs
