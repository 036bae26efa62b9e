// Snapshots on their way from this leader to members that lag behind its log.
//
// A stream is cut into pieces of 256 KiB, a few of which are under way; the receiver says how far it has
// stored, and from there it goes on after a loss. At its beginning the receiver says which pieces it holds
// already, from a stream that a restart of either side or a change of leader cut off, or from the state that
// it has: these are only named. Each piece carries its own checksum, the last one also the chain over all:
// chain(0) = 0, chain(n) = checksum(checksum of piece n, seed chain(n-1)). While a stream makes progress the log from its position on is pinned, and for a while after,
// so that the receiver can go on from there; a receiver that says nothing for ten election time-outs is given
// up, and with it the pin. Loop thread; reads on the reader thread.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "raft/net/network.h"
#include "raft/node/executor.h"
#include "raft/node/worker.h"
#include "raft/state_machine.h"

namespace dqlite::raft {

constexpr size_t kSnapshotPieceBytes = 256 << 10;

// The chain over the checksums of all pieces up to this one.
uint64_t extend_chain(uint64_t chain, uint64_t piece_checksum);

class SnapshotSender {
 public:
  SnapshotSender(Core& core, net::Network& network, Executor& loop, Worker& reader, StateMachine& machine,
                 int election_ticks, uint64_t first_stream);

  void begin(NodeId peer);
  void handle_ack(const Message& message);
  void tick();
  // Leadership is lost.
  void cancel_all();
  // The log from here on is still needed.
  [[nodiscard]] std::optional<Index> pinned() const;

 private:
  struct Stream {
    NodeId peer = 0;
    Term term = 0;                           // which this node leads while it sends
    std::shared_ptr<SnapshotSource> source;  // null: being opened
    LogStart start;
    Bytes configuration;
    uint64_t total = 0;
    uint64_t acknowledged = 0;
    uint64_t next = 0;                 // the next piece to send begins here
    std::vector<uint64_t> chain = {};  // after each piece that was read
    std::vector<uint64_t> held = {};   // checksums of the pieces that the receiver has
    bool answered = false;  // by the receiver: until it was, one piece goes out, for it may hold the others
    bool reading = false;
    int ticks_without_progress = 0;
    int ticks_without_word = 0;
  };
  struct Linger {
    Index index = 0;
    int ticks_left = 0;
  };
  using Streams = std::map<uint64_t, Stream>;

  [[nodiscard]] bool may_go_on(const Stream& stream) const;
  [[nodiscard]] static bool may_have_stored(const Stream& stream, uint64_t offset);
  void opened(uint64_t id, std::shared_ptr<SnapshotSource> source, const Status& status);
  void pump(uint64_t id, Stream& stream);
  void piece_read(uint64_t id, uint64_t offset, Result<Bytes> piece);
  void send_piece(uint64_t id, Stream& stream, uint64_t offset, Bytes piece);
  void finish(Streams::iterator found, bool ok);

  Core& core_;
  net::Network& network_;
  Executor& loop_;
  Worker& reader_;
  StateMachine& machine_;
  const int election_ticks_;
  uint64_t next_stream_;
  Streams streams_;
  std::map<NodeId, Linger> lingering_;
};

}  // namespace dqlite::raft
