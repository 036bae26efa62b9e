// One file of the log: a header of 4096 bytes, then records, zeros up to its fixed size.
//
// A segment is written whole (header and zeros) and synced under the name `spare-<n>` before it may take its
// first record, then renamed to `log-<sequence>-<first index>` and the directory synced: so a bad header
// under `spare-` means nothing, and one under a live name is damage [B12]. Zeros written ahead, not only
// allocated: the sync of a record then changes no metadata (a third faster, measured). The header shares no
// block with a record and is never written again.
//
//   offset  bytes  field
//        0      8  magic "dqliteLG"
//        8      4  format version (1)
//       12      4  checksum of bytes 16..63
//       16      8  salt: seeds every checksum of the segment's records, so that bytes of another never pass
//       24      8  size of the file
//       32     16  cluster id, high and low half; zeros: made before the node belonged to a cluster
//       48      -  zeros
//
// Sequence number and first index are in the name, for people; the truth about them is in the segment's first
// record. A Segment is immutable once it is live, but for the content of its file; shared between threads,
// and alive (with its descriptor) while anybody reads from it, also after its name was removed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/types.h"
#include "raft/log/disk.h"
#include "raft/log/record.h"

namespace dqlite::raft {

constexpr uint64_t kSegmentHeaderBytes = 4096;
constexpr uint64_t kMinSegmentBytes = 2 * kSegmentHeaderBytes;

struct SegmentHeader {
  uint64_t salt = 0;
  uint64_t size_bytes = 0;
  uint64_t cluster_id_high = 0;
  uint64_t cluster_id_low = 0;
};

struct Segment {
  std::string path;
  SegmentHeader header;
  uint64_t sequence = 0;     // 0: a spare
  uint64_t first_batch = 0;  // the number of the batch that begins it, or will
  std::unique_ptr<File> file;
};

// Room for one record of that payload in a segment of its own size.
constexpr uint64_t segment_bytes_for(uint64_t payload_length) {
  uint64_t needed = kSegmentHeaderBytes + kBeginBytes + record_bytes(payload_length) + kFooterBytes;
  return (needed + kSegmentHeaderBytes - 1) / kSegmentHeaderBytes * kSegmentHeaderBytes;
}

// Writes header and zeros and syncs. After a failure (kFull: no space) the file is gone again.
Result<std::unique_ptr<Segment>> create_segment(Disk& disk, const std::string& path,
                                                const SegmentHeader& header);

// Reads and checks the header of a live segment. kCorrupt: header or size of the file is not what was
// written. kRefused: of another cluster, and of none of the `former` ones.
Result<std::unique_ptr<Segment>> open_segment(Disk& disk, const std::string& path, uint64_t cluster_id_high,
                                              uint64_t cluster_id_low,
                                              const std::vector<ClusterId>& former = {});

// The header alone, whatever cluster it is of.
Result<SegmentHeader> read_segment_header(File& file, const std::string& path);

struct SegmentName {
  uint64_t sequence = 0;
  Index first = 0;
};

std::string segment_name(const SegmentName& name);
std::optional<SegmentName> parse_segment_name(const std::string& name);
std::string spare_name(uint64_t number);
bool is_spare_name(const std::string& name);

}  // namespace dqlite::raft
