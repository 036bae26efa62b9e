#include "tests/raft/transcripts/interpreter.h"

#include <algorithm>
#include <sstream>

#include "tests/raft/transcripts/arguments.h"

namespace dqlite::raft {

namespace {

constexpr int kMostDeliveries = 20000;

std::string kind_of(const Message& message) {
  static const char* const kKinds[] = {"votes",     "votes",     "appends", "answers", "timeouts",
                                       "snapshots", "snapshots", "reads",   "reads"};
  return kKinds[message.body.index()];
}

}  // namespace

const std::map<std::string, Interpreter::Verb>& Interpreter::verbs() {
  static const std::map<std::string, Verb> kVerbs = {
      {"nodes", &Interpreter::nodes},
      {"blank", &Interpreter::blank},
      {"options", &Interpreter::options},
      {"first-role", &Interpreter::first_role},
      {"first-log", &Interpreter::first_log},
      {"tick", &Interpreter::tick},
      {"campaign", &Interpreter::campaign},
      {"elect", &Interpreter::elect},
      {"forget-leader", &Interpreter::forget_leader},
      {"run", &Interpreter::run_all},
      {"deliver", &Interpreter::deliver},
      {"stabilize", &Interpreter::stabilize},
      {"copy", &Interpreter::copy},
      {"drop", &Interpreter::drop},
      {"network", &Interpreter::network},
      {"forge", &Interpreter::forge},
      {"cut", &Interpreter::cut},
      {"isolate", &Interpreter::isolate},
      {"heal", &Interpreter::heal},
      {"hold", &Interpreter::hold},
      {"release", &Interpreter::release},
      {"write", &Interpreter::write},
      {"crash", &Interpreter::crash},
      {"restart", &Interpreter::restart},
      {"compact", &Interpreter::compact},
      {"install", &Interpreter::install},
      {"propose", &Interpreter::propose},
      {"read", &Interpreter::read},
      {"transfer", &Interpreter::transfer},
      {"add", &Interpreter::add},
      {"remove", &Interpreter::remove},
      {"role", &Interpreter::role},
      {"may-campaign", &Interpreter::may_campaign},
      {"state", &Interpreter::state},
      {"disk", &Interpreter::disk},
  };
  return kVerbs;
}

Interpreter::Interpreter() : cluster_(std::make_unique<Cluster>(3)) {}

Lines Interpreter::run(const std::string& command) {
  std::istringstream text(command);
  Words words;
  for (std::string word; text >> word;) words.push_back(word);
  const bool quiet = !words.empty() && words[0] == "quietly";
  if (quiet) words.erase(words.begin());
  out_.clear();
  says_sent_ = true;
  try {
    const auto verb = words.empty() ? verbs().end() : verbs().find(words[0]);
    if (verb == verbs().end()) throw std::invalid_argument("there is no verb '" + command + "'");
    words.resize(std::max<size_t>(words.size(), 2));  // every verb may look at one argument
    (this->*verb->second)(words);
    if (quiet) out_.clear();
  } catch (const std::exception& error) {
    say("error: " + std::string(error.what()));
  }
  if (!cluster_->observer.violation.empty()) say("BROKEN: " + cluster_->observer.violation);
  return out_;
}

// --- parsing ---

TestMember& Interpreter::member(const std::string& word) {
  const auto found = cluster_->members.find(to_number(word));
  if (found == cluster_->members.end()) throw std::invalid_argument("there is no member " + word);
  return *found->second;
}

TestMember& Interpreter::living(const std::string& word) {
  TestMember& m = member(word);
  if (!m.core) throw std::invalid_argument("member " + word + " is down");
  return m;
}

Interpreter::Filter Interpreter::filter(const Words& words) {
  Filter filter;
  for (size_t i = 1; i < words.size(); i++) {
    if (words[i].empty()) continue;
    if (words[i].find("->") != std::string::npos) {
      filter.links.insert(to_link(words[i]));
    } else if (words[i].find_first_not_of("0123456789") == std::string::npos) {
      filter.among.insert(to_number(words[i]));
    } else {
      filter.kinds.insert(words[i]);
    }
  }
  return filter;
}

bool Interpreter::Filter::takes(const Message& message) const {
  return (links.empty() || links.contains({message.from, message.to})) &&
         (among.empty() || (among.contains(message.from) && among.contains(message.to))) &&
         (kinds.empty() || kinds.contains(kind_of(message)));
}

// forge 1->2 append term=2 behind=2/1 commit=5 entries=3/2,4/2
// forge 1->2 vote term=2 log=2/1    (or pre-vote, or transfer-vote)
// forge 2->1 has term=1 up-to=2 round=1
// forge 1->2 snapshot term=2 at=20/1
// forge 1->2 campaign-now term=2
Message Interpreter::message(const Words& words) {
  if (words.size() < 3) throw std::invalid_argument("forge needs a link and a kind");
  const auto [from, to] = to_link(words[1]);
  const std::string& kind = words[2];
  const Term term = to_number(option(words, "term", "1"));
  if (kind == "vote" || kind == "pre-vote" || kind == "transfer-vote") {
    return {from, to, term,
            VoteRequest{.pre_vote = kind == "pre-vote",
                        .transfer = kind == "transfer-vote",
                        .last = to_entry_id(option(words, "log", "0/0"))}};
  }
  if (kind == "append") {
    std::vector<Entry> entries;
    for (const std::string& word : to_list(option(words, "entries", ""))) {
      const EntryId id = to_entry_id(word);
      entries.push_back(command_entry(id.index, id.term, "old " + word));
    }
    return append(from, to, term, to_entry_id(option(words, "behind", "0/0")), std::move(entries),
                  to_number(option(words, "commit", "0")));
  }
  if (kind == "has") {
    const Index match = to_number(option(words, "up-to", "0"));
    return {
        from, to, term,
        AppendResponse{.match = match, .last = match, .read_round = to_number(option(words, "round", "0"))}};
  }
  if (kind == "snapshot") {
    SnapshotChunk chunk;
    chunk.stream = 1;
    chunk.last = to_entry_id(option(words, "at", "0/0"));
    chunk.data = std::make_shared<const Bytes>(8, uint8_t{0});
    chunk.done = true;
    return {from, to, term, std::move(chunk)};
  }
  if (kind == "campaign-now") return {from, to, term, TimeoutNow{}};
  throw std::invalid_argument("forge knows no '" + kind + "'");
}

// --- narration ---

void Interpreter::indent(size_t first_line) {
  for (size_t i = first_line; i < out_.size(); i++) out_[i] = "  " + out_[i];
}

// An answer that came out is told once.
void Interpreter::say_changes(const Moment& before, TestMember& m, bool whole) {
  const Lines lines = changes(before, m, whole);
  out_.insert(out_.end(), lines.begin(), lines.end());
  m.reads.clear();
  m.transfer.reset();
}

void Interpreter::say_sent(size_t first_message) {
  if (!says_sent_) return;
  for (size_t i = first_message; i < cluster_->network.size(); i++) {
    say("sent " + words(cluster_->network[i]));
  }
}

void Interpreter::say_queued(const TestMember& m, size_t before) {
  if (!m.disk_held) return;
  for (size_t i = before; i < m.writes.size(); i++) {
    const std::string what = words(m.writes[i]);
    if (!what.empty()) say(std::to_string(m.id) + " will store " + what);
  }
}

void Interpreter::act(TestMember& m, const std::function<void()>& what) {
  const Moment before(m);
  const size_t sent = cluster_->network.size();
  what();
  say_changes(before, m, false);
  say_queued(m, before.writes);
  say_sent(sent);
  if (m.poisoned) return;
  pump(m);
}

// One write, told before what follows from it.
bool Interpreter::step_disk(TestMember& m) {
  if (!m.core || m.writes.empty()) return false;
  const std::string what = words(m.writes.front());
  if (!what.empty()) say(std::to_string(m.id) + " stores " + what);
  const Moment before(m);
  const size_t sent = cluster_->network.size();
  cluster_->write_one(m);
  say_changes(before, m, false);
  // The one that was written has left the queue.
  say_queued(m, before.writes - 1);
  say_sent(sent);
  return true;
}

bool Interpreter::step_machine(TestMember& m) {
  if (!m.core) return false;
  const Moment before(m);
  const size_t sent = cluster_->network.size();
  bool moved = false;
  if (!m.apply_held && m.machine.last.index < m.apply_to) {
    std::vector<Entry> entries;
    for (Index i = m.machine.last.index + 1; i <= m.apply_to; i++) {
      entries.push_back(m.log[i - m.disk.start.last.index - 1]);
    }
    say(std::to_string(m.id) + " applies " + entries_words(entries));
    moved = cluster_->apply_some(m, m.apply_to);
  } else if (!m.log_reads.empty()) {
    const LogReadRequest& request = m.log_reads.front();
    say(std::to_string(m.id) + " reads entries for " + std::to_string(request.peer) + " from its disk");
    moved = cluster_->answer_log_read(m);
  } else if (!m.apply_held && m.install) {
    say(std::to_string(m.id) + " installs the snapshot at " +
        name(std::get<SnapshotChunk>(m.install->body).last));
    moved = cluster_->finish_install(m, true);
  } else if (!m.snapshots.empty()) {
    const NodeId peer = m.snapshots.front().peer;
    m.snapshots.erase(m.snapshots.begin());
    say(std::to_string(m.id) + " begins a snapshot for " + std::to_string(peer));
    cluster_->send_snapshot(m, peer);
    moved = true;
  }
  if (!moved) return false;
  say_changes(before, m, false);
  say_sent(sent);
  return true;
}

void Interpreter::pump(TestMember& m) {
  bool moved = true;
  while (moved && m.core && !m.poisoned) {
    moved = !m.disk_held && step_disk(m);
    moved = step_machine(m) || moved;
  }
}

void Interpreter::deliver_one(const Message& message) {
  const auto to = cluster_->members.find(message.to);
  if (to == cluster_->members.end() || !to->second->core ||
      cluster_->cuts.contains({message.from, message.to})) {
    return say(words(message) + " (lost)");
  }
  say(words(message));
  const size_t first = out_.size();
  act(*to->second, [&] { cluster_->deliver(message); });
  indent(first);
}

// --- verbs: clocks and the network ---

void Interpreter::tick(const Words& w) {
  TestMember& m = living(w[1]);
  const uint64_t count = w.size() > 2 ? to_number(w[2]) : 1;
  for (uint64_t i = 0; i < count; i++) act(m, [&] { cluster_->tick(m.id); });
}

// The member's own clock runs until it campaigns; nobody else's does.
void Interpreter::campaign(const Words& w) {
  TestMember& m = living(w[1]);
  const Term before = m.core->term();
  for (int i = 0; i < 100; i++) {
    act(m, [&] { cluster_->tick(m.id); });
    if (m.core->role() == Role::kPreCandidate || m.core->term() != before) return;
  }
  say(w[1] + " does not campaign");
}

void Interpreter::elect(const Words& w) {
  TestMember& m = living(w[1]);
  cluster_->elect(m.id);
  say(state_words(m));
}

// More than an election time-out passes for these members without a word from anybody; what they say meanwhile
// is lost.
void Interpreter::forget_leader(const Words& w) {
  for (size_t i = 1; i < w.size(); i++) {
    TestMember& m = living(w[i]);
    const Moment before(m);
    const size_t sent = cluster_->network.size();
    m.core->set_may_campaign(false);
    cluster_->tick(m.id, 2 * m.options.election_ticks);
    m.core->set_may_campaign(true);
    cluster_->network.resize(sent);
    say_changes(before, m, false);
  }
}

// Every clock runs and everything is delivered; only what it came to is told.
void Interpreter::run_all(const Words& w) {
  std::map<NodeId, Moment> before;
  for (auto& [id, m] : cluster_->members) before.emplace(id, Moment(*m));
  for (uint64_t i = to_number(w[1]); i > 0; i--) cluster_->tick_all();
  for (auto& [id, m] : cluster_->members) {
    say_changes(before.at(id), *m, true);
  }
  if (out_.empty()) say("nothing changes");
}

void Interpreter::deliver(const Words& w) {
  const Filter wanted = filter(w);
  const std::vector<Message> messages =
      cluster_->in_flight([&](const Message& m) { return wanted.takes(m); });
  cluster_->drop([&](const Message& m) { return wanted.takes(m); });
  for (const Message& m : messages) deliver_one(m);
  if (messages.empty()) say("nothing is on its way");
}

void Interpreter::stabilize(const Words& w) {
  const Filter wanted = filter(w);
  says_sent_ = false;
  for (auto& [id, m] : cluster_->members) pump(*m);
  for (int i = 0; i < kMostDeliveries; i++) {
    auto& network = cluster_->network;
    const auto found =
        std::find_if(network.begin(), network.end(), [&](const Message& m) { return wanted.takes(m); });
    if (found == network.end()) return;
    const Message next = *found;
    network.erase(found);
    deliver_one(next);
  }
  say("error: it never comes to rest");
}

void Interpreter::copy(const Words& w) {
  const Filter wanted = filter(w);
  for (const Message& m : cluster_->in_flight([&](const Message& m) { return wanted.takes(m); })) {
    cluster_->network.push_back(m);
    say("twice " + words(m));
  }
}

void Interpreter::drop(const Words& w) {
  const Filter wanted = filter(w);
  for (const Message& m : cluster_->in_flight([&](const Message& m) { return wanted.takes(m); })) {
    say("lost " + words(m));
  }
  cluster_->drop([&](const Message& m) { return wanted.takes(m); });
}

void Interpreter::network(const Words& /*w*/) {
  for (const Message& m : cluster_->network) say(words(m));
  if (cluster_->network.empty()) say("nothing is on its way");
}

void Interpreter::forge(const Words& w) {
  Message forged = message(w);
  if (auto* chunk = std::get_if<SnapshotChunk>(&forged.body)) {
    chunk->configuration = encode(cluster_->first_configuration);
  }
  // Whatever is cut: it may have been on its way for long.
  const auto cuts = std::exchange(cluster_->cuts, {});
  deliver_one(forged);
  cluster_->cuts = cuts;
}

void Interpreter::cut(const Words& w) {
  for (size_t i = 1; i < w.size(); i++) {
    const auto [from, to] = to_link(w[i]);
    cluster_->cut_one_way(from, to);
  }
}

void Interpreter::isolate(const Words& w) {
  cluster_->isolate(member(w[1]).id);
}

void Interpreter::heal(const Words& /*w*/) {
  cluster_->heal();
}

}  // namespace dqlite::raft
