#include "raft/core/configuration_history.h"

namespace dqlite::raft {

ConfigurationHistory::ConfigurationHistory(const LogStart& start,
                                           const std::vector<std::pair<Index, Configuration>>& in_log) {
  reset(start);
  for (const auto& [index, configuration] : in_log) {
    if (index > start.last.index) history_.emplace_back(index, configuration);
  }
}

const std::pair<Index, Configuration>& ConfigurationHistory::at(Index index) const {
  size_t i = history_.size() - 1;
  while (i > 0 && history_[i].first > index) i--;
  return history_[i];
}

void ConfigurationHistory::append(Index index, Configuration configuration) {
  history_.emplace_back(index, std::move(configuration));
}

bool ConfigurationHistory::truncate_from(Index from) {
  const size_t before = history_.size();
  while (history_.size() > 1 && history_.back().first >= from) history_.pop_back();
  return history_.size() != before;
}

void ConfigurationHistory::compact_to(Index start) {
  size_t keep = 0;
  while (keep + 1 < history_.size() && history_[keep + 1].first <= start) keep++;
  history_.erase(history_.begin(), history_.begin() + static_cast<std::ptrdiff_t>(keep));
}

void ConfigurationHistory::reset(const LogStart& start) {
  history_.clear();
  history_.emplace_back(start.configuration_index, start.configuration);
}

bool ConfigurationHistory::is_ascending() const {
  for (size_t i = 1; i < history_.size(); i++) {
    if (history_[i].first <= history_[i - 1].first) return false;
  }
  return true;
}

}  // namespace dqlite::raft
