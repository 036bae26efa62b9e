// One life of a node: the production parts from the log to the driver's turn, on lanes in virtual time.
//
// Stands for raft::Driver, RealNode and the transport, which are made of libuv: the order of a turn is the
// driver's (what arrived, the core's outputs, the sends, then the log writer and the applier). Everything
// else is the node's own code.
#pragma once

#include <optional>

#include "raft/node/live_member.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/sim_lane.h"

namespace dqlite::raft::sim {

class SimProcess final : public Executor, public net::Network, public BootMemory, public NetworkHost {
 public:
  explicit SimProcess(SimHost& host);
  ~SimProcess() override;

  // --- Executor ---
  bool post(Job job) override;
  void call_soon(int delay_ms) override;
  [[nodiscard]] Deadline now() const override;

  // --- net::Network ---
  void set_peer(NodeId peer, const net::Address& address) override { peers_[peer] = address.text(); }
  void keep_peers(const std::vector<NodeId>& peers) override;
  [[nodiscard]] std::vector<NodeId> peers() const override;
  [[nodiscard]] bool has_peer(NodeId peer) const override { return peers_.contains(peer); }
  bool send(const Message& message) override;
  void wake(NodeId peer) override;
  bool send_forward(NodeId peer, const net::ForwardRequest& request) override;
  bool send_member_request(NodeId peer, const net::MemberRequest& request) override;
  bool send_inquiry(NodeId, const net::Inquiry&) override { return false; }
  bool send_boot_report(NodeId peer, const net::BootReport& report) override;
  [[nodiscard]] bool hears(uint64_t instance, uint64_t boot_nonce) const override {
    return host_.world.network.hears(*this, instance, boot_nonce);
  }
  [[nodiscard]] bool answers(NodeId peer) const override;
  void refuse_members(const std::function<Status(const net::Hello&)>& judge) override;
  void reply(net::ConnectionId to, const net::JoinReply& reply) override;
  void reply(net::ConnectionId to, const net::MemberReply& reply) override;
  void reply(net::ConnectionId, const net::InquiryReply&) override {}
  void reply(net::ConnectionId to, const net::ForwardReply& reply) override;
  [[nodiscard]] Status link_failure(NodeId peer) const override;
  [[nodiscard]] Status link_refusal(NodeId peer) const override { return link_failure(peer); }

  // --- BootMemory ---
  Status remember_peer(uint64_t instance, uint64_t boot_counter) override;
  [[nodiscard]] uint64_t peer_boot_counter(uint64_t instance) const override;

  // --- NetworkHost ---
  [[nodiscard]] int host() const override { return host_.number(); }
  [[nodiscard]] uint64_t life() const override { return life_; }
  void arrive(Micros delay, std::function<void()> job) override;
  net::Hello greeting(NodeId) override { return greeter_.greeting(); }
  Status judge_greeting(const net::Hello& hello) override;
  Status judge_answer(NodeId peer, const net::Hello& answer) override {
    return greeter_.judge_answer(peer, answer);
  }
  void handle_frame(net::ConnectionId from, NodeId sender, const net::Frame& frame) override;
  void link_lost(NodeId peer) override;
  void link_judged(NodeId peer, const Status& status) override { link_status_[peer] = status; }

  // --- its life ---
  void begin();  // the ticks
  void become_member(const MemberFiles& files);
  void begin_joining();
  void stop_in_order();
  // Of its lanes, the first work that is due is done at once. False: none is.
  bool work_now();
  // Many ticks at once, or none for a while.
  void jump_clock(int ticks);
  void starve(Micros duration) { starved_until_ = host_.world.timeline.now() + duration; }

  // --- what clients and operators ask; each outcome goes to the book ---
  void write(uint64_t stream, size_t padding);
  void write_anywhere(size_t padding, Micros patience);
  void confirm_leadership();
  void hand_over();
  void change_members(const MemberChange& change, Micros patience);
  // Of the leader's core, at once: for scenarios.
  Result<Index> change(const std::function<Result<Index>(Core&)>& change);
  void make_checkpoint();

  [[nodiscard]] const LiveMember* member() const { return member_.get(); }
  // Only of a member.
  [[nodiscard]] const Core& core() const { return member_->core(); }
  [[nodiscard]] Log& log() const { return *log_; }
  [[nodiscard]] const SimMachine& machine() const { return machine_; }
  [[nodiscard]] const Published& published() const { return published_; }
  [[nodiscard]] bool is_poisoned() const { return poisoned_.has_value(); }
  [[nodiscard]] const Status& fault() const { return *poisoned_; }
  [[nodiscard]] SimMachine& machine() { return machine_; }
  [[nodiscard]] bool leads() const { return member_ && !poisoned_ && core().role() == Role::kLeader; }

 private:
  struct Command {
    uint64_t write;
    IndexCompletion completion;
  };
  struct Read {
    Index acked_before;
    StatusCompletion completion;
  };

  std::unique_ptr<SimLane> lane(SimLane*& kept, const SimLane::Latency& latency);
  void schedule(Micros delay, std::function<void()> event) { host_.schedule(delay, life_, std::move(event)); }
  void request_turn();
  void turn();
  void tick();
  void poison(const Status& reason);
  void ask_to_join(const std::string& target);
  void handle_join_reply(const net::JoinReply& reply);
  void enter(const net::JoinReply& reply);
  void handle_own_fate(uint64_t write, const Result<Index>& fate);
  void handle_applied(const Entry& entry);
  void log_progressed();
  void settle_questions();
  void note_logged();
  void observe();
  void observe_commits();
  void shut_down();
  void wait_for_writer();

  static constexpr Index kNoIndex = UINT64_MAX;

  SimHost& host_;
  const uint64_t life_;
  std::map<NodeId, std::string> peers_;
  std::map<NodeId, Status> link_status_;
  std::vector<Job> jobs_;
  bool turn_is_due_ = false;
  bool soon_is_due_ = false;
  std::optional<Status> poisoned_;
  Micros clock_ahead_ = 0;
  Micros starved_until_ = 0;
  bool is_shutting_down_ = false;

  // --- joining ---
  bool joins_ = false;
  uint64_t join_attempt_ = 0;
  std::string asked_;

  // --- what it was asked ---
  std::vector<Command> commands_;
  std::vector<Read> reads_;
  std::vector<StatusCompletion> transfers_;
  std::vector<MemberCompletion> changes_;

  // --- what was seen ---
  std::map<Index, Term> logged_;
  Index seen_commit_ = 0;
  Index observed_commit_ = 0;
  Index seen_start_ = kNoIndex;
  Term seen_term_ = 0;
  uint64_t turns_ = 0;
  Index seen_applied_ = 0;
  Role seen_role_ = Role::kFollower;

  // --- the production parts ---
  Published published_;
  SimMachine machine_;
  SimLane* reader_lane_ = nullptr;
  SimLane* writer_lane_ = nullptr;
  SimLane* applier_lane_ = nullptr;
  Worker reader_;
  LogWriter writer_;
  Applier applier_;
  Greeter greeter_;
  std::shared_ptr<Log> log_;
  std::unique_ptr<LiveMember> member_;
};

}  // namespace dqlite::raft::sim
