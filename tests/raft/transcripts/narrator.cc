#include "tests/raft/transcripts/narrator.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr size_t kEntriesInFull = 4;

std::string number(uint64_t value) {
  return std::to_string(value);
}

std::string link(const Message& m) {
  return number(m.from) + "->" + number(m.to) + " ";
}

std::string in_term(const Message& m) {
  return ", term " + number(m.term);
}

struct BodyWords {
  const Message& m;

  std::string operator()(const VoteRequest& body) const {
    return std::string("asks for a ") + (body.pre_vote ? "pre-vote for" : "vote in") + " term " +
           number(m.term) + ", log to " + name(body.last) +
           (body.transfer ? ", asked by the leader itself" : "");
  }
  std::string operator()(const VoteResponse& body) const {
    if (body.pre_vote && !body.granted) return "refuses the pre-vote, is in term " + number(m.term);
    return (body.granted ? "grants the " : "refuses the ") +
           std::string(body.pre_vote ? "pre-vote for" : "vote in") + " term " + number(m.term);
  }
  std::string operator()(const AppendRequest& body) const {
    std::string text = body.entries.empty() ? "heartbeat" + in_term(m) + ", at " + name(body.previous)
                                            : "append" + in_term(m) + ", behind " + name(body.previous) +
                                                  ": " + entries_words(body.entries);
    text += ", commit " + number(body.commit);
    if (body.read_round != 0) text += ", read round " + number(body.read_round);
    return text;
  }
  std::string operator()(const AppendResponse& body) const {
    std::string text = body.rejected ? "rejects what follows " + number(body.match) + ", may agree up to " +
                                           name(body.hint) + ", ends at " + number(body.last)
                                     : "has everything up to " + number(body.match);
    text += in_term(m);
    if (body.read_round != 0) text += ", read round " + number(body.read_round);
    if (body.cannot_lead) text += ", would not lead";
    return text;
  }
  std::string operator()(const TimeoutNow&) const { return "is asked to campaign at once" + in_term(m); }
  std::string operator()(const SnapshotChunk& body) const {
    return std::string(body.done ? "snapshot" : "a part of the snapshot") + " at " + name(body.last) +
           in_term(m);
  }
  std::string operator()(const SnapshotAck& body) const {
    return (body.installed ? "has installed"
            : body.failed  ? "has given up"
                           : "has a part of") +
           std::string(" the snapshot") + in_term(m);
  }
  std::string operator()(const ReadRequest& /*body*/) const { return "asks for a read round" + in_term(m); }
  std::string operator()(const ReadResponse& body) const {
    return "confirms the read at index " + number(body.index) + in_term(m);
  }
};

// Who it follows, or what it tries to become.
std::string role_words(const Moment& now) {
  const std::string term = " term " + number(now.term);
  if (now.poisoned) return "is poisoned in" + term;
  switch (now.role) {
    case Role::kLeader:
      return "leads" + term;
    case Role::kCandidate:
      return "campaigns for" + term;
    case Role::kPreCandidate:
      return "would campaign, is in" + term;
    case Role::kFollower:
      break;
  }
  return now.leader == 0 ? "follows nobody in" + term : "follows " + number(now.leader) + " in" + term;
}

void add_text(std::string& list, const std::string& text) {
  if (text.empty()) return;
  if (!list.empty()) list += ", ";
  list += text;
}

}  // namespace

std::string words(const Entry& entry) {
  std::string text = name(entry.id());
  if (entry.kind == EntryKind::kNoop) return text + " noop";
  if (entry.kind == EntryKind::kConfiguration) {
    const auto decoded = decode_configuration(*entry.payload);
    return text + " [" + (decoded ? words(decoded.value()) : decoded.status().sentence()) + "]";
  }
  return text + " \"" + std::string(entry.payload->begin(), entry.payload->end()) + "\"";
}

std::string words(const Message& message) {
  return link(message) + std::visit(BodyWords{message}, message.body);
}

