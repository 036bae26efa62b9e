#include "raft/net/transport.h"

#include <algorithm>
#include <cerrno>

#include "raft/net/inbound.h"

namespace dqlite::raft::net {

namespace {

constexpr int kBacklog = 128;
constexpr size_t kMaxInbound = 1024;
constexpr uint64_t kReceivingIntervalMs = 50;
constexpr uint64_t kHeardMs = 2500;  // more than twice the interval at which members ping each other

Status cannot_listen(const Address& address, int code) {
  if (code == UV_EADDRINUSE) {
    return {Code::kBusy,
            "cannot listen on " + address.text() +
                ": address already in use; choose another listen= or stop the process that has it"};
  }
  return {Code::kInvalid, "cannot listen on " + address.text() + ": " + uv_strerror(code)};
}

uint16_t bound_port(const uv_tcp_t& handle) {
  sockaddr_storage name{};
  int size = sizeof(name);
  if (uv_tcp_getsockname(&handle, reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(name).sin6_port
                                          : reinterpret_cast<sockaddr_in&>(name).sin_port);
}

}  // namespace

Transport::Transport(Context& context, TransportDelegate& delegate)
    : context_(context), delegate_(delegate) {}

Transport::~Transport() {
  close();
}

Status Transport::listen(const Address& address, const sockaddr_storage& socket_address, Address& bound) {
  listener_ = new uv_tcp_t;
  uv_tcp_init(context_.loop, listener_);
  listener_->data = this;
  int code = uv_tcp_bind(listener_, reinterpret_cast<const sockaddr*>(&socket_address), 0);
  const auto arrived = [](uv_stream_t* stream, int status) {
    if (status == 0) static_cast<Transport*>(stream->data)->accept_one();
  };
  if (code == 0) code = uv_listen(reinterpret_cast<uv_stream_t*>(listener_), kBacklog, arrived);
  if (code != 0) return cannot_listen(address, code);
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(listener_), &descriptor) == 0) {
    listener_descriptor_ = descriptor;
    context_.descriptors.add(descriptor);
  }
  bound = address;
  bound.port = bound_port(*listener_);
  return Status::ok();
}

