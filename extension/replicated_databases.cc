#include "extension/replicated_databases.h"

#include "vfs/error_codes.h"
#include "vfs/snapshot.h"

namespace dqlite::extension {
namespace {

class DatabasesSource : public raft::SnapshotSource {
 public:
  explicit DatabasesSource(std::unique_ptr<vfs::SnapshotReader> reader) : reader_(std::move(reader)) {}

  [[nodiscard]] raft::EntryId last() const override { return {reader_->last().index, reader_->last().term}; }
  [[nodiscard]] uint64_t size_bytes() const override { return reader_->size_bytes(); }
  Result<Bytes> read(uint64_t offset, size_t size) override { return reader_->read(offset, size); }

 private:
  std::unique_ptr<vfs::SnapshotReader> reader_;
};

class DatabasesSink : public raft::SnapshotSink {
 public:
  explicit DatabasesSink(std::unique_ptr<vfs::SnapshotWriter> writer) : writer_(std::move(writer)) {}

  Result<std::vector<uint64_t>> held(size_t piece_bytes) override { return writer_->held(piece_bytes); }
  void keep() override { writer_->keep(); }
  Status write(uint64_t offset, ByteView bytes) override { return writer_->write(offset, bytes); }
  Status install() override { return writer_->install(); }

 private:
  std::unique_ptr<vfs::SnapshotWriter> writer_;
};

}  // namespace

Status ReplicatedDatabases::apply(const raft::Entry& entry, std::optional<raft::ProposalId> own) {
  if (entry.kind == raft::EntryKind::kCommand) {
    ByteView payload = entry.payload ? ByteView(*entry.payload) : ByteView();
    Status status = databases_.apply(entry.index, entry.term, payload, own);
    if (!status) return status;
  }
  databases_.applied(entry.index, entry.term);
  return Status::ok();
}

void ReplicatedDatabases::leadership_gained(raft::Term term) {
  databases_.leadership_gained(term);
}

void ReplicatedDatabases::leadership_lost() {
  databases_.leadership_lost();
}

void ReplicatedDatabases::proposal_dropped(raft::ProposalId id, const Status& reason) {
  databases_.proposal_dropped(id, reason);
}

void ReplicatedDatabases::poisoned(const Status& reason) {
  vfs::queue_log("the node of " + databases_.paths().directory + " stopped: " + reason.sentence());
  databases_.failed(reason);
}

raft::EntryId ReplicatedDatabases::durable_point() {
  vfs::DatabaseSet::Point point = databases_.durable_point();
  return {point.index, point.term};
}

raft::EntryId ReplicatedDatabases::newest_held() {
  vfs::DatabaseSet::Point point = databases_.newest_checkpoint();
  return {point.index, point.term};
}

Result<std::unique_ptr<raft::SnapshotSource>> ReplicatedDatabases::open_snapshot() {
  Result<std::unique_ptr<vfs::SnapshotReader>> reader = vfs::SnapshotReader::open(databases_);
  if (!reader) return reader.status();
  return std::unique_ptr<raft::SnapshotSource>(std::make_unique<DatabasesSource>(std::move(*reader)));
}

Result<std::unique_ptr<raft::SnapshotSink>> ReplicatedDatabases::begin_install(raft::EntryId, uint64_t) {
  Result<std::unique_ptr<vfs::SnapshotWriter>> writer = vfs::SnapshotWriter::open(databases_);
  if (!writer) return writer.status();
  return std::unique_ptr<raft::SnapshotSink>(std::make_unique<DatabasesSink>(std::move(*writer)));
}

void ReplicatedDatabases::inquire(Bytes question, std::function<void(Result<Bytes>)> answer) {
  databases_.verifier().ask(question, std::move(answer));
}

// A failure leaves a file that the next installation begins with.
void ReplicatedDatabases::discard_kept_install() {
  (void)vfs::discard_kept_stream(databases_);
}

}  // namespace dqlite::extension
