// Carries out the commands of a transcript on a cluster in memory, one at a time, and says what every member
// did. README.md lists the verbs. Nothing happens by itself but what a member's own disk and machine do, and
// those at once unless they are held.
//
// A command that cannot be carried out answers with one line "error: ..."; a broken promise of the algorithm
// (tests/raft/core/observer.h) with "BROKEN: ...". One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/raft/transcripts/narrator.h"

namespace dqlite::raft {

class Interpreter {
 public:
  Interpreter();
  // What happened, a line each.
  Lines run(const std::string& command);

 private:
  using Words = std::vector<std::string>;  // of a command; the first is the verb
  using Verb = void (Interpreter::*)(const Words&);

  // Which messages a command is about: all of those named links, among those members, of those kinds.
  struct Filter {
    std::set<std::pair<NodeId, NodeId>> links;
    std::set<NodeId> among;
    std::set<std::string> kinds;
    [[nodiscard]] bool takes(const Message& message) const;
  };

  // --- narration ---
  void say(const std::string& line) { out_.push_back(line); }
  void indent(size_t first_line);
  // Does `what` to one member, says what became of it and of its disk and machine.
  void act(TestMember& m, const std::function<void()>& what);
  bool step_disk(TestMember& m);
  bool step_machine(TestMember& m);
  void pump(TestMember& m);
  void say_changes(const Moment& before, TestMember& m, bool whole);
  void say_sent(size_t first_message);
  void say_queued(const TestMember& m, size_t before);
  void deliver_one(const Message& message);

  // --- parsing ---
  [[nodiscard]] TestMember& member(const std::string& word);
  [[nodiscard]] TestMember& living(const std::string& word);
  [[nodiscard]] static Filter filter(const Words& words);
  [[nodiscard]] static Message message(const Words& words);

  // --- verbs: the beginning ---
  void nodes(const Words& w);
  void blank(const Words& w);
  void options(const Words& w);
  void first_role(const Words& w);
  void first_log(const Words& w);
  // --- clocks and the network ---
  void tick(const Words& w);
  void campaign(const Words& w);
  void elect(const Words& w);
  void forget_leader(const Words& w);
  void run_all(const Words& w);
  void deliver(const Words& w);
  void stabilize(const Words& w);
  void copy(const Words& w);
  void drop(const Words& w);
  void network(const Words& w);
  void forge(const Words& w);
  void cut(const Words& w);
  void isolate(const Words& w);
  void heal(const Words& w);
  // --- disks, machines, crashes ---
  void hold(const Words& w);
  void release(const Words& w);
  void write(const Words& w);
  void crash(const Words& w);
  void restart(const Words& w);
  void compact(const Words& w);
  void install(const Words& w);
  // --- requests ---
  void propose(const Words& w);
  void read(const Words& w);
  void transfer(const Words& w);
  void add(const Words& w);
  void remove(const Words& w);
  void role(const Words& w);
  void may_campaign(const Words& w);
  // --- looking ---
  void state(const Words& w);
  void disk(const Words& w);

  void change(const Words& w, const std::function<Result<Index>(Core&)>& what);

  static const std::map<std::string, Verb>& verbs();

  std::unique_ptr<Cluster> cluster_;
  bool says_sent_ = true;  // a command that delivers everything names each message once, at its delivery
  Lines out_;
};

}  // namespace dqlite::raft
