// A member of a cluster, alive: the Raft core with its threads, its log and its network.
//
// One per node directory and process. `open` starts the threads: the loop (libuv: network, timers, core), the
// log writer, the applier, and the reader (old log records, snapshots). Every public method may be called
// from any application thread; none of them runs the core itself: they post to the loop and, where they say
// so, wait with a deadline. Nothing here throws, writes to stdout or stderr, or calls SQLite. A fault poisons
// the node: it stops acknowledging, tells the state machine, and every later call fails with that sentence.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/status.h"
#include "raft/core/role_keeper.h"
#include "raft/log/identity.h"
#include "raft/state_machine.h"

namespace dqlite::raft {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

struct NodeOptions {
  std::string directory;  // the node's own: holds identity, lock, state and log
  std::string listen;     // host:port; empty: a cluster of one without network
  int tick_ms = 50;
  int heartbeat_ticks = 2;
  // The shortest election time-out; the longest is twice that. A member may stand still for as long, less a
  // heartbeat, without losing its leader.
  int election_ticks = 10;
  int disk_patience_ticks = 20;  // how long a leader's write may take before it falls silent
  // How many voters and standbys this node keeps while it leads, and where it runs: the voters are spread over the
  // failure domains, and those of low weight come first. See raft/core/role_keeper.h.
  RoleTargets roles{};
  std::string failure_domain{};
  uint64_t weight = 0;
  uint64_t log_tail_bytes =
      256ULL << 20;  // kept behind the state machine's durable point for lagging followers
  uint64_t segment_bytes = 8 << 20;
  // What the state machine may need of the disk to move its durable point, so that the log's prefix can go: the log takes
  // no space beyond. Any thread.
  std::function<uint64_t()> log_leaves_free{};
  // As in LogOptions: simulations, which have no threads and no other randomness than their seed, set these.
  uint32_t spare_segments = 1;
  uint64_t salt_seed = 0;
};

enum class Standing : uint8_t {
  kNew,      // member of no cluster: may bootstrap or join
  kJoining,  // a join was begun and has not ended
  kLeader,
  kFollower,  // a leader is known
  kLeaderless,
  kRemoved,  // the cluster agreed to remove this node: it goes on with the state of then
  kPoisoned,
  kStopped,
};

struct MemberStatus {
  Member member;
  bool is_removed = false;  // this node itself, after its removal
  bool is_leader = false;
  bool is_self = false;
  Index match_index = 0;                        // leader only
  uint64_t boot_counter = 0;                    // of its newest start that is known here; 0: none
  int64_t last_contact_ms = -1;                 // -1: never or unknown here
  std::optional<std::string> failure_domain{};  // unset: this node has not heard
  uint64_t weight = 0;
  std::string problem;  // why one of the two refuses to talk to the other, or empty
};

struct NodeStatus {
  Standing standing = Standing::kNew;
  Identity identity;
  Term term = 0;
  NodeId leader = 0;
  std::string leader_address;
  Index commit_index = 0;
  Index applied_index = 0;
  Index durable_index = 0;
  Index last_index = 0;
  Index log_start = 0;
  uint64_t log_bytes = 0;
  uint64_t log_bytes_dropped = 0;  // with the log's prefix, since the start of the node
  uint64_t sync_count = 0;
  uint64_t messages_sent = 0;
  uint64_t snapshot_received = 0;  // bytes of the snapshot that is arriving; known here count as well
  uint64_t snapshot_size = 0;      // 0: none is arriving
  std::string listening_on;        // the bound address; empty without network
  std::string fault;               // the poisoning sentence, or empty
  std::string warning;             // what is in the way just now (a join that waits, a full disk), or empty
  std::vector<MemberStatus> members;
};

// What a change of the members led to.
struct MemberAnswer {
  Index index = 0;             // of the configuration entry; 0: a transfer
  NodeId leader = 0;           // after a transfer: the new one
  std::string leader_address;  // empty if it has none, or is not known here
  uint32_t member_count = 0;   // that are left
};

// An answer that is under way, of a node that is still there. Who destroys it has given up.
class PendingAnswer {
 public:
  virtual ~PendingAnswer() = default;
  // Nothing: not by `deadline`; it may be waited for again. kPoisoned: this node has ended.
  virtual std::optional<Result<Bytes>> wait(Deadline deadline) = 0;
};

class Node {
 public:
  // Opens the directory, recovers the log, starts the threads, and returns when the state machine has applied
  // every entry known to be committed. `machine` outlives the node. The identity's `listen` and `timeout_ms`
  // are brought up to date by the caller through `IdentityFile::save` before.
  static Result<std::unique_ptr<Node>> open(const NodeOptions& options,
                                            std::unique_ptr<IdentityFile> identity, StateMachine& machine);
  // Node objects are leaked on purpose in a host process; only tests destroy them, after `stop`.
  virtual ~Node() = default;

