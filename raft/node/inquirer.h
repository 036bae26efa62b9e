// Questions from the state machine of one member to that of another, or to its own (StateMachine::inquire), on both
// sides: asked by this node, and answered here.
//
// Answers may take minutes. So a question is repeated under its id, which also finds out that somebody is gone: the
// asked one says that it is at it, and begins anew if it was started again meanwhile. What was answered is kept for
// a while, since an answer may be lost. Loop thread.
#pragma once

#include <functional>
#include <map>

#include "raft/net/network.h"
#include "raft/node/completion.h"
#include "raft/node/executor.h"

namespace dqlite::raft {

using AnswerCompletion = std::shared_ptr<Completion<Result<Bytes>>>;

class Inquirer {
 public:
  // `first_id`: from where this life of the member numbers its questions; a random number will do.
  Inquirer(NodeId self, net::Network& network, Executor& loop, StateMachine& machine, uint64_t first_id)
      : self_(self), network_(network), loop_(loop), machine_(machine), next_id_(first_id) {}

  // Completed with kTimeout when nothing was heard of the member for `silence`; forgotten when nobody else holds the
  // completion any more.
  void ask(NodeId member, SharedBytes question, Clock::duration silence, AnswerCompletion completion);
  void handle_reply(NodeId from, net::InquiryReply reply);
  // `from` 0: this node itself.
  void handle_inquiry(net::ConnectionId from, net::Inquiry inquiry);
  void tick();
  void fail_all(const Status& reason);

 private:
  struct Ask {
    NodeId member = 0;
    SharedBytes question;
    Clock::duration silence{};
    AnswerCompletion completion;
    Deadline silent_at;
    int ticks = 0;  // since it was sent
  };
  struct Work {
    bool is_done = false;
    Status status{};
    Bytes answer{};
    int idle_ticks = 0;  // since somebody asked for it
  };

  void send(uint64_t id, const Ask& ask);
  void begin_work(net::Inquiry inquiry);

  const NodeId self_;
  net::Network& network_;
  Executor& loop_;
  StateMachine& machine_;
  uint64_t next_id_;
  std::map<uint64_t, Ask> asks_;
  std::map<uint64_t, Work> works_;
};

}  // namespace dqlite::raft
