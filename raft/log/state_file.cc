#include "raft/log/state_file.h"

#include <optional>

#include "raft/log/checked_file.h"

namespace dqlite::raft {

namespace {

constexpr uint32_t kStateMagic = 0x53514C44;  // "DLQS"

Bytes encode_state(const DurableState& state) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u64(state.hard_state.term);
  writer.u64(state.hard_state.vote);
  writer.u64(state.start.last.index);
  writer.u64(state.start.last.term);
  writer.u64(state.start.configuration_index);
  writer.u64(state.first_segment);
  writer.u64(state.first_batch);
  writer.blob(encode(state.start.configuration));
  return bytes;
}

Result<DurableState> decode_state(ByteView bytes, const std::string& path) {
  codec::Reader reader(bytes);
  DurableState state;
  state.hard_state.term = reader.u64();
  state.hard_state.vote = reader.u64();
  state.start.last.index = reader.u64();
  state.start.last.term = reader.u64();
  state.start.configuration_index = reader.u64();
  state.first_segment = reader.u64();
  state.first_batch = reader.u64();
  ByteView encoded = reader.blob();
  if (!reader.finished()) {
    return Status(Code::kCorrupt, path + ": a state of " + std::to_string(bytes.size()) +
                                      " bytes with a right checksum has the wrong length");
  }
  Result<Configuration> configuration = decode_configuration(encoded);
  if (!configuration) return configuration.status().in(path);
  state.start.configuration = std::move(*configuration);
  return state;
}

}  // namespace

Status StateFile::open_slot(int slot) {
  Result<std::unique_ptr<File>> file = disk_.open(directory_ + "/" + name(slot), false);
  if (!file) return file.status();
  slots_[slot].file = std::move(*file);
  return Status::ok();
}

Result<bool> StateFile::load() {
  std::optional<CheckedContent> contents[2];
  std::string reasons;
  for (int slot = 0; slot < 2; slot++) {
    std::string path = directory_ + "/" + name(slot);
    Result<bool> exists = disk_.exists(path);
    if (!exists) return exists.status();
    if (!*exists) continue;
    if (Status status = open_slot(slot); !status) return status;
    Result<Bytes> bytes = read_whole_file(disk_, path);
    Result<CheckedContent> content = bytes ? decode_checked(kStateMagic, *bytes, path) : bytes.status();
    if (content) {
      contents[slot] = std::move(*content);
    } else if (content.status().code() == Code::kUnsupported) {
      return content.status();
    } else {
      reasons += (reasons.empty() ? "" : "; ") + content.status().sentence();
    }
  }
  if (!slots_[0].file && !slots_[1].file) return false;
  if (!contents[0] && !contents[1]) {
    return Status(Code::kCorrupt,
                  "term and vote cannot be read (" + reasons +
                      "): this node may have voted and must not vote again under its identity: " + kJoinAnew);
  }
  newest_ = !contents[0] || (contents[1] && contents[1]->sequence > contents[0]->sequence) ? 1 : 0;
  const CheckedContent& content = *contents[newest_];
  Result<DurableState> state = decode_state(content.body, directory_ + "/" + name(newest_));
  if (!state) return state.status();
  current_ = std::move(*state);
  sequence_ = content.sequence;
  // The newest slot may be in the page cache only. With a valid older slot behind it, that one is durable (it
  // was synced before the newest was begun), so equal bytes can be written over the newest without harm.
  // Without one, the newest is durable itself (the other one was being written when the power failed) and
  // must not be touched.
  if (contents[1 - newest_]) {
    Status status = write_slot(newest_, encode_checked(kStateMagic, sequence_, content.body));
    if (!status) return status;
  } else if (Status status = save(DurableState(current_)); !status) {
    return status;
  }
  return true;
}

Status StateFile::write_slot(int slot, ByteView bytes) {
  if (!slots_[slot].file) {
    if (Status status = replace_file(disk_, directory_, name(slot), bytes); !status) return status;
    return open_slot(slot);
  }
  if (Status status = slots_[slot].file->write(0, bytes); !status) return status;
  return slots_[slot].file->sync_data();
}

Status StateFile::save(const DurableState& state) {
  int slot = 1 - newest_;
  if (Status status = write_slot(slot, encode_checked(kStateMagic, sequence_ + 1, encode_state(state)));
      !status) {
    return status.in("term and vote");
  }
  newest_ = slot;
  sequence_++;
  current_ = state;
  return Status::ok();
}

}  // namespace dqlite::raft
