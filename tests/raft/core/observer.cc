#include "tests/raft/core/observer.h"

#include <algorithm>

namespace dqlite::raft {

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdULL;
}

uint64_t hash_of(const Entry& entry) {
  uint64_t hash = static_cast<uint64_t>(entry.kind);
  if (entry.payload) {
    for (uint8_t byte : *entry.payload) hash = mix(hash, byte);
  }
  return hash;
}

std::string name(EntryId id) {
  return std::to_string(id.index) + "/" + std::to_string(id.term);
}

std::string name(const TestMember& m) {
  return "member " + std::to_string(m.id);
}

void Observer::fail(const std::string& what) {
  if (violation.empty()) violation = what;
}

// Log matching: an entry is the same wherever it stands, and so is the one before it, and so on.
void Observer::entry_appended(const Entry& entry, Term previous_term, NodeId member) {
  const auto [found, is_new] = entries_.try_emplace(entry.id(), Appended{hash_of(entry), previous_term});
  if (!is_new &&
      (found->second.payload_hash != hash_of(entry) || found->second.previous_term != previous_term)) {
    fail("log matching: entry " + name(entry.id()) + " of member " + std::to_string(member) + " differs");
  }
}

void Observer::became_leader(const TestMember& member) {
  const Term term = member.core->term();
  const auto [found, is_new] = leaders_.try_emplace(term, member.id);
  if (found->second != member.id) {
    fail("election safety: members " + std::to_string(found->second) + " and " + std::to_string(member.id) +
         " lead term " + std::to_string(term));
  }
  if (!is_new) return;
  for (const auto& [index, entry] : canonical) {
    if (entry.committed_in >= term || index <= member.disk.start.last.index) continue;
    const size_t at = index - member.disk.start.last.index - 1;
    if (at >= member.log.size() || member.log[at].term != entry.term) {
      return fail("leader completeness: " + name(member) + " leads term " + std::to_string(term) +
                  " without the committed entry " + name(EntryId{index, entry.term}));
    }
  }
}

void Observer::committed(const TestMember& member, Index index, const Entry& entry) {
  highest_commit = std::max(highest_commit, index);
  const auto [found, is_new] =
      canonical.try_emplace(index, Committed{entry.term, hash_of(entry), member.core->term()});
  if (found->second.term != entry.term || found->second.payload_hash != hash_of(entry)) {
    fail("state machine safety: " + name(member) + " committed " + name(entry.id()) + ", another " +
         name(EntryId{index, found->second.term}));
  }
}

void Observer::applied(const TestMember& member, const Entry& entry) {
  const auto [found, is_new] = state_hashes_.try_emplace(entry.index, member.machine.hash);
  if (found->second != member.machine.hash) {
    fail("state equality: " + name(member) + " differs after " + name(entry.id()));
  }
  if (entry.index > member.disk.last_index()) {
    fail("applied beyond the disk: " + name(member) + " at " + name(entry.id()));
  }
}

void Observer::sent(const TestMember& member, const Message& message) {
  const std::string who = name(member) + " to " + std::to_string(message.to);
  const HardState& stored = member.disk.hard_state;
  if (const auto* vote = std::get_if<VoteResponse>(&message.body); vote != nullptr && !vote->pre_vote) {
    if (stored.term < message.term) fail("a vote's answer before its term was durable: " + who);
    if (vote->granted) {
      if (stored.term == message.term && stored.vote != message.to)
        fail("a vote before it was durable: " + who);
      const auto [found, is_new] = votes_.try_emplace({member.id, message.term}, message.to);
      if (found->second != message.to) {
        fail("two votes in term " + std::to_string(message.term) + " by " + name(member) + ": for " +
             std::to_string(found->second) + " and " + std::to_string(message.to));
      }
    }
  }
  if (const auto* request = std::get_if<VoteRequest>(&message.body);
      request != nullptr && !request->pre_vote) {
    if (stored.term < message.term) fail("a campaign before its vote was durable: " + who);
    const auto [found, is_new] = votes_.try_emplace({member.id, message.term}, member.id);
    if (found->second != member.id) {
      fail("two votes in term " + std::to_string(message.term) + " by " + name(member) + ": for itself and " +
           std::to_string(found->second));
    }
  }
  if (const auto* response = std::get_if<AppendResponse>(&message.body)) {
    if (stored.term < message.term) fail("an answer before its term was durable: " + who);
    if (!response->rejected && response->match > member.disk.last_index()) {
      fail("acknowledged before durable: " + who + ", index " + std::to_string(response->match) +
           ", disk ends at " + std::to_string(member.disk.last_index()));
    }
  }
}

}  // namespace dqlite::raft
