#include "tests/sim/sim_machine.h"

#include <algorithm>

#include "codec/checksum.h"

namespace dqlite::raft::sim {

namespace {

Bytes encode_state(const MachineState& state, size_t least_bytes) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u64(state.last.index);
  writer.u64(state.last.term);
  writer.u64(state.hash);
  writer.u32(static_cast<uint32_t>(state.streams.size()));
  for (const auto& [stream, newest] : state.streams) {
    writer.u64(stream);
    writer.u64(newest.index);
    writer.u64(newest.term);
  }
  if (bytes.size() < least_bytes) bytes.resize(least_bytes, static_cast<uint8_t>(state.last.index));
  return bytes;
}

MachineState decode_state(ByteView bytes) {
  codec::Reader reader(bytes);
  MachineState state;
  state.last.index = reader.u64();
  state.last.term = reader.u64();
  state.hash = reader.u64();
  for (uint32_t left = reader.u32(); left > 0; left--) {
    EntryId& newest = state.streams[reader.u64()];
    newest.index = reader.u64();
    newest.term = reader.u64();
  }
  return state;
}

}  // namespace

class SimMachine::Source final : public SnapshotSource {
 public:
  Source(EntryId last, Bytes bytes) : last_(last), bytes_(std::move(bytes)) {}
  [[nodiscard]] EntryId last() const override { return last_; }
  [[nodiscard]] uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Bytes> read(uint64_t offset, size_t size) override {
    const auto begin = bytes_.begin() + static_cast<ptrdiff_t>(std::min<size_t>(offset, bytes_.size()));
    const auto left = static_cast<size_t>(bytes_.end() - begin);
    return Bytes(begin, begin + static_cast<ptrdiff_t>(std::min(size, left)));
  }

 private:
  const EntryId last_;
  const Bytes bytes_;
};

class SimMachine::Sink final : public SnapshotSink {
 public:
  Sink(SimMachine& machine, EntryId last, uint64_t size) : machine_(machine), last_(last), size_(size) {}

  ~Sink() override {
    if (!is_kept_ && !machine_.is_dead_) machine_.storage_.incoming.clear();
  }

  Result<std::vector<uint64_t>> held(size_t piece_bytes) override {
    const ByteView bytes = machine_.storage_.incoming;
    std::vector<uint64_t> checksums;
    for (size_t at = 0; at < bytes.size(); at += piece_bytes)
      checksums.push_back(codec::checksum(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at))));
    return checksums;
  }
  void keep() override { is_kept_ = true; }

  Status write(uint64_t offset, ByteView bytes) override {
    Bytes& incoming = machine_.storage_.incoming;
    if (offset > incoming.size()) machine_.book_.fail("a piece of a snapshot was left out");
    incoming.resize(std::max<size_t>(incoming.size(), offset + bytes.size()));
    std::copy(bytes.begin(), bytes.end(), incoming.begin() + static_cast<ptrdiff_t>(offset));
    return Status::ok();
  }

  Status install() override {
    if (machine_.random_.below(1000) < machine_.full_installs_)
      return {Code::kFull, "no space for a snapshot: injected fault"};
    Bytes bytes = std::exchange(machine_.storage_.incoming, {});
    if (bytes.size() > size_) bytes.resize(size_);  // of a longer one, before
    const MachineState state = decode_state(bytes);
    if (bytes.size() != size_ || state.last != last_)
      machine_.book_.fail("a snapshot was installed that is not whole");
    if (state.hash != machine_.book_.state_hash(last_.index))
      machine_.book_.fail("state-machine equality: a snapshot at " + text(last_) + " holds another state");
    if (state.last.index < machine_.state_.last.index) {
      if (machine_.is_replayed_) return Status::ok();
      machine_.book_.fail("a snapshot took the state machine back to " + text(state.last));
    }
    machine_.storage_.checkpoint = state;
    machine_.state_ = state;
    machine_.events_.installed();
    return Status::ok();
  }

 private:
  SimMachine& machine_;
  const EntryId last_;
  const uint64_t size_;
  bool is_kept_ = false;
};

Status SimMachine::apply(const Entry& entry, std::optional<ProposalId> own) {
  // A damaged log is replayed from its start, whatever the state machine holds already [A5].
  if (entry.index <= state_.last.index && is_replayed_) return Status::ok();
  if (entry.index != state_.last.index + 1) book_.fail("an entry was left out or applied twice");
  state_.last = entry.id();
  state_.hash = mix(mix(state_.hash, entry.term), hash_of(entry));
  const Write write = entry.kind == EntryKind::kCommand ? decode_write(entry.payload) : Write{};
  if (write.stream != 0) {
    if (state_.streams[write.stream] != write.base)
      book_.fail("compare and append [A1]: entry " + text(entry.id()) + " stands on " + text(write.base) +
                 ", the newest of its stream is " + text(state_.streams[write.stream]));
    state_.streams[write.stream] = entry.id();
  }
  events_.applied(entry);
  if (own) {
    if (*own != write.id) book_.fail("a proposal was told another's fate");
    events_.own(*own, entry.index);
  }
  return Status::ok();
}

Result<std::unique_ptr<SnapshotSource>> SimMachine::open_snapshot() {
  return std::unique_ptr<SnapshotSource>(
      std::make_unique<Source>(storage_.checkpoint.last, encode_state(storage_.checkpoint, snapshot_bytes_)));
}

Result<std::unique_ptr<SnapshotSink>> SimMachine::begin_install(EntryId last, uint64_t size_bytes) {
  return std::unique_ptr<SnapshotSink>(std::make_unique<Sink>(*this, last, size_bytes));
}

bool SimMachine::checkpoint() {
  if (storage_.checkpoint.last == state_.last) return false;
  storage_.checkpoint = state_;
  return true;
}

}  // namespace dqlite::raft::sim
