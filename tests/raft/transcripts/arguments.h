// The words behind a verb of a transcript, as values. What does not fit is a std::invalid_argument, which the
// interpreter shows as the command's outcome.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/types.h"

namespace dqlite::raft {

inline uint64_t to_number(const std::string& word) {
  if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos) {
    throw std::invalid_argument("a number was expected instead of '" + word + "'");
  }
  return std::stoull(word);
}

// 4/2: index and term.
inline EntryId to_entry_id(const std::string& word) {
  const size_t slash = word.find('/');
  if (slash == std::string::npos) {
    throw std::invalid_argument("an entry like 4/2 was expected instead of '" + word + "'");
  }
  return {to_number(word.substr(0, slash)), to_number(word.substr(slash + 1))};
}

inline std::pair<NodeId, NodeId> to_link(const std::string& word) {
  const size_t arrow = word.find("->");
  if (arrow == std::string::npos) {
    throw std::invalid_argument("a link like 1->2 was expected instead of '" + word + "'");
  }
  return {to_number(word.substr(0, arrow)), to_number(word.substr(arrow + 2))};
}

inline MemberRole to_role(const std::string& word) {
  if (word == "voter") return MemberRole::kVoter;
  if (word == "standby") return MemberRole::kStandby;
  if (word == "spare") return MemberRole::kSpare;
  throw std::invalid_argument("voter, standby or spare was expected instead of '" + word + "'");
}

// The value of key=value among the words; `otherwise` if it is not there.
inline std::string option(const std::vector<std::string>& words, const std::string& key,
                          const std::string& otherwise) {
  for (const std::string& word : words) {
    if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
  }
  return otherwise;
}

// What stands between commas.
inline std::vector<std::string> to_list(const std::string& text) {
  std::vector<std::string> items;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    items.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return items;
}

}  // namespace dqlite::raft
