// A whole node in this process, on loopback, with a fake state machine: started, stopped and killed as often
// as a test likes. Its directory and its checkpoint outlive each start.
#pragma once

// clang-format off
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "raft/node.h"
#include "tests/lib/temporary_directory.h"
#include "tests/raft/node/fake_machine.h"

#include <CppUTest/TestHarness.h>
// clang-format on

namespace dqlite::raft {

inline Deadline patience() {
  return Clock::now() + kPatience;
}

// Polls, for conditions that no condition variable tells of.
bool eventually(const std::function<bool()>& condition);

class TestNode {
 public:
  TestNode();
  ~TestNode() { kill(); }

  // The node as it is on disk. `failed` gets the sentence if it does not start.
  Status try_start();
  void start();
  void stop();  // orderly
  void kill();  // without a word to the others
  // Founds a cluster with this node.
  void found(bool adopted = false);
  void join(TestNode& other);
  // Proposes as the state machine would; waits until it is applied. For a leader that stays one.
  void write(const std::string& command);
  // False: it was dropped.
  bool try_write(const std::string& command);
  // Proposes; the fate comes later.
  ProposalId propose(const std::string& command, Term term = 0);
  void checkpoint();

  [[nodiscard]] std::string address() const { return node->status().listening_on; }
  [[nodiscard]] bool leads() const { return node->standing() == Standing::kLeader; }
  [[nodiscard]] size_t voters() const;

  TemporaryDirectory directory;
  NodeOptions options;
  Checkpoint file;
  uint64_t hold_incoming_at = UINT64_MAX;  // FakeMachine::hold_incoming_at of the next start
  std::unique_ptr<FakeMachine> machine;
  std::unique_ptr<Node> node;

 private:
  static std::atomic<ProposalId> next_proposal_;
};

// By hand, for the second of two members has none otherwise.
void give_vote(TestNode& asked, const TestNode& member);

// `a` founds a cluster, the others join it, and all know that all three vote.
void found_three(TestNode& a, TestNode& b, TestNode& c);

// The one of them that leads, as soon as there is one.
TestNode& leader_of(const std::vector<TestNode*>& nodes);

// Whoever leads takes the command, in the end, while leadership may still change.
void write_somewhere(const std::vector<TestNode*>& nodes, const std::string& command);

// The call works; else its sentence is the message.
#define WORKS(expression)                                              \
  do {                                                                 \
    dqlite::Status status_of_it = (expression);                        \
    CHECK_TEXT(status_of_it.is_ok(), status_of_it.sentence().c_str()); \
  } while (false)

// The call fails with this code, and its sentence says `words`.
#define FAILS_WITH(expected_code, words, expression)                                           \
  do {                                                                                         \
    dqlite::Status status_of_it = (expression);                                                \
    LONGS_EQUAL_TEXT(static_cast<long>(expected_code), static_cast<long>(status_of_it.code()), \
                     status_of_it.sentence().c_str());                                         \
    STRCMP_CONTAINS(words, status_of_it.sentence().c_str());                                   \
  } while (false)

}  // namespace dqlite::raft
