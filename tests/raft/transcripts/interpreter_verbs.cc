// The verbs for beginnings, disks, requests and looks.
#include <algorithm>

#include "tests/raft/transcripts/arguments.h"
#include "tests/raft/transcripts/interpreter.h"

namespace dqlite::raft {

namespace {

void set_option(CoreOptions& options, const std::string& word) {
  const std::vector<std::string> words = {word};
  const std::string key = word.substr(0, word.find('='));
  const uint64_t value = to_number(option(words, key, ""));
  if (key == "max_message_bytes") {
    options.max_message_bytes = value;
  } else if (key == "max_inflight_messages") {
    options.max_inflight_messages = value;
  } else if (key == "cache_bytes") {
    options.cache_bytes = value;
  } else {
    throw std::invalid_argument("there is no option '" + key + "'");
  }
}

}  // namespace

// --- the beginning ---

// nodes 3 [base]: with a base, the members' logs are empty behind that index, and configurations are real.
void Interpreter::nodes(const Words& w) {
  cluster_ = std::make_unique<Cluster>(static_cast<int>(to_number(w[1])), w.size() > 2 ? to_number(w[2]) : 0);
}

void Interpreter::blank(const Words& w) {
  cluster_->add_blank(to_number(w[1]));
}

void Interpreter::options(const Words& w) {
  cluster_->set_options([&](CoreOptions& options) {
    for (size_t i = 1; i < w.size(); i++) set_option(options, w[i]);
  });
}

void Interpreter::first_role(const Words& w) {
  cluster_->set_first_role(member(w[1]).id, to_role(w.at(2)));
}

// first-log 2 1,1,2 term=2 commit=1
void Interpreter::first_log(const Words& w) {
  std::vector<Term> terms;
  for (const std::string& word : to_list(w.at(2))) terms.push_back(to_number(word));
  const std::string last = terms.empty() ? "0" : std::to_string(terms.back());
  cluster_->set_log(member(w[1]).id, terms, to_number(option(w, "term", last)),
                    to_number(option(w, "commit", "0")));
}

// --- disks, machines, crashes ---

void Interpreter::hold(const Words& w) {
  TestMember& m = member(w.at(2));
  (w[1] == "disk" ? m.disk_held : m.apply_held) = true;
}

void Interpreter::release(const Words& w) {
  TestMember& m = member(w.at(2));
  (w[1] == "disk" ? m.disk_held : m.apply_held) = false;
  pump(m);
}

// write 2: the next write of a held disk. With `unreported` the disk has it, but the member is not told.
void Interpreter::write(const Words& w) {
  TestMember& m = living(w[1]);
  if (m.writes.empty()) return say("nothing is to be written");
  if (w.size() > 2 && w[2] == "unreported") {
    say(w[1] + " stores " + words(m.writes.front()) + ", and does not know it");
    m.disk.write(m.writes.front());
    m.writes.pop_front();
    return;
  }
  step_disk(m);
  pump(m);
}

void Interpreter::crash(const Words& w) {
  for (size_t i = 1; i < w.size(); i++) {
    cluster_->crash(living(w[i]).id);
    disk({"disk", w[i]});
  }
}

void Interpreter::restart(const Words& w) {
  for (size_t i = 1; i < w.size(); i++) {
    TestMember& m = member(w[i]);
    cluster_->restart(m.id);
    say(state_words(m));
    pump(m);
  }
}

// compact 1 2: everything applied becomes durable outside the log, which keeps the last 2 entries.
void Interpreter::compact(const Words& w) {
  TestMember& m = living(w[1]);
  cluster_->compact(m, to_number(w.at(2)));
  say(state_words(m));
}

// install 3 [fails]: the end of a snapshot on a member whose machine is held.
void Interpreter::install(const Words& w) {
  TestMember& m = living(w[1]);
  if (!m.install) return say("there is nothing to install");
  const bool ok = w.size() < 3;
  act(m, [&] { cluster_->finish_install(m, ok); });
}

// --- requests ---

void Interpreter::propose(const Words& w) {
  TestMember& m = living(w[1]);
  m.proposals.clear();
  act(m, [&] {
    m.core->propose({.id = 1, .payload = command(w.at(2))});
    cluster_->collect(m);
    const ProposalOutcome& outcome = m.proposals.back();
    say(w[1] +
        (outcome.status ? " appends " + name(outcome.entry) : " refuses: " + outcome.status.sentence()));
  });
}

void Interpreter::read(const Words& w) {
  TestMember& m = living(w[1]);
  act(m, [&] {
    m.core->read(to_number(w.at(2)), 0);
    cluster_->collect(m);
  });
}

void Interpreter::transfer(const Words& w) {
  TestMember& m = living(w[1]);
  act(m, [&] {
    m.core->transfer(to_number(w.at(2)));
    cluster_->collect(m);
  });
}

void Interpreter::change(const Words& w, const std::function<Result<Index>(Core&)>& what) {
  TestMember& m = living(w[1]);
  act(m, [&] {
    const Result<Index> result = what(*m.core);
    cluster_->collect(m);
    say(w[1] + (result ? " appends the change at " + std::to_string(*result)
                       : " refuses: " + result.status().sentence()));
  });
}

// add 1 77: the leader 1 is asked to add the node of instance 77.
void Interpreter::add(const Words& w) {
  const uint64_t instance = to_number(w.at(2));
  change(w, [&](Core& core) { return core.add_member(instance, "new" + w[2] + ":1"); });
}

void Interpreter::remove(const Words& w) {
  change(w, [&](Core& core) { return core.remove_member(to_number(w.at(2))); });
}

void Interpreter::role(const Words& w) {
  change(w, [&](Core& core) { return core.change_role(to_number(w.at(2)), to_role(w.at(3))); });
}

void Interpreter::may_campaign(const Words& w) {
  TestMember& m = living(w[1]);
  const bool may = w.at(2) == "yes";
  act(m, [&] { m.core->set_may_campaign(may); });
}

// --- looking ---

void Interpreter::state(const Words& w) {
  for (const auto& [id, m] : cluster_->members) {
    if (w[1].empty() || std::find(w.begin() + 1, w.end(), std::to_string(id)) != w.end())
      say(state_words(*m));
  }
}

void Interpreter::disk(const Words& w) {
  const TestMember& m = member(w[1]);
  say("disk of " + w[1] + ": " + words(m.disk.hard_state) + ", log " + log_words(m.disk.entries) +
      ", commit " + std::to_string(m.disk.commit));
}

}  // namespace dqlite::raft
