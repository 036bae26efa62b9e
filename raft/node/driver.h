// What happens on a node's loop thread: the node's standing from new to member to stopped, and the way of
// every event to the part that knows what to do.
//
//   new ──bootstrap──► founding ──► member
//   new ──join──► joining ⇄ (asks again) ──taken in──► entering ──► member
//   member ──recover, by force──► leaving ──► member, alone
//
// Disk work of these steps (raft/node/member_files.h) is done by the reader. Loop thread only, but for the
// constructor and `begin_as`, which come before the loop runs. A fault of any part ends in `poison`: from
// then on nothing is sent, stored or acknowledged, the state machine and all waiters are told, and the node's
// files are left as they are.
#pragma once

#include <memory>

#include "raft/net/transport.h"
#include "raft/node/join_client.h"
#include "raft/node/live_member.h"
#include "raft/node/lone_cluster.h"
#include "raft/node/loop.h"

namespace dqlite::raft {

// What `Driver::recover` led to.
struct LoneAnswer {
  bool leads = false;  // soon, as a cluster of one
  std::string text;
};
using LoneCompletion = std::shared_ptr<Completion<Result<LoneAnswer>>>;

class Driver final : public LoopDelegate, public net::TransportDelegate {
 public:
  // Threads and state that the node owns and the driver uses.
  struct Parts {
    const NodeOptions& options;
    Disk& disk;
    IdentityFile& file;
    StateMachine& machine;
    Published& published;
    Worker& reader;
    LogWriter& writer;
    Applier& applier;
  };

  explicit Driver(const Parts& parts);

  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] net::Transport& transport() { return transport_; }

  // --- before the loop runs ---
  // Where others reach this node; empty without network.
  void set_address(const std::string& address);
  void begin_as_member(const MemberFiles& files) { become_member(files); }
  void resume_join(const net::Address& target);
  // A member that will be told at once to fail: nobody takes it for a new node meanwhile.
  void begin_as_failed() { phase_ = Phase::kEntering; }
  // What the node is, for `status` from the first moment on.
  void refresh_details();

  // --- asked by application threads, by way of the loop ---
  void bootstrap(bool adopted, StatusCompletion completion);
  // Completed with the index that must be applied here before the node counts as joined.
  void join(const net::Address& target, IndexCompletion completion);
  void propose(Proposal proposal);
  void propose_anywhere(SharedBytes payload, Deadline deadline, IndexCompletion completion);
  void change_members(const MemberChange& change, Deadline deadline, const MemberCompletion& completion);
  void inquire(NodeId member, const SharedBytes& question, Clock::duration silence,
               const AnswerCompletion& completion);
  void confirm_leadership(Term term, const StatusCompletion& completion);
  void read_index(const IndexCompletion& completion);
  void transfer_leadership(StatusCompletion completion);
  void recover(bool force, const LoneCompletion& completion);
  void set_doubt(const std::string& reason);
  void durable_point_moved();
  void drop_log_prefix(const BytesCompletion& completion);
  void shut_down();

  // --- told by the other threads, by way of the loop ---
  void poison(const Status& reason);
  void disk_full(const Status& status);
  void ticket_decided(uint64_t ticket, const Result<Index>& outcome);

 private:
  // kLeaving: a member that is made a cluster of one, until its identity says so.
  enum class Phase : uint8_t { kNew, kFounding, kJoining, kEntering, kMember, kLeaving, kEnded };

  // --- LoopDelegate ---
  void on_tick() override;
  void on_soon() override;
  void on_turn_end() override;
  void on_turn_sent() override;

  // --- net::TransportDelegate ---
  net::Hello greeting(NodeId) override { return greeter_.greeting(); }
  Status judge_greeting(const net::Hello& hello) override;
  Status judge_answer(NodeId peer, const net::Hello& answer) override {
    return greeter_.judge_answer(peer, answer);
  }
  void handle_message(Message message) override;
  void handle_heard(NodeId peer) override;
  void handle_join(net::ConnectionId from, const net::JoinRequest& request) override;
  void handle_forward(net::ConnectionId from, net::ForwardRequest request) override;
  void handle_forward_reply(NodeId from, const net::ForwardReply& reply) override;
  void handle_member_request(net::ConnectionId from, const net::MemberRequest& request) override;
  void handle_member_reply(NodeId from, const net::MemberReply& reply) override;
  void handle_inquiry(net::ConnectionId from, net::Inquiry inquiry) override;
  void handle_inquiry_reply(NodeId from, net::InquiryReply reply) override;
  void handle_boot_report(NodeId from, const net::BootReport& report) override;
  void handle_link_lost(NodeId peer) override;

  // --- becoming a member ---
  void founded(const Result<MemberFiles>& files);
  void store_target(const net::Address& target);
  void target_not_stored(const Status& reason);
  void begin_asking(const net::Address& target);
  void retire_join_client();
  void taken_in(const net::JoinReply& reply);
  void entered(const net::JoinReply& reply, const net::Address& leader, const Result<MemberFiles>& files);
  void become_member(const MemberFiles& files);
  void join_held_up();
  void store_removal();
  void set_identity(const Identity& identity);
  void publish_standing(Standing standing);
  void abandon_join(const Status& reason);
  void join_as_member(const net::Address& target, const IndexCompletion& completion);
  [[nodiscard]] net::JoinReply answer_without_cluster(const net::JoinRequest& request) const;

  // --- becoming a cluster of one (driver_recovery.cc) ---
  void roll_called(bool force, const Status& refusal, const LoneCompletion& completion);
  void decided(const LonePlan& plan, const Result<Identity>& identity, const LoneCompletion& completion);
  void maybe_end_being_alone();

  // --- the end ---
  [[nodiscard]] Status refusal_without_cluster() const;
  void end(Standing standing, const Status& reason);

  const Parts parts_;
  Loop loop_;
  net::Transport transport_;
  Greeter greeter_;
  std::string address_;
  Identity identity_;
  Phase phase_ = Phase::kNew;
  Status end_reason_;
  bool details_are_stale_ = true;
  // Some cluster may count this node as a member because of an earlier request.
  bool join_may_have_effect_ = false;
  Index alone_at_ = 0;  // the entry that makes this node a cluster of one, until that is committed
  std::unique_ptr<LiveMember> member_;
  std::unique_ptr<JoinClient> join_client_;
  std::unique_ptr<JoinClient> finished_join_client_;  // its callback may still be on the stack
  // A member that asks whether a node is of its own cluster.
  std::unique_ptr<net::Exchange> probe_;
  std::vector<IndexCompletion> join_waiters_;
  std::vector<StatusCompletion> founding_waiters_;
};

}  // namespace dqlite::raft
