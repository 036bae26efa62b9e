// The consensus of one member, driven: carries the core's outputs to disk, network and state machine, and
// what comes back to the core (the duties named at the head of raft/core/core.h).
//
// Exists once this node is member of a cluster, and then for as long as the node. Loop thread only. Whatever
// goes wrong for good is told to `MemberServices::poison`, after which nobody calls a method but `fail_all`
// and `fill`.
#pragma once

#include <deque>
#include <unordered_map>

#include "raft/node/applier.h"
#include "raft/node/compactor.h"
#include "raft/node/forwarder.h"
#include "raft/node/greeter.h"
#include "raft/node/inquirer.h"
#include "raft/node/join_desk.h"
#include "raft/node/log_writer.h"
#include "raft/node/lone_cluster.h"
#include "raft/node/member_client.h"
#include "raft/node/member_desk.h"
#include "raft/node/member_files.h"
#include "raft/node/role_tender.h"
#include "raft/node/roll_call.h"
#include "raft/node/snapshot_receiver.h"
#include "raft/node/snapshot_sender.h"
#include "raft/node/space_watch.h"

namespace dqlite::raft {

struct MemberServices {
  const NodeOptions& options;
  StateMachine& machine;
  Published& published;
  Executor& loop;
  Worker& reader;
  LogWriter& writer;
  Applier& applier;
  net::Network& network;
  Disk& disk;
  Greeter& greeter;
  std::function<void(const Status&)> poison;
  std::function<void()> removed;  // this node learned that the cluster removed it
};

class LiveMember {
 public:
  LiveMember(const MemberServices& services, const Identity& identity, std::string own_address,
             const MemberFiles& files);

  // --- from the network ---
  void step(const Message& message) {
    silent_ticks_ = 0;
    core_.step(message);
  }
  void heard_from(NodeId peer) { core_.heard_from(peer); }
  void link_lost(NodeId peer);
  void handle_join(net::ConnectionId from, const net::JoinRequest& request) { desk_.handle(from, request); }
  void handle_forward(net::ConnectionId from, net::ForwardRequest request);
  void handle_forward_reply(NodeId from, const net::ForwardReply& reply) {
    forwarder_.handle_reply(from, reply);
  }

  void handle_member_request(net::ConnectionId from, const net::MemberRequest& request) {
    member_desk_.handle(from, request);
  }
  void handle_boot_report(NodeId from, const net::BootReport& report);
  void handle_member_reply(NodeId from, const net::MemberReply& reply) {
    member_client_.handle_reply(from, reply);
  }

  void handle_inquiry(net::ConnectionId from, net::Inquiry inquiry) {
    inquirer_.handle_inquiry(from, std::move(inquiry));
  }
  void handle_inquiry_reply(NodeId from, net::InquiryReply reply) {
    inquirer_.handle_reply(from, std::move(reply));
  }

  // --- from application threads ---
  void propose(Proposal proposal);
  void propose_anywhere(SharedBytes payload, Deadline deadline, IndexCompletion completion);
  void change_members(const MemberChange& change, Deadline deadline, MemberCompletion completion);
  void inquire(NodeId member, SharedBytes question, Clock::duration silence, AnswerCompletion completion) {
    inquirer_.ask(member, std::move(question), silence, std::move(completion));
  }
  void confirm_leadership(Term term, const StatusCompletion& completion);
  // Completed with an index at which the state holds all that was committed anywhere before this call.
  void read_index(const IndexCompletion& completion);
  // Completed with ok if there is nothing to hand over.
  void transfer_leadership(StatusCompletion completion);
  // When this node leads and the no-op of its term is applied.
  void when_leading(StatusCompletion completion) { leading_waiters_.push_back(std::move(completion)); }
  void durable_point_moved() { compactor_.ask(); }
  void drop_prefix(BytesCompletion completion) { compactor_.ask(std::move(completion)); }
  void set_doubt(const std::string& reason) { doubt_ = reason; }

  // --- leaving a cluster that has lost its majority (raft/node/lone_cluster.h) ---
  // Ok: no majority answers.
  void call_roll(RollCall::Done done) { roll_call_.begin(std::move(done)); }
  [[nodiscard]] LonePlan lone_plan() const;
  // What its log lost or is about to lose can only be seen to when the files are opened again.
  [[nodiscard]] bool can_become_alone() const { return !core_.is_mute() && !core_.is_installing(); }
  // Its identity says so already. Forgets the others, and leads when its log says so; returns the index of that entry.
  Result<Index> become_alone(const Identity& identity);

