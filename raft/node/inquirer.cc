#include "raft/node/inquirer.h"

namespace dqlite::raft {

namespace {

constexpr int kRepeatTicks = 2;
// Whoever asked for it repeats far sooner, if it still wants to know: while it is worked on, and when it is done.
constexpr int kForgetTicks = 200;
constexpr int kForgetDoneTicks = 20;
// Questions that are being answered at once; more are told to wait.
constexpr size_t kMaxWorks = 64;

}  // namespace

void Inquirer::ask(NodeId member, SharedBytes question, Clock::duration silence,
                   AnswerCompletion completion) {
  const uint64_t id = next_id_++;
  Ask& begun = asks_[id];
  begun = {member, std::move(question), silence, std::move(completion), loop_.now() + silence};
  send(id, begun);
}

void Inquirer::send(uint64_t id, const Ask& ask) {
  net::Inquiry inquiry{id, *ask.question};
  if (ask.member != self_) {
    network_.send_inquiry(ask.member, inquiry);
  } else {
    handle_inquiry(0, std::move(inquiry));  // `ask` may be gone
  }
}

void Inquirer::handle_reply(NodeId from, net::InquiryReply reply) {
  const auto found = asks_.find(reply.id);
  if (found == asks_.end() || found->second.member != from) return;
  Ask& ask = found->second;
  ask.silent_at = loop_.now() + ask.silence;
  if (reply.status.code() == Code::kBusy) return;
  ask.completion->complete(reply.status ? Result<Bytes>(std::move(reply.answer))
                                        : Result<Bytes>(reply.status));
  asks_.erase(found);
}

void Inquirer::handle_inquiry(net::ConnectionId from, net::Inquiry inquiry) {
  net::InquiryReply reply;
  reply.id = inquiry.id;
  const auto known = works_.find(reply.id);
  if (known != works_.end()) {
    known->second.idle_ticks = 0;
  } else if (works_.size() < kMaxWorks) {
    begin_work(std::move(inquiry));
  }
  const auto work = works_.find(reply.id);
  const bool is_done = work != works_.end() && work->second.is_done;
  reply.status = is_done ? work->second.status : Status(Code::kBusy, "the answer is not ready yet");
  if (is_done) reply.answer = work->second.answer;
  if (from == 0) {
    handle_reply(self_, std::move(reply));
  } else {
    network_.reply(from, reply);
  }
}

void Inquirer::begin_work(net::Inquiry inquiry) {
  works_[inquiry.id] = {};
  machine_.inquire(std::move(inquiry.question), [this, id = inquiry.id](Result<Bytes> answer) {
    loop_.post([this, id, answer = std::move(answer)]() mutable {
      const auto done = works_.find(id);
      if (done == works_.end()) return;
      done->second.is_done = true;
      done->second.status = answer.status();
      if (answer) done->second.answer = std::move(*answer);
    });
  });
}

void Inquirer::tick() {
  for (auto& [id, work] : works_) work.idle_ticks++;
  std::erase_if(works_, [](const auto& item) {
    return item.second.idle_ticks > (item.second.is_done ? kForgetDoneTicks : kForgetTicks);
  });
  std::vector<uint64_t> due;
  for (auto each = asks_.begin(); each != asks_.end();) {
    Ask& ask = each->second;
    const bool is_late = loop_.now() >= ask.silent_at;
    const bool is_given_up = ask.completion.use_count() == 1;
    if (is_late) {
      ask.completion->complete(
          Status(Code::kTimeout, "member " + std::to_string(ask.member) + " does not answer"));
    } else if (!is_given_up && ++ask.ticks % kRepeatTicks == 0) {
      due.push_back(each->first);
    }
    each = is_late || is_given_up ? asks_.erase(each) : std::next(each);
  }
  for (const uint64_t id : due) send(id, asks_.at(id));
}

void Inquirer::fail_all(const Status& reason) {
  for (auto& [id, ask] : asks_) ask.completion->complete(reason);
  asks_.clear();
}

}  // namespace dqlite::raft
