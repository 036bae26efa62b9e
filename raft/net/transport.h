// The network of one node: its listener, the connections others made to it, and its links to other members.
//
// Used by the node on its loop thread alone; nothing blocks. Messages may be lost (a member that cannot be
// reached, a queue that is full) and Raft repeats what matters. Every connection begins with a greeting that
// the delegate judges: another cluster, an unknown version, a copied directory are refused with a sentence. A
// hostile or broken sender costs its own connection and nothing else.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "raft/net/network.h"
#include "raft/net/peer_link.h"

namespace dqlite::raft::net {

class TransportDelegate {
 public:
  virtual ~TransportDelegate() = default;
  // Who this node is now, said to the member `peer` (0: to anybody).
  virtual Hello greeting(NodeId peer) = 0;
  // May this node talk to us? A failure is sent back as a refusal.
  virtual Status judge_greeting(const Hello& hello) = 0;
  // Is the node that answered the member `peer`?
  virtual Status judge_answer(NodeId peer, const Hello& answer) = 0;
  virtual void handle_message(Message message) = 0;
  // A part of a message of `peer`, not whole yet, arrived [B13].
  virtual void handle_heard(NodeId peer) = 0;
  virtual void handle_join(ConnectionId from, const JoinRequest& request) = 0;
  virtual void handle_forward(ConnectionId from, ForwardRequest request) = 0;
  virtual void handle_forward_reply(NodeId from, const ForwardReply& reply) = 0;
  virtual void handle_member_request(ConnectionId from, const MemberRequest& request) = 0;
  virtual void handle_member_reply(NodeId from, const MemberReply& reply) = 0;
  virtual void handle_inquiry(ConnectionId from, Inquiry inquiry) = 0;
  virtual void handle_inquiry_reply(NodeId from, InquiryReply reply) = 0;
  virtual void handle_boot_report(NodeId from, const BootReport& report) = 0;
  // The link is gone: requests on it have an unknown outcome.
  virtual void handle_link_lost(NodeId peer) = 0;
};

class Transport final : public Network, private PeerLinkDelegate {
 public:
  Transport(Context& context, TransportDelegate& delegate);
  ~Transport() override;

  // Binds and listens. kBusy with a sentence if the address is in use. `bound` gets the port that was chosen
  // for 0.
  Status listen(const Address& address, const sockaddr_storage& socket_address, Address& bound);
  // Stops listening and closes every connection. The transport sends and receives nothing more.
  void close();

  // --- Network ---
  void set_peer(NodeId peer, const Address& address) override;
  void keep_peers(const std::vector<NodeId>& peers) override;
  [[nodiscard]] std::vector<NodeId> peers() const override;
  [[nodiscard]] bool has_peer(NodeId peer) const override { return links_.count(peer) != 0; }
  bool send(const Message& message) override;
  bool send_forward(NodeId peer, const ForwardRequest& request) override;
  bool send_member_request(NodeId peer, const MemberRequest& request) override;
  bool send_inquiry(NodeId peer, const Inquiry& inquiry) override;
  void wake(NodeId peer) override;
  bool send_boot_report(NodeId peer, const BootReport& report) override;
  [[nodiscard]] bool hears(uint64_t instance, uint64_t boot_nonce) const override;
  [[nodiscard]] bool answers(NodeId peer) const override;
  void refuse_members(const std::function<Status(const Hello&)>& judge) override;
  void reply(ConnectionId to, const JoinReply& reply) override;
  void reply(ConnectionId to, const ForwardReply& reply) override;
  void reply(ConnectionId to, const MemberReply& reply) override;
  void reply(ConnectionId to, const InquiryReply& reply) override;
  [[nodiscard]] Status link_failure(NodeId peer) const override;
  [[nodiscard]] Status link_refusal(NodeId peer) const override;

  void tick();
  [[nodiscard]] uint64_t messages_sent() const { return messages_sent_; }

 private:
  template <typename T>
  bool send_or_wake(NodeId peer, const T& request);
  class Inbound;

  Hello greeting_for(NodeId peer) override;
  Status check_ack(NodeId peer, const Hello& answer) override;
  void link_frame(NodeId peer, const Frame& frame) override;
  void link_lost(NodeId peer) override;

  void accept_one();
  void forget(ConnectionId id);
  Inbound* find(ConnectionId id);
  void greeted(Inbound& inbound);
  void note_partial(NodeId from);

  Context& context_;
  TransportDelegate& delegate_;
  uv_tcp_t* listener_ = nullptr;
  int listener_descriptor_ = -1;
  bool closed_ = false;
  ConnectionId next_id_ = 1;
  std::map<ConnectionId, std::unique_ptr<Inbound>> inbound_;
  std::vector<std::unique_ptr<Inbound>> forgotten_;  // may still be on the stack: freed by `tick`
  std::map<NodeId, std::unique_ptr<PeerLink>> links_;
  std::map<NodeId, uint64_t> partial_noted_ms_;
  uint64_t messages_sent_ = 0;
};

}  // namespace dqlite::raft::net
