#include "tests/raft/node/fake_machine.h"

#include <algorithm>
#include <new>

#include "codec/checksum.h"

namespace dqlite::raft {

namespace {

class FakeSource final : public SnapshotSource {
 public:
  FakeSource(EntryId last, Bytes bytes) : last_(last), bytes_(std::move(bytes)) {}
  [[nodiscard]] EntryId last() const override { return last_; }
  [[nodiscard]] uint64_t size_bytes() const override { return bytes_.size(); }
  Result<Bytes> read(uint64_t offset, size_t size) override {
    const size_t begin = std::min<size_t>(offset, bytes_.size());
    const size_t end = std::min(begin + size, bytes_.size());
    return Bytes(bytes_.begin() + static_cast<ptrdiff_t>(begin),
                 bytes_.begin() + static_cast<ptrdiff_t>(end));
  }

 private:
  EntryId last_;
  Bytes bytes_;
};

class FakeSink final : public SnapshotSink {
 public:
  explicit FakeSink(FakeMachine& machine) : machine_(machine) {}
  ~FakeSink() override {
    if (!kept_) machine_.discard_kept_install();
  }
  Result<std::vector<uint64_t>> held(size_t piece_bytes) override {
    const Bytes bytes = machine_.incoming();
    std::vector<uint64_t> checksums;
    for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
      checksums.push_back(
          codec::checksum(ByteView(bytes).subspan(at, std::min(piece_bytes, bytes.size() - at))));
    }
    return checksums;
  }
  void keep() override { kept_ = true; }
  Status write(uint64_t offset, ByteView bytes) override {
    machine_.write_incoming(offset, bytes);
    return Status::ok();
  }
  Status install() override {
    machine_.install();
    return Status::ok();
  }

 private:
  FakeMachine& machine_;
  bool kept_ = false;
};

std::string text_of(const Entry& entry) {
  return entry.payload ? std::string(entry.payload->begin(), entry.payload->end()) : std::string();
}

}  // namespace

Bytes encode(const Checkpoint& checkpoint) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u64(checkpoint.last.index);
  writer.u64(checkpoint.last.term);
  writer.u32(static_cast<uint32_t>(checkpoint.commands.size()));
  for (const std::string& command : checkpoint.commands) writer.text(command);
  return bytes;
}

Checkpoint decode_checkpoint(ByteView bytes) {
  codec::Reader reader(bytes);
  Checkpoint checkpoint;
  checkpoint.last.index = reader.u64();
  checkpoint.last.term = reader.u64();
  checkpoint.commands.resize(reader.u32());
  for (std::string& command : checkpoint.commands) command = reader.text();
  return checkpoint;
}

Status FakeMachine::apply(const Entry& entry, std::optional<ProposalId> own) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !gate_closed_; });
  if (!failure_) return failure_;
  if (throws_) throw std::bad_alloc();
  if (entry.index <= held_.index) return Status::ok();
  if (entry.index != applied_.index + 1) return {Code::kCorrupt, "an entry was left out or came twice"};
  applied_ = entry.id();
  if (entry.kind == EntryKind::kCommand) {
    commands_.push_back(text_of(entry));
    note("applied " + text_of(entry));
    if (own) note("own " + std::to_string(*own));
  }
  changed_.notify_all();
  return Status::ok();
}

void FakeMachine::leadership_gained(Term term) {
  std::lock_guard lock(mutex_);
  note("gained " + std::to_string(term));
}

void FakeMachine::leadership_lost() {
  std::lock_guard lock(mutex_);
  note("lost");
}

void FakeMachine::proposal_dropped(ProposalId id, const Status& reason) {
  std::lock_guard lock(mutex_);
  dropped_.emplace_back(id, reason);
  note("dropped " + std::to_string(id));
}

void FakeMachine::poisoned(const Status&) {
  std::lock_guard lock(mutex_);
  note("poisoned");
}

EntryId FakeMachine::durable_point() {
  std::lock_guard lock(mutex_);
  return file_.last;
}

Result<std::unique_ptr<SnapshotSource>> FakeMachine::open_snapshot() {
  std::lock_guard lock(mutex_);
  return std::unique_ptr<SnapshotSource>(std::make_unique<FakeSource>(file_.last, encode(file_)));
}

Result<std::unique_ptr<SnapshotSink>> FakeMachine::begin_install(EntryId, uint64_t) {
  return std::unique_ptr<SnapshotSink>(std::make_unique<FakeSink>(*this));
}