std::string words(const Configuration& members) {
  std::string voters, standbys, spares;
  for (const Member& member : members.members) {
    std::string& list = member.role == MemberRole::kVoter     ? voters
                        : member.role == MemberRole::kStandby ? standbys
                                                              : spares;
    list += " " + number(member.id);
    if (member.promote) list += " (to be promoted)";
  }
  std::string text;
  if (!voters.empty()) add_text(text, "voters" + voters);
  if (!standbys.empty()) add_text(text, "standby" + standbys);
  if (!spares.empty()) add_text(text, "spare" + spares);
  return text.empty() ? "nobody" : text;
}

std::string words(const HardState& state) {
  return "term " + number(state.term) +
         (state.vote == 0 ? std::string(", no vote") : ", vote for " + number(state.vote));
}

std::string words(const Persist& persist) {
  std::string text;
  if (persist.hard_state) add_text(text, words(*persist.hard_state));
  if (persist.truncate_from != 0)
    add_text(text, "removal of " + number(persist.truncate_from) + " and above");
  if (!persist.entries.empty()) add_text(text, entries_words(persist.entries));
  return text;  // empty: only a promise that waits for what was queued before it
}

std::string log_words(const std::vector<Entry>& entries) {
  std::string text;
  for (size_t i = 0; i < entries.size();) {
    size_t end = i;
    while (end + 1 < entries.size() && entries[end + 1].term == entries[i].term &&
           entries[end + 1].index == entries[end].index + 1) {
      end++;
    }
    if (!text.empty()) text += " ";
    text += number(entries[i].index);
    if (end > i) text += "-" + number(entries[end].index);
    text += "/" + number(entries[i].term);
    i = end + 1;
  }
  return text.empty() ? "nothing" : text;
}

std::string entries_words(const std::vector<Entry>& entries) {
  if (entries.size() > kEntriesInFull) return log_words(entries);
  std::string text;
  for (const Entry& entry : entries) add_text(text, words(entry));
  return text;
}

Moment::Moment(const TestMember& m) : alive(m.core != nullptr), poisoned(m.poisoned.has_value()) {
  if (!alive) return;
  role = m.core->role();
  term = m.core->term();
  leader = m.core->leader();
  commit = m.core->commit_index();
  applied = m.machine.last.index;
  configuration = m.core->configuration();
  if (m.disk.start.last.index != 0) log = "(behind " + name(m.disk.start.last) + ") ";
  log += log_words(m.log);
  writes = m.writes.size();
}

std::string state_words(const TestMember& m) {
  const Moment now(m);
  const std::string who = number(m.id) + " ";
  if (!now.alive) return who + "is down";
  return who + role_words(now) + ", commit " + number(now.commit) + ", applied " + number(now.applied) +
         ", log " + now.log;
}

Lines changes(const Moment& before, const TestMember& m, bool whole) {
  const Moment now(m);
  const std::string who = number(m.id) + " ";
  Lines lines;
  if (!now.alive) return lines;
  if (now.poisoned && !before.poisoned) lines.push_back(who + "is poisoned: " + m.poisoned->sentence());
  if (now.poisoned) return lines;
  if (now.role != before.role || now.term != before.term || now.leader != before.leader) {
    lines.push_back(who + role_words(now));
  }
  if (!(now.configuration == before.configuration)) {
    lines.push_back(who + "counts " + words(now.configuration));
  }
  if (whole && now.log != before.log) lines.push_back(who + "holds " + now.log);
  if (now.commit != before.commit) lines.push_back(who + "commits up to " + number(now.commit));
  if (whole && now.applied != before.applied) lines.push_back(who + "has applied " + number(now.applied));
  for (const ReadOutcome& read : m.reads) {
    const std::string which = who + "answers read " + number(read.id) + ": ";
    lines.push_back(which + (read.status ? "sound at index " + number(read.index) : read.status.sentence()));
  }
  if (m.transfer) {
    lines.push_back(who + "ends the transfer: " + (*m.transfer ? "done" : m.transfer->sentence()));
  }
  return lines;
}

}  // namespace dqlite::raft
