// The bytes of raft::Message: one writer and one reader per kind, side by side.
#include "raft/net/wire.h"

namespace dqlite::raft::net {

namespace {

using codec::Reader;
using codec::Writer;

enum class Kind : uint8_t {
  kVoteRequest = 1,
  kVoteResponse,
  kAppendRequest,
  kAppendResponse,
  kTimeoutNow,
  kSnapshotChunk,
  kSnapshotAck,
  kReadRequest,
  kReadResponse,
};

constexpr size_t kEntryOverhead = 8 + 8 + 1 + 4;

void write_id(Writer& writer, const EntryId& id) {
  writer.u64(id.index);
  writer.u64(id.term);
}

EntryId read_id(Reader& reader) {
  EntryId id;
  id.index = reader.u64();
  id.term = reader.u64();
  return id;
}

void write_flag(Writer& writer, bool flag) {
  writer.u8(flag ? 1 : 0);
}

bool read_flag(Reader& reader, bool& malformed) {
  const uint8_t value = reader.u8();
  if (value > 1) malformed = true;
  return value == 1;
}

// --- VoteRequest, VoteResponse ---

void write(Writer& writer, const VoteRequest& request) {
  write_flag(writer, request.pre_vote);
  write_flag(writer, request.transfer);
  write_id(writer, request.last);
}

VoteRequest read_vote_request(Reader& reader, bool& malformed) {
  VoteRequest request;
  request.pre_vote = read_flag(reader, malformed);
  request.transfer = read_flag(reader, malformed);
  request.last = read_id(reader);
  return request;
}

void write(Writer& writer, const VoteResponse& response) {
  write_flag(writer, response.pre_vote);
  write_flag(writer, response.granted);
}

VoteResponse read_vote_response(Reader& reader, bool& malformed) {
  VoteResponse response;
  response.pre_vote = read_flag(reader, malformed);
  response.granted = read_flag(reader, malformed);
  return response;
}

// --- AppendRequest, AppendResponse ---

void write(Writer& writer, const AppendRequest& request) {
  write_id(writer, request.previous);
  writer.u64(request.commit);
  writer.u64(request.read_round);
  writer.u32(static_cast<uint32_t>(request.entries.size()));
  for (const Entry& entry : request.entries) {
    write_id(writer, entry.id());
    writer.u8(static_cast<uint8_t>(entry.kind));
    writer.blob(entry.payload ? ByteView(*entry.payload) : ByteView());
  }
}

// An unknown kind is not skipped and not stored: a node that cannot apply an entry must not acknowledge it
// [B16].
Status read_entry(Reader& reader, Entry& entry) {
  const EntryId id = read_id(reader);
  entry.index = id.index;
  entry.term = id.term;
  const uint8_t kind = reader.u8();
  const ByteView payload = reader.blob();
  if (reader.failed()) return {Code::kCorrupt, "an entry is cut off"};
  if (kind < static_cast<uint8_t>(EntryKind::kNoop) || kind > static_cast<uint8_t>(EntryKind::kCommand)) {
    return {Code::kUnsupported, "entry " + std::to_string(id.index) + " has the unknown kind " +
                                    std::to_string(kind) +
                                    ": this node is older than its cluster, upgrade it"};
  }
  entry.kind = static_cast<EntryKind>(kind);
  if (!payload.empty()) entry.payload = std::make_shared<const Bytes>(payload.begin(), payload.end());
  return Status::ok();
}

Result<AppendRequest> read_append_request(Reader& reader) {
  AppendRequest request;
  request.previous = read_id(reader);
  request.commit = reader.u64();
  request.read_round = reader.u64();
  const uint32_t count = reader.u32();
  if (reader.failed() || count > reader.remaining() / kEntryOverhead) {
    return Status(Code::kCorrupt, "an append claims more entries than it has bytes for");
  }
  request.entries.resize(count);
  for (Entry& entry : request.entries) {
    Status read = read_entry(reader, entry);
    if (!read) return read;
  }
  return request;
}

void write(Writer& writer, const AppendResponse& response) {
  write_flag(writer, response.rejected);
  writer.u64(response.match);
  write_id(writer, response.hint);
  writer.u64(response.last);
  writer.u64(response.read_round);
  write_flag(writer, response.cannot_lead);
}

AppendResponse read_append_response(Reader& reader, bool& malformed) {
  AppendResponse response;
  response.rejected = read_flag(reader, malformed);
  response.match = reader.u64();
  response.hint = read_id(reader);
  response.last = reader.u64();
  response.read_round = reader.u64();
  response.cannot_lead = read_flag(reader, malformed);
  return response;
}

void write(Writer&, const TimeoutNow&) {}

// --- SnapshotChunk, SnapshotAck ---

void write(Writer& writer, const SnapshotChunk& chunk) {
  writer.u64(chunk.stream);
  write_id(writer, chunk.last);
  writer.blob(chunk.configuration);
  writer.u64(chunk.configuration_index);
  writer.u64(chunk.offset);
  writer.u64(chunk.total);
  write_flag(writer, chunk.held);
  writer.blob(chunk.data ? ByteView(*chunk.data) : ByteView());
  writer.u64(chunk.data_checksum);
  writer.u64(chunk.total_checksum);
  write_flag(writer, chunk.done);
}

SnapshotChunk read_snapshot_chunk(Reader& reader, bool& malformed) {
  SnapshotChunk chunk;
  chunk.stream = reader.u64();
  chunk.last = read_id(reader);
  const ByteView configuration = reader.blob();
  chunk.configuration.assign(configuration.begin(), configuration.end());
  chunk.configuration_index = reader.u64();
  chunk.offset = reader.u64();
  chunk.total = reader.u64();
  chunk.held = read_flag(reader, malformed);
  const ByteView data = reader.blob();
  if (!chunk.held) chunk.data = std::make_shared<const Bytes>(data.begin(), data.end());
  if (chunk.held && !data.empty()) malformed = true;
  chunk.data_checksum = reader.u64();
  chunk.total_checksum = reader.u64();
  chunk.done = read_flag(reader, malformed);
  return chunk;
}

void write(Writer& writer, const SnapshotAck& ack) {
  writer.u64(ack.stream);
  writer.u64(ack.next_offset);
  write_flag(writer, ack.installed);
  write_flag(writer, ack.failed);
  writer.u32(static_cast<uint32_t>(ack.held.size()));
  for (const uint64_t checksum : ack.held) writer.u64(checksum);
}

SnapshotAck read_snapshot_ack(Reader& reader, bool& malformed) {
  SnapshotAck ack;
  ack.stream = reader.u64();
  ack.next_offset = reader.u64();
  ack.installed = read_flag(reader, malformed);
  ack.failed = read_flag(reader, malformed);
  const uint32_t count = reader.u32();
  if (reader.failed() || count > reader.remaining() / 8) {
    malformed = true;
    return ack;
  }
  ack.held.resize(count);
  for (uint64_t& checksum : ack.held) checksum = reader.u64();
  return ack;
}

// --- ReadRequest, ReadResponse ---

void write(Writer& writer, const ReadRequest& request) {
  writer.u64(request.number);
}

void write(Writer& writer, const ReadResponse& response) {
  writer.u64(response.number);
  writer.u64(response.index);
}

Status read_body(uint8_t kind, Reader& reader, Body& body, bool& malformed) {
  switch (static_cast<Kind>(kind)) {
    case Kind::kVoteRequest:
      body = read_vote_request(reader, malformed);
      return Status::ok();
    case Kind::kVoteResponse:
      body = read_vote_response(reader, malformed);
      return Status::ok();
    case Kind::kAppendRequest: {
      Result<AppendRequest> request = read_append_request(reader);
      if (request) body = std::move(*request);
      return request.status();
    }
    case Kind::kAppendResponse:
      body = read_append_response(reader, malformed);
      return Status::ok();
    case Kind::kTimeoutNow:
      body = TimeoutNow{};
      return Status::ok();
    case Kind::kSnapshotChunk:
      body = read_snapshot_chunk(reader, malformed);
      return Status::ok();
    case Kind::kSnapshotAck:
      body = read_snapshot_ack(reader, malformed);
      return Status::ok();
    case Kind::kReadRequest:
      body = ReadRequest{reader.u64()};
      return Status::ok();
    case Kind::kReadResponse: {
      ReadResponse response;
      response.number = reader.u64();
      response.index = reader.u64();
      body = response;
      return Status::ok();
    }
  }
  return {Code::kUnsupported, "a Raft message has the unknown kind " + std::to_string(kind)};
}

size_t estimated_size(const Message& message) {
  size_t size = 128;
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    for (const Entry& entry : append->entries) size += kEntryOverhead + entry.size_bytes();
  } else if (const auto* chunk = std::get_if<SnapshotChunk>(&message.body)) {
    size += chunk->configuration.size() + (chunk->data ? chunk->data->size() : 0);
  } else if (const auto* ack = std::get_if<SnapshotAck>(&message.body)) {
    size += ack->held.size() * sizeof(uint64_t);
  }
  return size;
}

}  // namespace

Bytes encode(const Message& message) {
  Bytes frame = begin_frame(estimated_size(message));
  Writer writer(frame);
  writer.u64(message.from);
  writer.u64(message.to);
  writer.u64(message.term);
  writer.u8(static_cast<uint8_t>(message.body.index() + 1));
  std::visit([&](const auto& fields) { write(writer, fields); }, message.body);
  return seal_frame(FrameType::kRaft, std::move(frame));
}

Result<Message> decode_message(ByteView bytes) {
  Reader reader(bytes);
  Message message;
  message.from = reader.u64();
  message.to = reader.u64();
  message.term = reader.u64();
  const uint8_t kind = reader.u8();
  if (reader.failed()) return Status(Code::kCorrupt, "a Raft message is cut off in its head");
  bool malformed = false;
  Status read = read_body(kind, reader, message.body, malformed);
  if (!read) return read;
  if (malformed || !reader.finished()) {
    return Status(Code::kCorrupt, "a Raft message of kind " + std::to_string(kind) + " is malformed");
  }
  return message;
}

}  // namespace dqlite::raft::net
