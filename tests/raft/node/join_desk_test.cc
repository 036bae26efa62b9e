// The leader's answers to a node that asks to be taken in, over loopback.
#include "raft/node/join_desk.h"

#include "raft/net/exchange.h"
#include "raft/net/transport.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

constexpr NodeId kDesk = 1;
constexpr NodeId kOther = 2;

// Lets everybody in who asks to join, as far as the desk.
class Door final : public net::TransportDelegate {
 public:
  net::Hello greeting(NodeId) override { return {}; }
  Status judge_greeting(const net::Hello&) override { return Status::ok(); }
  Status judge_answer(NodeId, const net::Hello&) override { return Status::ok(); }
  void handle_message(Message) override {}
  void handle_heard(NodeId) override {}
  void handle_join(net::ConnectionId from, const net::JoinRequest& request) override {
    desk->handle(from, request);
    asked++;
  }
  void handle_forward(net::ConnectionId, net::ForwardRequest) override {}
  void handle_forward_reply(NodeId, const net::ForwardReply&) override {}
  void handle_member_request(net::ConnectionId, const net::MemberRequest&) override {}
  void handle_member_reply(NodeId, const net::MemberReply&) override {}
  void handle_inquiry(net::ConnectionId, net::Inquiry) override {}
  void handle_inquiry_reply(NodeId, net::InquiryReply) override {}
  void handle_boot_report(NodeId, const net::BootReport&) override {}
  void handle_link_lost(NodeId) override {}

  JoinDesk* desk = nullptr;
  int asked = 0;
};

Recovered of_two_voters() {
  Recovered recovered;
  recovered.hard_state.term = 1;
  recovered.start.last = {10, 1};
  recovered.start.configuration.members = {{kDesk, 11, "here:1", MemberRole::kVoter, false},
                                           {kOther, 22, "there:2", MemberRole::kVoter, false}};
  recovered.start.configuration_index = 1;
  recovered.last_index = recovered.commit = 10;
  return recovered;
}

CoreOptions options_of_desk() {
  CoreOptions options;
  options.self = kDesk;
  return options;
}

}  // namespace

TEST_GROUP(JoinDesk) {
  uv_loop_t loop;
  net::Context context;
  Door door;
  net::Address address;
  std::unique_ptr<net::Transport> transport;
  Core core{options_of_desk(), of_two_voters()};
  std::unique_ptr<JoinDesk> desk;
  std::unique_ptr<net::Exchange> exchange;
  std::optional<Result<net::JoinReply>> answer;

  void setup() override {
    uv_loop_init(&loop);
    context.loop = &loop;
    transport = std::make_unique<net::Transport>(context, door);
    const net::Address any = *net::parse_address("127.0.0.1:0");
    WORKS(transport->listen(any, *net::resolve_blocking(any), address));
    desk = std::make_unique<JoinDesk>(core, *transport, ClusterId{7, 7});
    door.desk = desk.get();
  }
  void teardown() override {
    exchange.reset();
    transport.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    LONGS_EQUAL(0, uv_loop_close(&loop));
  }

  bool run_until(const std::function<bool()>& condition) {
    return eventually([&] {
      context.flush_all();
      uv_run(&loop, UV_RUN_NOWAIT);
      return condition();
    });
  }
  // Everything that leaves is answered as the other voter would if it agreed to it.
  void agree_to(const Message& message) {
    if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
      core.step({kOther, kDesk, message.term, VoteResponse{request->pre_vote, true}});
    }
    if (const auto* request = std::get_if<AppendRequest>(&message.body)) {
      const Index match = request->previous.index + request->entries.size();
      core.step({kOther, kDesk, message.term, AppendResponse{.match = match, .last = match}});
    }
  }
  void take_with_agreement() {
    for (Output output = core.take(); !output.empty(); output = core.take()) {
      for (const Persist& persist : output.persist) {
        core.persisted(persist.token);
        for (const Message& message : persist.after) agree_to(message);
      }
      for (const Message& message : output.send) agree_to(message);
    }
  }
  void lead() {
    for (int i = 0; i < 100 && (core.role() != Role::kLeader || core.commit_index() == 10); i++) {
      core.tick();
      take_with_agreement();
    }
    CHECK(core.role() == Role::kLeader);
  }
  void be_deposed() {
    core.step({kOther, kDesk, core.term() + 1, AppendRequest{}});
    LONGS_EQUAL(kOther, core.leader());
  }
  void ask() {
    const net::JoinRequest request{33, "joiner:3", address.text()};
    exchange =
        std::make_unique<net::Exchange>(context, address, 0, net::Hello{}, request, 10000,
                                        [this](Result<net::JoinReply> reply) { answer = std::move(reply); });
    CHECK(run_until([this] { return door.asked == 1 || answer; }));
  }
  net::JoinReply answered() {
    desk->answer_committed();
    CHECK(run_until([this] { return answer.has_value(); }));
    WORKS(answer->status());
    return **answer;
  }
};

TEST(JoinDesk, a_joiner_is_a_member_when_the_cluster_has_agreed) {
  lead();
  ask();
  take_with_agreement();
  const net::JoinReply reply = answered();
  CHECK(reply.code == net::JoinCode::kMember);
  LONGS_EQUAL(core.configuration().find_instance(33)->id, reply.node_id);
}

TEST(JoinDesk, a_member_that_does_not_lead_names_the_leader) {
  lead();
  be_deposed();
  ask();
  const net::JoinReply reply = answered();
  CHECK(reply.code == net::JoinCode::kRedirect);
  STRCMP_EQUAL("there:2", reply.redirect.c_str());
}

// A plain redirect would mean that nothing was done for it so far.
TEST(JoinDesk, a_leader_that_was_deposed_with_the_change_in_its_log_says_later) {
  lead();
  ask();
  CHECK(core.configuration().find_instance(33) != nullptr);
  be_deposed();
  CHECK(answered().code == net::JoinCode::kLater);
}
