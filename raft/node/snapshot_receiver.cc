#include "raft/node/snapshot_receiver.h"

#include "codec/checksum.h"
#include "raft/node/install_note.h"
#include "raft/node/snapshot_sender.h"

namespace dqlite::raft {

namespace {

constexpr int kMaxIdleTicks = 1200;  // a minute at the usual tick: the leader has forgotten this stream
constexpr int kAliveTicks = 20;

// A temporary failure (no space, say) left the state as it was.
bool is_untouched(const Status& status) {
  return failure_class(status.code()) == FailureClass::kTemporary;
}

}  // namespace

SnapshotReceiver::SnapshotReceiver(Core& core, net::Network& network, Executor& loop, Worker& reader,
                                   Applier& applier, StateMachine& machine, Disk& disk,
                                   std::shared_ptr<Log> log, std::string directory, Events events)
    : core_(core),
      network_(network),
      loop_(loop),
      reader_(reader),
      applier_(applier),
      machine_(machine),
      disk_(disk),
      log_(std::move(log)),
      directory_(std::move(directory)),
      events_(std::move(events)) {}

SnapshotReceiver::~SnapshotReceiver() {
  if (stream_ && stream_->incoming->sink) stream_->incoming->sink->keep();
}

void SnapshotReceiver::handle_chunk(const Message& message) {
  const auto& chunk = std::get<SnapshotChunk>(message.body);
  if (accept(message, chunk)) return;
  // The core waits for the outcome of every last piece.
  if (chunk.done) core_.snapshot_failed();
}

bool SnapshotReceiver::accept(const Message& message, const SnapshotChunk& chunk) {
  if (!stream_ || stream_->id != chunk.stream) {
    if (chunk.offset != 0) {
      acknowledge(message.from, {.stream = chunk.stream});  // from the beginning, please
      return false;
    }
    if (!begin(message, chunk)) {
      acknowledge(message.from, {.stream = chunk.stream, .failed = true});
      return false;
    }
  }
  stream_->idle_ticks = 0;
  const bool is_next = chunk.offset == stream_->taken && !stream_->whole;
  if (is_next && is_sound(chunk)) return take(chunk);
  // Asked for the beginning without them, the leader takes it that nothing is held.
  std::vector<uint64_t> held;
  if (stream_->stored == 0 && stream_->held) held = *stream_->held;
  acknowledge(message.from, {.stream = stream_->id, .next_offset = stream_->stored, .held = std::move(held)});
  return false;
}

// A piece with its bytes, or the name of one that was here when the stream began.
bool SnapshotReceiver::is_sound(const SnapshotChunk& chunk) const {
  if (!chunk.held) {
    return chunk.data && codec::checksum(*chunk.data) == chunk.data_checksum &&
           chunk.data->size() <= stream_->total - stream_->taken;
  }
  const size_t number = chunk.offset / kSnapshotPieceBytes;
  return chunk.offset % kSnapshotPieceBytes == 0 && stream_->held && number < stream_->held->size() &&
         (*stream_->held)[number] == chunk.data_checksum;
}

bool SnapshotReceiver::begin(const Message& message, const SnapshotChunk& chunk) {
  forget_stream(Kept::kWhatCame);
  Result<Configuration> configuration = decode_configuration(chunk.configuration);
  if (!configuration) return false;
  Stream stream;
  stream.id = chunk.stream;
  stream.from = message.from;
  stream.start = {chunk.last, std::move(*configuration), chunk.configuration_index};
  stream.total = chunk.total;
  stream.incoming = std::make_shared<Incoming>();
  stream_ = std::move(stream);
  may_have_leftover_ = true;
  leftover_ticks_ = 0;
  reader_.post(
      [this, id = chunk.stream, incoming = stream_->incoming, last = chunk.last, total = chunk.total] {
        Result<std::unique_ptr<SnapshotSink>> sink = machine_.begin_install(last, total);
        incoming->failure = sink.status();
        if (!sink) return;
        incoming->sink = std::move(*sink);
        Result<std::vector<uint64_t>> held = incoming->sink->held(kSnapshotPieceBytes);
        // Without it everything comes over the network.
        if (held) loop_.post([this, id, pieces = std::move(*held)] { held_known(id, pieces); });
      });
  return true;
}

void SnapshotReceiver::held_known(uint64_t id, std::vector<uint64_t> held) {
  if (!stream_ || stream_->id != id || held.empty()) return;
  stream_->held = held;
  acknowledge(stream_->from, {.stream = id, .next_offset = stream_->stored, .held = std::move(held)});
}

bool SnapshotReceiver::take(const SnapshotChunk& chunk) {
  Stream& stream = *stream_;
  const uint64_t size =
      chunk.held ? std::min<uint64_t>(kSnapshotPieceBytes, stream.total - chunk.offset) : chunk.data->size();
  stream.taken += size;
  stream.chain = extend_chain(stream.chain, chunk.data_checksum);
  const bool is_wrong = chunk.done && (stream.taken != stream.total || stream.chain != chunk.total_checksum);
  if (is_wrong) {
    give_up_stream();
    return false;
  }
  stream.whole = chunk.done;
  reader_.post(
      [this, id = stream.id, incoming = stream.incoming, offset = chunk.offset, size, data = chunk.data] {
        Status& status = incoming->failure;
        if (status && data) status = incoming->sink->write(offset, *data);
        loop_.post([this, id, stored = offset + size, status] { piece_stored(id, stored, status); });
      });
  return true;
}

void SnapshotReceiver::piece_stored(uint64_t id, uint64_t stored, const Status& status) {
  if (!stream_ || stream_->id != id) return;
  if (!status) {
    if (stream_->whole) core_.snapshot_failed();
    return give_up_stream();
  }
  stream_->stored = stored;
  acknowledge(stream_->from, {.stream = id, .next_offset = stored});
  if (stream_->whole && stored == stream_->total) begin_install();
}

void SnapshotReceiver::give_up_stream() {
  acknowledge(stream_->from, {.stream = stream_->id, .failed = true});
  forget_stream(Kept::kNothing);
}

// The sink goes where it worked: removing what it stored may block.
void SnapshotReceiver::forget_stream(Kept kept) {
  if (!stream_) return;
  reader_.post([incoming = std::move(stream_->incoming), kept] {
    if (incoming->sink && kept == Kept::kWhatCame) incoming->sink->keep();
    incoming->sink.reset();
  });
  stream_.reset();
}

void SnapshotReceiver::acknowledge(NodeId to, const SnapshotAck& ack) {
  network_.send(Message{core_.self(), to, core_.term(), ack});
}

void SnapshotReceiver::begin_install() {
  reader_.post([this, incoming = stream_->incoming, start = stream_->start] {
    Status noted = write_install_note(disk_, directory_, start);
    if (!noted) {
      loop_.post([this, start, noted] { finished(start, noted); });
      return;
    }
    applier_.install(std::move(incoming->sink), start.last,
                     [this, start](const Status& status) { state_installed(start, status); });
  });
}

// On the applier thread. The note stays until state and log agree again, in this life or the next.
void SnapshotReceiver::state_installed(const LogStart& start, const Status& status) {
  reader_.post([this, start, status] {
    Status done = status;
    if (status) {
      done = finish_install(disk_, directory_, *log_, start);
      // Not temporary any more, whatever it was: the state has changed.
      if (!done) done = Status(Code::kPoisoned, done.sentence());
    } else if (is_untouched(status)) {
      Status removed = remove_install_note(disk_, directory_);
      if (!removed) done = removed;
    }
    loop_.post([this, start, done] { finished(start, done); });
  });
}

void SnapshotReceiver::finished(const LogStart& start, const Status& status) {
  if (is_untouched(status)) {
    core_.snapshot_failed();
    return give_up_stream();
  }
  const Stream stream = std::move(*stream_);
  stream_.reset();
  if (!status) return events_.failed(status.in("installing a snapshot"));
  events_.installed(start);
  acknowledge(stream.from, {.stream = stream.id, .next_offset = stream.total, .installed = true});
}

void SnapshotReceiver::tick() {
  if (!stream_) {
    if (!may_have_leftover_ || ++leftover_ticks_ <= kMaxIdleTicks) return;
    may_have_leftover_ = false;
    reader_.post([this] { machine_.discard_kept_install(); });
    return;
  }
  stream_->idle_ticks++;
  if (!stream_->whole) {
    if (stream_->idle_ticks > kMaxIdleTicks) forget_stream(Kept::kNothing);
    return;
  }
  // The core does not hand out what comes while it waits: tell the leader that we are at it.
  if (stream_->idle_ticks % kAliveTicks != 0) return;
  acknowledge(stream_->from, {.stream = stream_->id, .next_offset = stream_->stored});
}

}  // namespace dqlite::raft