  // --- from the other threads, by way of the loop ---
  void ticket_decided(uint64_t ticket, const Result<Index>& outcome) { forwarder_.decided(ticket, outcome); }

  void tick();
  // What could wait for a moment is done now.
  void soon();
  // Everything that arrived in this turn was handed in: carry out what follows.
  void turn();
  // The turn's messages are sent: what it left to the log writer and the applier begins.
  void wake_threads();
  // The node failed or stops: everybody who waits for this member is told.
  void fail_all(const Status& reason);

  [[nodiscard]] Index commit_index() const { return core_.commit_index(); }
  [[nodiscard]] const Core& core() const { return core_; }
  // The cluster agreed to remove this node.
  [[nodiscard]] bool is_removed() const { return removed_ || core_.was_removed(core_.self()); }
  // The cluster agreed to remove that one.
  [[nodiscard]] bool was_removed(NodeId id) const { return core_.was_removed(id); }
  // Of the member with that address: why one of the two refuses to talk to the other, or ok. Nothing: there is none.
  [[nodiscard]] std::optional<Status> link_to(const std::string& address) const;
  // All of the status that only the loop knows.
  void fill(NodeStatus& status) const;

 private:
  struct Outstanding {
    uint64_t token = 0;
    std::vector<Message> after;
  };

  void take_back_persisted();
  void take_back_applied();
  void process(Output& output);
  void process_configuration();
  void keep_links();
  void refuse_removed();
  void look_for_removal();
  void give_way();
  [[nodiscard]] bool hears_leader() const;
  void become_removed();
  void process_leadership(const LeadershipEvent& event);
  void process_persist(Persist& persist);
  void process_proposal(const ProposalOutcome& outcome);
  void apply_to(Index to);
  void read_log(const LogReadRequest& request);
  void installed(const LogStart& start);
  void repaired();
  [[nodiscard]] std::string own_trouble() const;
  [[nodiscard]] std::string problem_of(const Member& member) const;
  void link_members();
  void spread_boots();
  void propose_as(Origin origin, Proposal proposal);
  void publish();
  [[nodiscard]] Index report_at() const;
  [[nodiscard]] Standing standing() const;

  const MemberServices services_;
  const std::string own_address_;
  const std::shared_ptr<Log> log_;
  Core core_;
  SnapshotSender sender_;
  SnapshotReceiver receiver_;
  Compactor compactor_;
  JoinDesk desk_;
  Forwarder forwarder_;
  MemberDesk member_desk_;
  MemberClient member_client_;
  RoleTender tender_;
  RollCall roll_call_;
  Inquirer inquirer_;
  SpaceWatch space_;

  std::deque<Outstanding> outstanding_;  // handed to the log writer
  bool has_entries_to_apply_ = false;    // the applier is not woken for them yet
  bool is_late_ = false;                 // and has waited long enough
  Index apply_sent_ = 0;                 // handed to the applier, or installed
  Index applied_told_ = 0;               // told to the core
  Index caught_up_at_ = 0;               // see Node::wait_caught_up
  std::string damage_;                   // of the log, while this member is mute because of it
  std::string lost_;                     // the same, without what is done about it
  Index held_ = 0;                       // by the state machine, durably, at the start
  std::string doubt_;                    // the state machine's, of its own state
  int unled_ticks_ = 0;                  // while it leaves it to others to lead
  int hands_over_at_ = 0;                // because of that, when `ticks_` gets there
  bool removed_ = false;                 // told by another member, or found in the log
  bool has_leavers_ = false;             // links to some that were removed are kept until these know
  int ticks_ = 0;
  int leaderless_ticks_ = 0;
  int silent_ticks_ = 0;     // since a message of any member
  int boot_report_age_ = 0;  // of the leader's, in shortest election time-outs
  Index noop_ = 0;           // of the term this node leads
  uint64_t next_proposal_ = 1;
  std::unordered_map<ProposalId, Origin> origins_;
  uint64_t next_read_ = 1;
  std::unordered_map<uint64_t, std::function<void(const Status&, Index)>> reads_;
  Index waited_for_ = 0;  // by reads, to be applied
  std::vector<StatusCompletion> transfers_;
  std::vector<StatusCompletion> leading_waiters_;
};

}  // namespace dqlite::raft
