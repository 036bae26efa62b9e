#include "raft/node/join_client.h"

namespace dqlite::raft {

namespace {

constexpr int kMaxRedirects = 5;
constexpr uint64_t kAnswerTimeoutMs = 10000;  // the leader answers when the cluster has agreed
constexpr uint64_t kSoonMs = 50;
constexpr uint64_t kLaterMs = 300;

}  // namespace

JoinClient::JoinClient(net::Context& context, const net::Address& target, const net::Hello& hello,
                       Events events)
    : context_(context), target_(target), hello_(hello), events_(std::move(events)), ask_at_(target) {}

void JoinClient::tick() {
  finished_.reset();
  const uint64_t now = uv_now(context_.loop);
  if (exchange_) {
    exchange_->tick(now);
  } else if (!done_ && now >= next_at_ms_) {
    ask();
  }
}

void JoinClient::ask() {
  const net::JoinRequest request{hello_.instance, hello_.address, target_.text()};
  exchange_ =
      std::make_unique<net::Exchange>(context_, ask_at_, attempts_++, hello_, request, kAnswerTimeoutMs,
                                      [this](Result<net::JoinReply> reply) { answered(std::move(reply)); });
}

void JoinClient::answered(Result<net::JoinReply> reply) {
  finished_ = std::move(exchange_);
  asked_ = ask_at_;
  ask_at_ = target_;
  if (!reply) {
    // The request may have arrived although its answer did not.
    is_without_effect_ = false;
    return hold_up(reply.status(), kLaterMs);
  }
  // "Later" may come from a leader that had appended the change before it lost its office.
  if (reply->code == net::JoinCode::kLater) is_without_effect_ = false;
  switch (reply->code) {
    case net::JoinCode::kMember:
      done_ = true;
      return events_.taken_in(*reply);
    case net::JoinCode::kRedirect: {
      Result<net::Address> leader = net::parse_address(reply->redirect);
      if (!leader) return hold_up(leader.status().in(asked_.text()), kLaterMs);
      if (++redirects_ > kMaxRedirects) {
        redirects_ = 0;
        return hold_up({Code::kNoQuorum, asked_.text() + " and the nodes it names do not agree on a leader"},
                       kLaterMs);
      }
      ask_at_ = *leader;
      next_at_ms_ = 0;
      return;
    }
    case net::JoinCode::kLater:
      return hold_up({Code::kNoQuorum, reply->sentence}, kSoonMs);
    case net::JoinCode::kNew:
      return hold_up({Code::kNoQuorum, reply->sentence}, kLaterMs);
    case net::JoinCode::kRefused:
      return hold_up({Code::kRefused, reply->sentence}, kLaterMs);
  }
}

void JoinClient::hold_up(const Status& problem, uint64_t delay_ms) {
  problem_ = problem;
  next_at_ms_ = uv_now(context_.loop) + delay_ms;
  events_.held_up();
}

}  // namespace dqlite::raft
