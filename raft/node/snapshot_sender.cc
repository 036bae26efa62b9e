#include "raft/node/snapshot_sender.h"

#include <algorithm>

#include "codec/checksum.h"

namespace dqlite::raft {

namespace {

constexpr uint64_t kWindowBytes = 8 * kSnapshotPieceBytes;

size_t piece_of(uint64_t offset) {
  return static_cast<size_t>(offset / kSnapshotPieceBytes);
}

uint64_t begin_of_last_piece(uint64_t total) {
  return total == 0 ? 0 : (total - 1) / kSnapshotPieceBytes * kSnapshotPieceBytes;
}

}  // namespace

uint64_t extend_chain(uint64_t chain, uint64_t piece_checksum) {
  Bytes bytes;
  codec::Writer(bytes).u64(piece_checksum);
  return codec::checksum(bytes, chain);
}

SnapshotSender::SnapshotSender(Core& core, net::Network& network, Executor& loop, Worker& reader,
                               StateMachine& machine, int election_ticks, uint64_t first_stream)
    : core_(core),
      network_(network),
      loop_(loop),
      reader_(reader),
      machine_(machine),
      election_ticks_(election_ticks),
      next_stream_(first_stream) {}

void SnapshotSender::begin(NodeId peer) {
  for (const auto& [id, stream] : streams_) {
    if (stream.peer == peer) return;
  }
  const uint64_t id = next_stream_++;
  streams_[id].peer = peer;
  streams_[id].term = core_.term();
  reader_.post([this, id] {
    Result<std::unique_ptr<SnapshotSource>> source = machine_.open_snapshot();
    const std::shared_ptr<SnapshotSource> shared = source ? std::move(*source) : nullptr;
    loop_.post([this, id, shared, status = source.status()] { opened(id, shared, status); });
  });
}

// The core may have been told of a newer term in this very turn, whose end brings `cancel_all`: until then a
// chunk would claim that this node leads the newer term, and its receiver would know of two leaders.
bool SnapshotSender::may_go_on(const Stream& stream) const {
  return core_.role() == Role::kLeader && core_.term() == stream.term;
}

void SnapshotSender::opened(uint64_t id, std::shared_ptr<SnapshotSource> source, const Status& status) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  if (!status) return finish(found, false);
  Stream& stream = found->second;
  stream.source = std::move(source);
  if (!may_go_on(stream)) return;
  Result<LogStart> start = core_.log_start_at(stream.source->last().index);
  if (!start) return finish(found, false);
  stream.start = std::move(*start);
  stream.configuration = encode(stream.start.configuration);
  stream.total = stream.source->size_bytes();
  pump(id, stream);
}

// One read at a time; each that comes back asks for the next.
void SnapshotSender::pump(uint64_t id, Stream& stream) {
  if (!stream.source || stream.reading) return;
  const bool all_sent = stream.next >= stream.total && !(stream.total == 0 && stream.next == 0);
  const uint64_t window = stream.answered ? kWindowBytes : kSnapshotPieceBytes;
  if (all_sent || stream.next >= stream.acknowledged + window) return;
  stream.reading = true;
  const uint64_t offset = stream.next;
  const size_t size = static_cast<size_t>(std::min<uint64_t>(kSnapshotPieceBytes, stream.total - offset));
  reader_.post([this, id, offset, size, source = stream.source] {
    auto piece = std::make_shared<Result<Bytes>>(source->read(offset, size));
    if (*piece && (*piece)->size() != size) *piece = Status(Code::kIo, "a snapshot is shorter than it said");
    loop_.post([this, id, offset, piece] { piece_read(id, offset, std::move(*piece)); });
  });
}

void SnapshotSender::piece_read(uint64_t id, uint64_t offset, Result<Bytes> piece) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  stream.reading = false;
  if (!may_go_on(stream)) return;
  if (!piece) return finish(found, false);
  if (offset == stream.next)
    send_piece(id, stream, offset, std::move(*piece));  // else the receiver asked for another
  pump(id, stream);
}

