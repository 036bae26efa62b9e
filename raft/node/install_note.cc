#include "raft/node/install_note.h"

#include "raft/log/checked_file.h"

namespace dqlite::raft {

namespace {

constexpr uint32_t kNoteMagic = 0x6e495144;  // "DQIn"
constexpr char kName[] = "installing";

std::string path_in(const std::string& directory) {
  return directory + "/" + kName;
}

}  // namespace

Status write_install_note(Disk& disk, const std::string& directory, const LogStart& start) {
  Bytes body;
  codec::Writer writer(body);
  writer.u64(start.last.index);
  writer.u64(start.last.term);
  writer.u64(start.configuration_index);
  writer.blob(encode(start.configuration));
  return replace_file(disk, directory, kName, encode_checked(kNoteMagic, 1, body));
}

Result<std::optional<LogStart>> read_install_note(Disk& disk, const std::string& directory) {
  const std::string path = path_in(directory);
  Result<bool> exists = disk.exists(path);
  if (!exists) return exists.status();
  if (!*exists) return std::optional<LogStart>();
  Result<Bytes> file = read_whole_file(disk, path);
  if (!file) return file.status();
  Result<CheckedContent> content = decode_checked(kNoteMagic, *file, path);
  if (!content) return content.status();
  codec::Reader reader(content->body);
  LogStart start;
  start.last.index = reader.u64();
  start.last.term = reader.u64();
  start.configuration_index = reader.u64();
  Result<Configuration> configuration = decode_configuration(reader.blob());
  if (!configuration) return configuration.status().in(path);
  if (!reader.finished())
    return Status(Code::kCorrupt, path + ": the note of a snapshot's install is malformed");
  start.configuration = std::move(*configuration);
  return std::optional<LogStart>(std::move(start));
}

Status remove_install_note(Disk& disk, const std::string& directory) {
  Result<bool> exists = disk.exists(path_in(directory));
  if (!exists) return exists.status();
  if (!*exists) return Status::ok();
  Status removed = disk.remove(path_in(directory));
  return removed ? disk.sync_directory(directory) : removed;
}

Status finish_install(Disk& disk, const std::string& directory, Log& log, const LogStart& start) {
  Status reset = log.reset(start);
  return reset ? remove_install_note(disk, directory) : reset;
}

}  // namespace dqlite::raft