  // --- life of the cluster; each waits until done or `deadline` ---
  // Makes this new node the first member of a new cluster. `adopted`: the state machine already holds a state
  // that is not in the log, so the log starts behind `{1, 1}` and every joiner needs a snapshot [B8].
  virtual Status bootstrap(bool adopted, Deadline deadline) = 0;
  // Joins the cluster of which `address` is any member: stores the target before the request leaves, follows
  // redirects, retries while the target is new or has no leader, and returns when this node is a member, has
  // the leader's commit index of that moment applied, and (unless the deadline ends first) votes. Idempotent.
  virtual Status join(const std::string& address, Deadline deadline) = 0;
  // Asks the leader, whoever that is, to remove a member, to change its role or to hand leadership over, and
  // returns when the cluster has agreed and this node knows. What may succeed in a moment (another change is under
  // way, no leader) is tried until `deadline`.
  virtual Result<MemberAnswer> change_members(const MemberChange& change, Deadline deadline) = 0;
  // Makes this member a cluster of one that keeps what it holds (raft/node/lone_cluster.h), if `force`d and if no
  // majority of its voters answers; it may write on return, unless the text says that it must be started again before.
  // Without `force` nothing is changed. The text says what was done, or would be: what is kept, and what may be lost.
  virtual Result<std::string> recover(bool force, Deadline deadline) = 0;
  // Hands leadership over if this node leads, says goodbye, and ends the threads as far as the deadline
  // allows. Safe at process exit and from inside a statement: never joins a thread past the deadline.
  virtual void stop(Deadline deadline) = 0;

  // --- the state machine's proposals ---
  // Never waits. The fate comes through `StateMachine::apply` or `proposal_dropped`. Ids are the caller's
  // own, unique in this process.
  virtual void propose(Proposal proposal) = 0;
  // A command that depends on nothing, proposed by whoever leads now: forwarded if that is another node.
  // Returns the index at which it was committed.
  virtual Result<Index> propose_anywhere(SharedBytes payload, Deadline deadline) = 0;
  // Confirms that this node leads `term` with a ReadIndex round begun after the call (not the applied state:
  // a leader that published everything it acknowledged needs no more).
  virtual Status confirm_leadership(Term term, Deadline deadline) = 0;
  // Returns when this node has applied all that was committed anywhere in the cluster before the call: a
  // linearizable read may follow. Asks whoever leads, and the next leader if that one is deposed meanwhile.
  virtual Status read_barrier(Deadline deadline) = 0;
  // Asks the state machine of a member, which may be this node's own (StateMachine::inquire). However long it takes:
  // only a member that nothing is heard of for `silence` is given up, with kTimeout.
  virtual std::unique_ptr<PendingAnswer> inquire(NodeId member, SharedBytes question,
                                                 Clock::duration silence) = 0;
  // The state machine doubts a part of its state until it takes that back with an empty sentence: this node hands
  // leadership over and campaigns only if nobody else can lead for long. `reason` is shown as a warning [B9].
  virtual void set_doubt(const std::string& reason) = 0;
  // The state machine found its state to be wrong for good: poisons the node. Never waits.
  virtual void fail(const Status& reason) = 0;
  // The durable point rose: the log's prefix may be dropped. Never waits.
  virtual void durable_point_moved() = 0;
  // The same, and waits until what can be dropped now has been: NodeStatus::log_bytes_dropped after it.
  virtual Result<uint64_t> drop_log_prefix(Deadline deadline) = 0;

  // --- waiting and looking ---
  // Until entries up to `index` are applied here.
  virtual Status wait_applied(Index index, Deadline deadline) = 0;
  // Until what this node's log held when it was opened is committed and applied: before that it may know less
  // than it acknowledged in its last life [A2].
  virtual Status wait_caught_up(Deadline deadline) = 0;
  [[nodiscard]] virtual bool is_caught_up() const = 0;  // cheap; true for ever once true
  // Until a leader is known (or this node is one), or it is clear that there is none to wait for.
  virtual Status wait_leader(Deadline deadline) = 0;
  [[nodiscard]] virtual Standing standing() const = 0;    // cheap: one atomic load
  [[nodiscard]] virtual Index durable_index() const = 0;  // cheap; min(durable, committed)
  [[nodiscard]] virtual NodeStatus status() const = 0;

  // In a forked child: closes every descriptor; nothing else works afterwards.
  virtual void close_after_fork() = 0;
};

}  // namespace dqlite::raft