void SnapshotSender::send_piece(uint64_t id, Stream& stream, uint64_t offset, Bytes piece) {
  const size_t number = piece_of(offset);
  const uint64_t checksum = codec::checksum(piece);
  if (number == stream.chain.size()) {
    stream.chain.push_back(extend_chain(number == 0 ? 0 : stream.chain.back(), checksum));
  }
  SnapshotChunk chunk;
  chunk.stream = id;
  chunk.last = stream.start.last;
  chunk.configuration = stream.configuration;
  chunk.configuration_index = stream.start.configuration_index;
  chunk.offset = offset;
  chunk.total = stream.total;
  chunk.data_checksum = checksum;
  chunk.held = number < stream.held.size() && stream.held[number] == checksum;
  chunk.done = offset + piece.size() == stream.total;
  if (chunk.done) chunk.total_checksum = stream.chain[number];
  // An empty stream has one piece, and is past it afterwards.
  stream.next = stream.total == 0 ? 1 : offset + piece.size();
  if (!chunk.held) chunk.data = std::make_shared<const Bytes>(std::move(piece));
  network_.send(Message{core_.self(), stream.peer, core_.term(), std::move(chunk)});
}

// A receiver stores whole pieces that were sent. Behind any other offset it would get pieces that are not the
// chain's, or leave out some that the chain needs.
bool SnapshotSender::may_have_stored(const Stream& stream, uint64_t offset) {
  if (offset > stream.total || offset > stream.chain.size() * kSnapshotPieceBytes) return false;
  return offset == stream.total || offset % kSnapshotPieceBytes == 0;
}

void SnapshotSender::handle_ack(const Message& message) {
  const auto& ack = std::get<SnapshotAck>(message.body);
  const auto found = streams_.find(ack.stream);
  if (found == streams_.end() || found->second.peer != message.from) return;
  Stream& stream = found->second;
  stream.ticks_without_word = 0;
  // A request for the beginning may be older than what the receiver says it holds.
  if (ack.next_offset > 0 || !ack.held.empty()) stream.answered = true;
  if (ack.installed || ack.failed) return finish(found, ack.installed);
  // Asking for the beginning it says what it holds, or begins anew and will say it: what is believed beyond
  // that would be named for ever, and refused.
  if (ack.next_offset == 0) stream.held = ack.held;
  if (!may_have_stored(stream, ack.next_offset)) return pump(ack.stream, stream);
  if (ack.next_offset > stream.acknowledged) {
    stream.acknowledged = ack.next_offset;
    stream.next = std::max(stream.next, stream.acknowledged);
    stream.ticks_without_progress = 0;
  } else if (ack.next_offset < stream.acknowledged) {
    // The receiver was restarted and has less than it said before.
    stream.acknowledged = ack.next_offset;
    stream.next = ack.next_offset;
    // From the beginning: it will say anew what it holds.
    if (ack.next_offset == 0) stream.answered = false;
  }
  pump(ack.stream, stream);
}

void SnapshotSender::tick() {
  for (auto each = streams_.begin(); each != streams_.end();) {
    const auto current = each++;
    Stream& stream = current->second;
    if (!stream.source) continue;
    if (++stream.ticks_without_word > 10 * election_ticks_) {
      finish(current, false);
      continue;
    }
    if (++stream.ticks_without_progress < election_ticks_) continue;
    stream.ticks_without_progress = 0;
    // Everything stored and no answer: the last piece asks again whether it is installed.
    stream.next =
        stream.acknowledged < stream.total ? stream.acknowledged : begin_of_last_piece(stream.total);
    pump(current->first, stream);
  }
  for (auto& [peer, linger] : lingering_) linger.ticks_left--;
  std::erase_if(lingering_, [](const auto& item) { return item.second.ticks_left <= 0; });
}

void SnapshotSender::finish(Streams::iterator found, bool ok) {
  const NodeId peer = found->second.peer;
  const EntryId last = found->second.start.last;
  reader_.post([source = std::move(found->second.source)]() mutable { source.reset(); });
  streams_.erase(found);
  if (ok) lingering_[peer] = {last.index, 10 * election_ticks_};
  core_.snapshot_sent(peer, last, ok);
}

void SnapshotSender::cancel_all() {
  for (auto& [id, stream] : streams_) {
    reader_.post([source = std::move(stream.source)]() mutable { source.reset(); });
  }
  streams_.clear();
  lingering_.clear();
}

std::optional<Index> SnapshotSender::pinned() const {
  std::optional<Index> lowest;
  const auto pin = [&](Index index) { lowest = std::min(lowest.value_or(index), index); };
  for (const auto& [id, stream] : streams_) pin(stream.start.last.index);  // 0 while it is being opened
  for (const auto& [peer, linger] : lingering_) pin(linger.index);
  return lowest;
}

}  // namespace dqlite::raft