void Transport::close() {
  if (closed_) return;
  closed_ = true;
  if (listener_ != nullptr) {
    if (listener_descriptor_ >= 0) context_.descriptors.remove(listener_descriptor_);
    uv_close(reinterpret_cast<uv_handle_t*>(listener_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
    listener_ = nullptr;
  }
  for (auto& [id, inbound] : inbound_) inbound->close();
  for (auto& [peer, link] : links_) link->close();
}

void Transport::accept_one() {
  if (closed_) return;
  const ConnectionId id = next_id_++;
  auto inbound = std::make_unique<Inbound>(*this, id);
  Connection* connection = Connection::accept(context_, *inbound, reinterpret_cast<uv_stream_t*>(listener_));
  if (connection == nullptr) return;
  if (inbound_.size() >= kMaxInbound) return connection->close();
  inbound->attach(connection);
  inbound_.emplace(id, std::move(inbound));
}

void Transport::forget(ConnectionId id) {
  const auto found = inbound_.find(id);
  if (found == inbound_.end()) return;
  found->second->close();
  forgotten_.push_back(std::move(found->second));
  inbound_.erase(found);
}

Transport::Inbound* Transport::find(ConnectionId id) {
  const auto found = inbound_.find(id);
  return found == inbound_.end() ? nullptr : found->second.get();
}

// A member has one connection to us: a new one means that it gave the old one up. And it is there, so that
// our own link to it need not wait.
void Transport::greeted(Inbound& inbound) {
  const NodeId node = inbound.node_id();
  if (node == 0) return;
  std::vector<ConnectionId> older;
  for (const auto& [id, other] : inbound_) {
    if (other->node_id() == node && id != inbound.id()) older.push_back(id);
  }
  for (ConnectionId id : older) forget(id);
  wake(node);
}

// A member that receives a long message of ours cannot answer it yet, and so tells us that it is busy with
// it.
void Transport::note_partial(NodeId from) {
  delegate_.handle_heard(from);
  const uint64_t now = uv_now(context_.loop);
  uint64_t& noted = partial_noted_ms_[from];
  if (noted != 0 && now < noted + kReceivingIntervalMs) return;
  noted = now;
  const auto link = links_.find(from);
  if (link != links_.end() && link->second->is_ready())
    link->second->send(encode_empty(FrameType::kReceiving));
}

void Transport::set_peer(NodeId peer, const Address& address) {
  if (closed_) return;
  std::unique_ptr<PeerLink>& link = links_[peer];
  if (link) {
    link->set_address(address);
  } else {
    PeerLinkDelegate& self = *this;
    link = std::make_unique<PeerLink>(context_, self, peer, address);
  }
}

void Transport::keep_peers(const std::vector<NodeId>& peers) {
  std::erase_if(links_, [&](const auto& item) {
    return std::find(peers.begin(), peers.end(), item.first) == peers.end();
  });
}

std::vector<NodeId> Transport::peers() const {
  std::vector<NodeId> peers;
  for (const auto& [peer, link] : links_) peers.push_back(peer);
  return peers;
}

bool Transport::send(const Message& message) {
  const auto link = links_.find(message.to);
  if (closed_ || link == links_.end() || !link->second->accepts()) return false;
  if (!link->second->send(encode(message))) return false;
  messages_sent_++;
  return true;
}

bool Transport::send_forward(NodeId peer, const ForwardRequest& request) {
  const auto link = links_.find(peer);
  return !closed_ && link != links_.end() && link->second->send(encode(request));
}

// Where there is no connection, one is begun.
template <typename T>
bool Transport::send_or_wake(NodeId peer, const T& request) {
  const auto link = links_.find(peer);
  if (closed_ || link == links_.end()) return false;
  if (link->second->is_ready()) return link->second->send(encode(request));
  link->second->wake();
  return false;
}

bool Transport::send_member_request(NodeId peer, const MemberRequest& request) {
  return send_or_wake(peer, request);
}

bool Transport::send_inquiry(NodeId peer, const Inquiry& inquiry) {
  return send_or_wake(peer, inquiry);
}

void Transport::wake(NodeId peer) {
  const auto link = links_.find(peer);
  if (!closed_ && link != links_.end()) link->second->wake();
}

bool Transport::send_boot_report(NodeId peer, const BootReport& report) {
  const auto link = links_.find(peer);
  return !closed_ && link != links_.end() && link->second->is_ready() && link->second->send(encode(report));
}

bool Transport::answers(NodeId peer) const {
  const auto link = links_.find(peer);
  return link != links_.end() && link->second->is_ready() &&
         uv_now(context_.loop) < link->second->progress_ms() + kHeardMs;
}

bool Transport::hears(uint64_t instance, uint64_t boot_nonce) const {
  const uint64_t now = uv_now(context_.loop);
  return std::any_of(inbound_.begin(), inbound_.end(), [&](const auto& item) {
    const Inbound& inbound = *item.second;
    return inbound.hello().instance == instance && inbound.hello().boot_nonce == boot_nonce &&
           inbound.is_open() && now < inbound.arrived_ms() + kHeardMs;
  });
}

void Transport::refuse_members(const std::function<Status(const Hello&)>& judge) {
  std::vector<std::pair<Inbound*, Status>> unwanted;
  for (const auto& [id, inbound] : inbound_) {
    if (inbound->node_id() == 0) continue;
    Status judged = judge(inbound->hello());
    if (!judged) unwanted.emplace_back(inbound.get(), std::move(judged));
  }
  for (const auto& [inbound, reason] : unwanted) inbound->refuse(reason);
}

void Transport::reply(ConnectionId to, const JoinReply& reply) {
  if (Inbound* inbound = find(to)) inbound->send(encode(reply));
}

void Transport::reply(ConnectionId to, const ForwardReply& reply) {
  if (Inbound* inbound = find(to)) inbound->send(encode(reply));
}

void Transport::reply(ConnectionId to, const MemberReply& reply) {
  if (Inbound* inbound = find(to)) inbound->send(encode(reply));
}

void Transport::reply(ConnectionId to, const InquiryReply& reply) {
  if (Inbound* inbound = find(to)) inbound->send(encode(reply));
}

void Transport::tick() {
  if (closed_) return;
  forgotten_.clear();
  const uint64_t now = uv_now(context_.loop);
  std::vector<Inbound*> inbound;
  for (const auto& [id, each] : inbound_) inbound.push_back(each.get());
  for (Inbound* each : inbound) each->tick(now);
  for (const auto& [peer, link] : links_) link->tick(now);
}

Status Transport::link_failure(NodeId peer) const {
  const auto link = links_.find(peer);
  return link == links_.end() ? Status::ok() : link->second->last_failure();
}

Status Transport::link_refusal(NodeId peer) const {
  Status failure = link_failure(peer);
  const bool is_unreachable = failure.code() == Code::kIo || failure.code() == Code::kTimeout;
  return is_unreachable ? Status::ok() : failure;
}

Hello Transport::greeting_for(NodeId peer) {
  Hello hello = delegate_.greeting(peer);
  hello.expected_id = peer;
  return hello;
}

Status Transport::check_ack(NodeId peer, const Hello& answer) {
  return delegate_.judge_answer(peer, answer);
}

void Transport::link_frame(NodeId peer, const Frame& frame) {
  if (frame.type == FrameType::kForwardReply) {
    Result<ForwardReply> reply = decode_forward_reply(frame.body);
    if (reply) delegate_.handle_forward_reply(peer, *reply);
  } else if (frame.type == FrameType::kMemberReply) {
    Result<MemberReply> reply = decode_member_reply(frame.body);
    if (reply) delegate_.handle_member_reply(peer, *reply);
  } else if (frame.type == FrameType::kInquiryReply) {
    Result<InquiryReply> reply = decode_inquiry_reply(frame.body);
    if (reply) delegate_.handle_inquiry_reply(peer, std::move(*reply));
  }
}

void Transport::link_lost(NodeId peer) {
  delegate_.handle_link_lost(peer);
}

}  // namespace dqlite::raft::net
