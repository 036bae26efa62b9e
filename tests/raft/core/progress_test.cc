#include "raft/core/progress.h"

#include <CppUTest/TestHarness.h>

namespace dqlite::raft {

namespace {

using State = Progress::State;

Progress make(State state, Index match, Index next) {
  Progress progress;
  progress.match = match;
  progress.next = next;
  progress.state = state;
  return progress;
}

}  // namespace

TEST_GROUP(Progress){};

TEST(Progress, inflights_count_messages_and_bytes_and_are_freed_by_acknowledgement) {
  Inflights inflights;
  inflights.add(3, 100);
  inflights.add(5, 50);
  CHECK_EQUAL(2, inflights.count());
  CHECK_EQUAL(150, inflights.bytes());
  inflights.free_to(4);
  CHECK_EQUAL(1, inflights.count());
  CHECK_EQUAL(50, inflights.bytes());
  inflights.free_to(5);
  CHECK_TRUE(inflights.empty());
}

// Every answer in every state: what becomes of match, next and state.
TEST(Progress, the_table_of_answers) {
  struct Row {
    const char* what;
    State state;
    Index match, next;
    bool rejected;
    Index answer, hint_next;  // acknowledged, or refused with a hint
    bool result;
    State state_after;
    Index match_after, next_after;
  };
  const std::vector<Row> rows = {
      {"the probe was accepted", State::kProbe, 0, 8, false, 9, 0, true, State::kReplicate, 9, 10},
      {"an empty probe was accepted", State::kProbe, 0, 8, false, 7, 0, true, State::kReplicate, 7, 8},
      {"a heartbeat's answer does not end probing", State::kProbe, 3, 8, false, 3, 0, false, State::kProbe, 3,
       8},
      {"it may bring news all the same", State::kProbe, 3, 8, false, 5, 0, true, State::kProbe, 5, 8},
      {"a probe at match + 1 is answered by a heartbeat", State::kProbe, 3, 4, false, 3, 0, true,
       State::kReplicate, 3, 4},
      {"an acknowledgement in the window", State::kReplicate, 3, 8, false, 5, 0, true, State::kReplicate, 5,
       8},
      {"an old one", State::kReplicate, 3, 8, false, 2, 0, false, State::kReplicate, 3, 8},
      {"one beyond the window", State::kReplicate, 3, 8, false, 20, 0, true, State::kReplicate, 20, 21},
      {"the probe was refused", State::kProbe, 0, 8, true, 7, 4, true, State::kProbe, 0, 4},
      {"with a hint above it", State::kProbe, 0, 8, true, 7, 90, true, State::kProbe, 0, 7},
      {"with a hint below match", State::kProbe, 5, 8, true, 7, 2, true, State::kProbe, 5, 6},
      {"an older probe was refused", State::kProbe, 0, 8, true, 9, 4, false, State::kProbe, 0, 8},
      {"a hole in the window", State::kReplicate, 3, 8, true, 7, 6, true, State::kProbe, 3, 6},
      {"a hole right behind match", State::kReplicate, 3, 8, true, 7, 1, true, State::kProbe, 3, 4},
      {"a late refusal of what was accepted since", State::kReplicate, 7, 8, true, 7, 1, false,
       State::kReplicate, 7, 8},
      {"a refusal while a snapshot is sent", State::kSnapshot, 0, 8, true, 7, 4, false, State::kSnapshot, 0,
       8},
      {"an acknowledgement while a snapshot is sent", State::kSnapshot, 0, 8, false, 4, 0, true,
       State::kSnapshot, 4, 8},
  };
  for (const Row& row : rows) {
    Progress progress = make(row.state, row.match, row.next);
    const bool result =
        row.rejected ? progress.reject(row.answer, row.hint_next) : progress.accept(row.answer);
    CHECK_EQUAL_TEXT(row.result, result, row.what);
    CHECK_TEXT(row.state_after == progress.state, row.what);
    CHECK_EQUAL_TEXT(row.match_after, progress.match, row.what);
    CHECK_EQUAL_TEXT(row.next_after, progress.next, row.what);
    CHECK_TEXT(progress.match < progress.next, row.what);
  }
}

TEST(Progress, only_news_lets_the_next_probe_go_at_once) {
  Progress progress = make(State::kProbe, 3, 8);
  progress.probe_sent = true;
  progress.accept(3);
  CHECK_TRUE(progress.probe_sent);
  progress.accept(4);
  CHECK_FALSE(progress.probe_sent);
}

TEST(Progress, leaving_replicate_forgets_what_was_in_flight) {
  Progress progress = make(State::kReplicate, 3, 8);
  progress.inflights.add(7, 10);
  progress.become_snapshot();
  CHECK_TRUE(progress.inflights.empty());
}

}  // namespace dqlite::raft
