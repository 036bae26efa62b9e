#include "tests/raft/core/test_member.h"

#include <algorithm>

namespace dqlite::raft {

Term TestDisk::term_at(Index index) const {
  if (index == start.last.index) return start.last.term;
  if (index < start.last.index || index > last_index()) return 0;
  return entries[index - start.last.index - 1].term;
}

void TestDisk::write(const Persist& persist) {
  if (persist.hard_state) hard_state = *persist.hard_state;
  if (persist.truncate_from != 0 && persist.truncate_from <= last_index()) {
    entries.resize(persist.truncate_from - start.last.index - 1);
  }
  entries.insert(entries.end(), persist.entries.begin(), persist.entries.end());
  commit = std::max(commit, std::min(persist.commit, last_index()));
}

void TestDisk::rot(Index from) {
  entries.resize(from - start.last.index - 1);
  commit = std::min(commit, last_index());
  mute_below = hard_state.term + 1;
  hard_state = {mute_below, 0};
}

Recovered TestDisk::recovered() const {
  Recovered recovered;
  recovered.mute_below = mute_below;
  recovered.hard_state = hard_state;
  recovered.start = start;
  recovered.last_index = last_index();
  recovered.commit = std::max(commit, start.last.index);
  for (const Entry& entry : entries) {
    if (recovered.term_runs.empty() || recovered.term_runs.back().term != entry.term) {
      recovered.term_runs.push_back(entry.id());
    }
    if (entry.kind == EntryKind::kConfiguration) {
      recovered.configurations.emplace_back(entry.index, decode_configuration(*entry.payload).value());
    }
  }
  return recovered;
}

}  // namespace dqlite::raft
