#include "tests/sim/book.h"

#include <algorithm>

#include "codec/checksum.h"

namespace dqlite::raft::sim {

namespace {

std::string host_name(int host) {
  return "h" + std::to_string(host);
}

}  // namespace

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdULL;
}

uint64_t hash_of(const Entry& entry) {
  const auto kind = static_cast<uint64_t>(entry.kind);
  return entry.payload ? codec::checksum(*entry.payload, kind) : kind;
}

Bytes encode(const Write& write, size_t padding) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u64(write.id);
  writer.u64(write.stream);
  writer.u64(write.base.index);
  writer.u64(write.base.term);
  bytes.resize(bytes.size() + padding, static_cast<uint8_t>(write.id));
  return bytes;
}

Write decode_write(const SharedBytes& payload) {
  Write write;
  if (!payload) return write;
  codec::Reader reader(*payload);
  write.id = reader.u64();
  write.stream = reader.u64();
  write.base.index = reader.u64();
  write.base.term = reader.u64();
  return write;
}

void Book::fail(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = what;
  trace_.line(0, "VIOLATION " + what);
}

// --- entries ---

void Book::logged(int host, const Entry& entry, Term previous_term) {
  const uint64_t write = entry.kind == EntryKind::kCommand ? decode_write(entry.payload).id : 0;
  const Known known{hash_of(entry), previous_term, write};
  const auto [found, is_new] = entries_.try_emplace(entry.id(), known);
  if (is_new) return;
  // Term 0: the entry before it is in no log any more.
  const bool same_before =
      previous_term == 0 || found->second.previous_term == 0 || found->second.previous_term == previous_term;
  if (found->second.hash != known.hash || !same_before) {
    fail("log matching: entry " + text(entry.id()) + " of " + host_name(host) + " differs");
  }
}

void Book::committed(int host, EntryId entry, Term known_in) {
  const auto [found, is_new] = committed_.try_emplace(entry.index, Committed{entry.term, known_in});
  if (found->second.term != entry.term) {
    fail("state machine safety: " + host_name(host) + " committed " + text(entry) + ", another node " +
         text(EntryId{entry.index, found->second.term}));
  }
  if (!is_new) return;
  const auto known = entries_.find(entry);
  if (known == entries_.end() || known->second.write == 0) return;
  const uint64_t write = known->second.write;
  if (!committed_writes_.try_emplace(write, entry.index).second) {
    fail("write " + std::to_string(write) + " was committed twice, the second time as " + text(entry));
  }
  if (dropped_.contains(write)) {
    fail("write " + std::to_string(write) + " was said to have no effect, and was committed as " +
         text(entry));
  }
}

void Book::applied(int host, const Entry& entry, uint64_t state_hash) {
  const auto [found, is_new] = states_.try_emplace(entry.index, state_hash);
  if (found->second != state_hash) {
    fail("state-machine equality: " + host_name(host) + " differs after " + text(entry.id()));
  }
}

void Book::became_leader(int host, Term term, const Log& log) {
  const auto [found, is_new] = leaders_.try_emplace(term, host);
  if (found->second != host) {
    fail("election safety: " + host_name(found->second) + " and " + host_name(host) + " lead term " +
         std::to_string(term));
  }
  if (!is_new) return;
  for (auto each = committed_.upper_bound(log.start().last.index); each != committed_.end(); ++each) {
    const auto& [index, entry] = *each;
    if (entry.known_in >= term || log.term_at(index) == entry.term) continue;
    return fail("leader completeness: " + host_name(host) + " leads term " + std::to_string(term) +
                " without the committed entry " + text(EntryId{index, entry.term}));
  }
}

uint64_t Book::state_hash(Index index) const {
  const auto found = states_.find(index);
  return found == states_.end() ? 0 : found->second;
}

// --- promises ---

Term Book::promised_term(NodeId node) const {
  const auto found = promised_terms_.find(node);
  return found == promised_terms_.end() ? 0 : found->second;
}

void Book::check_vote(NodeId node, Term term, NodeId candidate, const Log& log) {
  const HardState stored = log.hard_state();
  const std::string who = "member " + std::to_string(node) + " in term " + std::to_string(term);
  if (stored.term == term && stored.vote != candidate)
    fail("a vote before it was durable: " + who + " for " + std::to_string(candidate));
  const auto [found, is_new] = votes_.try_emplace({node, term}, candidate);
  if (found->second != candidate) {
    fail("two votes: " + who + " for " + std::to_string(found->second) + " and for " +
         std::to_string(candidate));
  }
}

void Book::sent(int host, const Message& message, const Log& log) {
  const auto* request = std::get_if<VoteRequest>(&message.body);
  const auto* response = std::get_if<VoteResponse>(&message.body);
  const bool is_pre_vote = (request != nullptr && request->pre_vote) ||
                           (response != nullptr && response->pre_vote && response->granted);
  if (is_pre_vote) return;  // carries the asked term, which is nobody's yet
  if (std::holds_alternative<SnapshotAck>(message.body)) return;  // promises nothing for its term
  Term& promised = promised_terms_[message.from];
  promised = std::max(promised, message.term);
  if (log.hard_state().term < message.term) {
    fail("a message before its term was durable: " + host_name(host) + " in term " +
         std::to_string(message.term));
  }
  if (request != nullptr) check_vote(message.from, message.term, message.from, log);
  if (response != nullptr && response->granted && !response->pre_vote)
    check_vote(message.from, message.term, message.to, log);
  const auto* append = std::get_if<AppendResponse>(&message.body);
  // When a newer term's truncation is durable already, this one was true a moment ago, and is only late.
  const bool is_of_now = log.hard_state().term == message.term;
  if (append != nullptr && !append->rejected && is_of_now && append->match > log.last_index()) {
    fail("acknowledged before durable: " + host_name(host) + " says " + std::to_string(append->match) +
         ", its disk ends at " + std::to_string(log.last_index()));
  }
}

// --- writes ---

void Book::acked(uint64_t write, Index index) {
  acked_.try_emplace(write, index);
  highest_acked_ = std::max(highest_acked_, index);
  const auto found = committed_writes_.find(write);
  if (found == committed_writes_.end() || found->second != index) {
    fail("write " + std::to_string(write) + " was acknowledged as entry " + std::to_string(index) +
         ", which is not what was committed");
  }
}

void Book::dropped(uint64_t write) {
  dropped_[write] = true;
  const auto found = committed_writes_.find(write);
  if (found != committed_writes_.end()) {
    fail("write " + std::to_string(write) + " was committed as entry " + std::to_string(found->second) +
         ", and is said to have no effect");
  }
}

void Book::check_acked_are_there(Index applied_to) {
  for (const auto& [write, index] : acked_) {
    const auto found = committed_writes_.find(write);
    const bool is_there = found != committed_writes_.end() && found->second == index && index <= applied_to;
    if (!is_there) {
      return fail("the acknowledged write " + std::to_string(write) + " (entry " + std::to_string(index) +
                  ") is gone");
    }
  }
}

}  // namespace dqlite::raft::sim
