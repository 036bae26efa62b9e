// The configurations that a log holds, so that an appended one takes effect at once and a truncated one is
// undone.
//
// The first element is the one the log's start carries; the others are the configuration entries behind it,
// ascending. A configuration may vanish again until its entry is committed (Ongaro's dissertation, 4.1;
// raft.md 1.5 d, e). Part of the core; one thread.
#pragma once

#include <utility>
#include <vector>

#include "raft/core/configuration.h"

namespace dqlite::raft {

class ConfigurationHistory {
 public:
  ConfigurationHistory(const LogStart& start, const std::vector<std::pair<Index, Configuration>>& in_log);

  [[nodiscard]] const Configuration& newest() const { return history_.back().second; }
  [[nodiscard]] Index newest_index() const { return history_.back().first; }
  // The last one at or below `index`; `index` is not below the log's start.
  [[nodiscard]] const std::pair<Index, Configuration>& at(Index index) const;

  void append(Index index, Configuration configuration);
  // True if the newest one changed.
  bool truncate_from(Index from);
  void compact_to(Index start);
  void reset(const LogStart& start);
  [[nodiscard]] bool is_ascending() const;

 private:
  std::vector<std::pair<Index, Configuration>> history_;  // never empty
};

}  // namespace dqlite::raft
