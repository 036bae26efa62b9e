// A state machine for tests of the node: the list of all commands applied, with a checkpoint that survives
// its life.
//
// `Checkpoint` stands for the database file: it outlives the machine, as a file outlives a process.
// Thread-safe; every wait is for a condition.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "raft/state_machine.h"

namespace dqlite::raft {

// How long a test waits for what must happen.
constexpr std::chrono::seconds kPatience{60};

struct Checkpoint {
  EntryId last;
  std::vector<std::string> commands;
  Bytes incoming = {};  // a snapshot that is arriving, or did not arrive whole
};

Bytes encode(const Checkpoint& checkpoint);
Checkpoint decode_checkpoint(ByteView bytes);

class FakeMachine final : public StateMachine {
 public:
  explicit FakeMachine(Checkpoint& file)
      : file_(file), commands_(file.commands), applied_(file.last), held_(file.last) {}

  // --- StateMachine ---
  Status apply(const Entry& entry, std::optional<ProposalId> own) override;
  void leadership_gained(Term term) override;
  void leadership_lost() override;
  void proposal_dropped(ProposalId id, const Status& reason) override;
  void poisoned(const Status& reason) override;
  EntryId durable_point() override;
  EntryId newest_held() override { return durable_point(); }
  Result<std::unique_ptr<SnapshotSource>> open_snapshot() override;
  Result<std::unique_ptr<SnapshotSink>> begin_install(EntryId last, uint64_t size_bytes) override;
  void discard_kept_install() override;
  // Answers with the question behind "answer to "; refuses the question "refuse".
  void inquire(Bytes question, std::function<void(Result<Bytes>)> answer) override;

  // --- tests ---
  void checkpoint();
  void install();  // what came in
  void write_incoming(uint64_t offset, ByteView bytes);
  [[nodiscard]] Bytes incoming() const;
  // Whoever stores an arriving snapshot waits there until `open_gate`.
  void hold_incoming_at(uint64_t bytes);
  bool wait_incoming_held() const;
  // Written in this life.
  [[nodiscard]] uint64_t incoming_bytes_written() const;
  // Questions wait until `answer_inquiries`.
  void hold_inquiries();
  void answer_inquiries();
  [[nodiscard]] size_t held_inquiries() const;
  // The next apply fails so.
  void fail_with(const Status& status);
  // The next apply finds no memory.
  void fail_by_exception();
  // Every apply waits until `open` again.
  void close_gate();
  void open_gate();

  [[nodiscard]] std::vector<std::string> commands() const;
  // "gained 1", "applied x", "own 7", "dropped 8", "lost", "installed", "poisoned", in the order they came.
  [[nodiscard]] std::vector<std::string> events() const;
  [[nodiscard]] bool has_event(const std::string& event) const;
  [[nodiscard]] size_t count_events(const std::string& beginning) const;
  [[nodiscard]] Status drop_reason(ProposalId id) const;
  bool wait_event(const std::string& event) const { return wait_one_of({event}); }
  bool wait_one_of(const std::vector<std::string>& events) const;
  bool wait_commands(size_t count) const;

 private:
  template <typename Condition>
  bool wait_for(Condition condition) const;
  void note(const std::string& event);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Checkpoint& file_;
  std::vector<std::string> commands_;
  EntryId applied_;
  EntryId held_;  // at the beginning; what comes of it again is skipped, as databases do
  std::vector<std::string> events_;
  std::vector<std::pair<ProposalId, Status>> dropped_;
  Status failure_;
  bool holds_inquiries_ = false;
  std::vector<std::function<void()>> held_inquiries_;
  bool throws_ = false;
  bool gate_closed_ = false;
  uint64_t hold_incoming_at_ = UINT64_MAX;
  bool incoming_held_ = false;
  uint64_t incoming_written_ = 0;
};

}  // namespace dqlite::raft
