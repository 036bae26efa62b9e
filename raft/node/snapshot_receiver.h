// A snapshot that the leader sends to this node: from its first piece to the point where the log starts
// behind it.
//
// Pieces are taken in order and stored by the reader thread; each is acknowledged with the offset stored, so
// the leader sends again from there what was lost. What is left of a stream that was cut off, by a restart or
// by a change of leader, is told to the leader at the beginning of the next, and not sent again; nobody goes
// on with it for a minute: it is removed. When all is there and the checksums are right:
//   1. the core, which hands out the last piece only when no entry is on its way to the disk, takes no
//   appends and does
//      not campaign until it is told of the outcome;
//   2. the reader writes the install note: the log start that belongs to the snapshot
//   (raft/node/install_note.h);
//   3. the applier installs it in the state machine, durably;
//   4. the reader resets the log behind it and removes the note;
//   5. the core learns of it, and the leader.
// A crash between 3 and 4 leaves a state ahead of its log; the next open finds the note and does step 4. Loop
// thread but for the jobs it posts.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "raft/net/network.h"
#include "raft/node/applier.h"
#include "raft/node/executor.h"
#include "raft/node/worker.h"
#include "raft/state_machine.h"

namespace dqlite::raft {

class SnapshotReceiver {
 public:
  struct Events {
    // After step 4.
    std::function<void(const LogStart&)> installed;
    // The node cannot go on.
    std::function<void(const Status&)> failed;
  };

  SnapshotReceiver(Core& core, net::Network& network, Executor& loop, Worker& reader, Applier& applier,
                   StateMachine& machine, Disk& disk, std::shared_ptr<Log> log, std::string directory,
                   Events events);

  // Every thread of the node has ended: what came of a stream stays for the next life.
  ~SnapshotReceiver();
  SnapshotReceiver(const SnapshotReceiver&) = delete;
  SnapshotReceiver& operator=(const SnapshotReceiver&) = delete;

  void handle_chunk(const Message& message);
  void tick();

  // Of the snapshot that is arriving: what is stored, and its size; zeros if none is.
  [[nodiscard]] std::pair<uint64_t, uint64_t> progress() const {
    return stream_ ? std::pair(stream_->stored, stream_->total) : std::pair<uint64_t, uint64_t>();
  }

 private:
  // Made and used by jobs on the reader thread, then handed to the applier.
  struct Incoming {
    std::shared_ptr<SnapshotSink> sink;
    Status failure;
  };
  struct Stream {
    uint64_t id = 0;
    NodeId from = 0;
    LogStart start;
    uint64_t total = 0;
    uint64_t taken = 0;  // handed to the reader
    uint64_t stored = 0;
    uint64_t chain = 0;
    std::optional<std::vector<uint64_t>> held;  // checksums of the pieces that were here; once they are known
    bool whole = false;  // the last piece was taken: from here on the core waits for the outcome
    int idle_ticks = 0;
    std::shared_ptr<Incoming> incoming;
  };

  // Is it the next piece of the stream, and was it taken?
  bool accept(const Message& message, const SnapshotChunk& chunk);
  [[nodiscard]] bool is_sound(const SnapshotChunk& chunk) const;
  bool begin(const Message& message, const SnapshotChunk& chunk);
  bool take(const SnapshotChunk& chunk);
  void held_known(uint64_t id, std::vector<uint64_t> held);
  void piece_stored(uint64_t id, uint64_t stored, const Status& status);
  enum class Kept : uint8_t { kNothing, kWhatCame };
  void forget_stream(Kept kept);
  void give_up_stream();
  void acknowledge(NodeId to, const SnapshotAck& ack);
  void begin_install();
  void state_installed(const LogStart& start, const Status& status);
  void finished(const LogStart& start, const Status& status);

  Core& core_;
  net::Network& network_;
  Executor& loop_;
  Worker& reader_;
  Applier& applier_;
  StateMachine& machine_;
  Disk& disk_;
  const std::shared_ptr<Log> log_;
  const std::string directory_;
  const Events events_;
  std::optional<Stream> stream_;
  // Of an earlier life or stream, perhaps; removed after some time without a stream.
  bool may_have_leftover_ = true;
  int leftover_ticks_ = 0;
};

}  // namespace dqlite::raft