void FakeMachine::checkpoint() {
  std::lock_guard lock(mutex_);
  file_.last = applied_;
  file_.commands = commands_;
}

void FakeMachine::install() {
  std::lock_guard lock(mutex_);
  Checkpoint state = decode_checkpoint(file_.incoming);
  if (state.last.index <= held_.index) return note("kept newer");
  file_ = std::move(state);
  commands_ = file_.commands;
  applied_ = file_.last;
  note("installed");
}

void FakeMachine::inquire(Bytes question, std::function<void(Result<Bytes>)> answer) {
  const std::string text(question.begin(), question.end());
  if (text == "throw") throw std::bad_alloc();
  const auto give = [text, answer = std::move(answer)] {
    if (text == "refuse") return answer(Status(Code::kRefused, "no answer to that"));
    const std::string answered = "answer to " + text;
    answer(Bytes(answered.begin(), answered.end()));
  };
  {
    std::lock_guard lock(mutex_);
    if (holds_inquiries_) return held_inquiries_.push_back(give);
  }
  give();
}

void FakeMachine::hold_inquiries() {
  std::lock_guard lock(mutex_);
  holds_inquiries_ = true;
}

void FakeMachine::answer_inquiries() {
  std::vector<std::function<void()>> held;
  {
    std::lock_guard lock(mutex_);
    holds_inquiries_ = false;
    held.swap(held_inquiries_);
  }
  for (const auto& give : held) give();
}

size_t FakeMachine::held_inquiries() const {
  std::lock_guard lock(mutex_);
  return held_inquiries_.size();
}

void FakeMachine::discard_kept_install() {
  std::lock_guard lock(mutex_);
  file_.incoming.clear();
}

void FakeMachine::write_incoming(uint64_t offset, ByteView bytes) {
  std::unique_lock lock(mutex_);
  if (offset >= hold_incoming_at_) {
    incoming_held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return offset < hold_incoming_at_; });
  }
  if (file_.incoming.size() < offset + bytes.size()) file_.incoming.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), file_.incoming.begin() + static_cast<ptrdiff_t>(offset));
  incoming_written_ += bytes.size();
}

Bytes FakeMachine::incoming() const {
  std::lock_guard lock(mutex_);
  return file_.incoming;
}

void FakeMachine::hold_incoming_at(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  hold_incoming_at_ = bytes;
}

bool FakeMachine::wait_incoming_held() const {
  return wait_for([this] { return incoming_held_; });
}

uint64_t FakeMachine::incoming_bytes_written() const {
  std::lock_guard lock(mutex_);
  return incoming_written_;
}

void FakeMachine::fail_with(const Status& status) {
  std::lock_guard lock(mutex_);
  failure_ = status;
}

void FakeMachine::fail_by_exception() {
  std::lock_guard lock(mutex_);
  throws_ = true;
}

void FakeMachine::close_gate() {
  std::lock_guard lock(mutex_);
  gate_closed_ = true;
}

void FakeMachine::open_gate() {
  std::lock_guard lock(mutex_);
  gate_closed_ = false;
  hold_incoming_at_ = UINT64_MAX;
  changed_.notify_all();
}

void FakeMachine::note(const std::string& event) {
  events_.push_back(event);
  changed_.notify_all();
}

std::vector<std::string> FakeMachine::commands() const {
  std::lock_guard lock(mutex_);
  return commands_;
}

std::vector<std::string> FakeMachine::events() const {
  std::lock_guard lock(mutex_);
  return events_;
}

bool FakeMachine::has_event(const std::string& event) const {
  return count_events(event) > 0;
}

size_t FakeMachine::count_events(const std::string& beginning) const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(events_.begin(), events_.end(), [&](const std::string& event) {
    return event.starts_with(beginning);
  }));
}

Status FakeMachine::drop_reason(ProposalId id) const {
  std::lock_guard lock(mutex_);
  for (const auto& [dropped, reason] : dropped_) {
    if (dropped == id) return reason;
  }
  return Status::ok();
}

template <typename Condition>
bool FakeMachine::wait_for(Condition condition) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, std::chrono::steady_clock::now() + kPatience, condition);
}

bool FakeMachine::wait_one_of(const std::vector<std::string>& wanted) const {
  return wait_for([&] {
    return std::any_of(wanted.begin(), wanted.end(), [this](const std::string& event) {
      return std::find(events_.begin(), events_.end(), event) != events_.end();
    });
  });
}

bool FakeMachine::wait_commands(size_t count) const {
  return wait_for([&] { return commands_.size() >= count; });
}

}  // namespace dqlite::raft
