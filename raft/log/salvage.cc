#include "raft/log/salvage.h"

#include <algorithm>
#include <vector>

#include "raft/log/segment_reader.h"

namespace dqlite::raft {

namespace {

Result<std::string> free_name_aside(Disk& disk, const std::string& directory, const std::string& name) {
  const std::string first = directory + "/damaged-" + name;
  std::string aside = first;
  for (int attempt = 2;; attempt++) {
    Result<bool> taken = disk.exists(aside);
    if (!taken) return taken.status();
    if (!*taken) return aside;
    aside = first;
    aside.append("-").append(std::to_string(attempt));
  }
}

Status rename_aside(Disk& disk, const std::string& directory, const std::string& name) {
  Result<std::string> aside = free_name_aside(disk, directory, name);
  return aside ? disk.rename(directory + "/" + name, *aside) : aside.status();
}

// With the salt of the original, so that the records stay valid; zeros behind them.
Status copy_readable(Disk& disk, const ReadablePart& readable, const std::string& path) {
  Result<std::unique_ptr<Segment>> copy = create_segment(disk, path, readable.segment->header);
  if (!copy) return copy.status();
  Bytes piece;
  for (uint64_t at = kSegmentHeaderBytes; at < readable.end; at += piece.size()) {
    piece.resize(std::min<uint64_t>(SegmentReader::kBufferBytes, readable.end - at));
    Result<size_t> got = readable.segment->file->read(at, piece);
    if (!got || *got != piece.size()) {
      return {Code::kIo, readable.segment->path + ", offset " + std::to_string(at) +
                             ": read once, but not a second time"};
    }
    if (Status status = (*copy)->file->write(at, piece); !status) return status;
  }
  return (*copy)->file->sync_data();
}

}  // namespace

Status put_damage_aside(Disk& disk, const std::string& directory, const ReadablePart& readable) {
  Result<std::vector<std::string>> names = disk.list(directory);
  if (!names) return names.status();
  // From the newest on, so that what stays is a log whose end is missing, never one with a gap.
  std::sort(names->begin(), names->end(), std::greater<>());
  const std::string prefix = directory + "/";
  for (const std::string& name : *names) {
    std::optional<SegmentName> parsed = parse_segment_name(name);
    Status moved;
    if (is_spare_name(name) || (parsed && parsed->sequence < readable.first_segment)) {
      moved = disk.remove(prefix + name);
    } else if (parsed && parsed->sequence > readable.last_segment) {
      moved = rename_aside(disk, directory, name);
    }
    if (!moved) return moved;
  }
  if (readable.segment != nullptr) {
    const std::string copy = directory + "/" + spare_name(0);
    if (Status status = copy_readable(disk, readable, copy); !status) return status;
    const std::string& path = readable.segment->path;
    const std::string name = path.substr(path.rfind('/') + 1);
    Result<std::string> aside = free_name_aside(disk, directory, name);
    if (!aside) return aside.status();
    // Its second name is durable before it loses the first, which is so never without one of the two.
    if (Status status = disk.link(path, *aside); !status) return status;
    if (Status status = disk.sync_directory(directory); !status) return status;
    if (Status status = disk.rename(copy, path); !status) return status;
  }
  return disk.sync_directory(directory);
}

}  // namespace dqlite::raft
