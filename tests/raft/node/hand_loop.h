// The loop and the network of a member, on the test's own thread: jobs wait until the test runs them, and what is
// sent is kept.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "raft/net/network.h"
#include "raft/node/executor.h"

namespace dqlite::raft {

class HandExecutor final : public Executor {
 public:
  bool post(Job job) override {
    jobs_.push_back(std::move(job));
    return true;
  }
  void call_soon(int) override {}
  [[nodiscard]] Deadline now() const override { return Clock::now(); }

  // False: there was nothing to do.
  bool run() {
    if (jobs_.empty()) return false;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
    return true;
  }

 private:
  std::deque<Job> jobs_;
};

class KeepingNetwork final : public net::Network {
 public:
  void set_peer(NodeId, const net::Address&) override {}
  void keep_peers(const std::vector<NodeId>& peers) override { kept = peers; }
  [[nodiscard]] std::vector<NodeId> peers() const override { return {}; }
  [[nodiscard]] bool has_peer(NodeId) const override { return true; }
  bool send(const Message& message) override {
    sent.push_back(message);
    return true;
  }
  bool send_forward(NodeId, const net::ForwardRequest&) override { return false; }
  bool send_member_request(NodeId, const net::MemberRequest&) override { return false; }
  bool send_inquiry(NodeId, const net::Inquiry&) override { return false; }
  void wake(NodeId) override {}
  bool send_boot_report(NodeId, const net::BootReport&) override { return false; }
  [[nodiscard]] bool hears(uint64_t, uint64_t) const override { return false; }
  [[nodiscard]] bool answers(NodeId peer) const override { return answering.contains(peer); }
  void refuse_members(const std::function<Status(const net::Hello&)>& judge) override {
    std::erase_if(greeted, [&](const net::Hello& hello) { return !judge(hello); });
  }
  void reply(net::ConnectionId, const net::JoinReply&) override {}
  void reply(net::ConnectionId, const net::ForwardReply&) override {}
  void reply(net::ConnectionId, const net::MemberReply&) override {}
  void reply(net::ConnectionId, const net::InquiryReply&) override {}
  [[nodiscard]] Status link_failure(NodeId) const override { return Status::ok(); }
  [[nodiscard]] Status link_refusal(NodeId peer) const override {
    const auto found = refusals.find(peer);
    return found == refusals.end() ? Status::ok() : found->second;
  }

  std::deque<Message> sent;
  std::optional<std::vector<NodeId>> kept;
  std::vector<net::Hello> greeted;
  std::set<NodeId> answering;
  std::map<NodeId, Status> refusals;
};

}  // namespace dqlite::raft
