#include "raft/node/repair_note.h"

#include "raft/log/checked_file.h"

namespace dqlite::raft {

namespace {

constexpr uint32_t kRepairMagic = 0x70525144;  // "DQRp"
constexpr char kRepairName[] = "repairing";

}  // namespace

Status write_repair_note(Disk& disk, const std::string& directory, const RepairNote& note) {
  Bytes body;
  codec::Writer writer(body);
  writer.u64(note.mute_below);
  writer.text(note.damage);
  return replace_file(disk, directory, kRepairName, encode_checked(kRepairMagic, 1, body));
}

Result<std::optional<RepairNote>> read_repair_note(Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + kRepairName;
  Result<bool> exists = disk.exists(path);
  if (!exists) return exists.status();
  if (!*exists) return std::optional<RepairNote>();
  Result<Bytes> file = read_whole_file(disk, path);
  if (!file) return file.status();
  Result<CheckedContent> content = decode_checked(kRepairMagic, *file, path);
  if (!content) return content.status();
  codec::Reader reader(content->body);
  RepairNote note;
  note.mute_below = reader.u64();
  note.damage = reader.text();
  if (!reader.finished() || note.mute_below == 0)
    return Status(Code::kCorrupt, path + ": the note of a damaged log is malformed");
  return std::optional<RepairNote>(std::move(note));
}

Status remove_repair_note(Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + kRepairName;
  Result<bool> exists = disk.exists(path);
  if (!exists) return exists.status();
  if (!*exists) return Status::ok();
  Status removed = disk.remove(path);
  return removed ? disk.sync_directory(directory) : removed;
}

}  // namespace dqlite::raft
