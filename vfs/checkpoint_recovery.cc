#include "vfs/checkpoint_recovery.h"

namespace dqlite::vfs {
namespace {

struct Row {
  JournalLeft journal;
  RecordsLeft records;
  Recovery older, newer, blank, other;  // by header
};

using J = JournalLeft;
using R = RecordsLeft;
using enum Recovery;

// With one record no header is "newer": that column repeats "other".
// clang-format off
constexpr Row kTable[] = {
    // journal   records  header is older  newer          blank          other
    // Nothing was going on, or it had ended.
    {J::kNone, R::kOne, kKeepOlder, kRefuseChange, kRefuseChange, kRefuseChange},
    // A stock connection rolled back, or the copy was finished and only the old record was still there.
    {J::kNone, R::kTwo, kKeepOlder, kKeepNewer, kRefuseChange, kRefuseChange},
    // The journal was being written.
    {J::kInert, R::kOne, kKeepOlder, kRefuseChange, kRefuseChange, kRefuseChange},
    // The same beside an old record whose removal was lost, or a stock rollback that keeps its journals.
    {J::kInert, R::kTwo, kKeepOlder, kKeepNewer, kRefuseChange, kRefuseChange},
    // The next record was not there yet, so no page was copied; going back writes what is there.
    {J::kWhole, R::kOne, kRollBack, kRefuseChange, kRefuseChange, kRefuseChange},
    // Pages were being copied.
    {J::kWhole, R::kTwo, kRollBack, kRollBack, kRollBack, kRefuseChange},
    // Without a next record no page was copied; with one the checksum tells, and a mixture stays one.
    {J::kDamaged, R::kOne, kKeepOlder, kRefuseChange, kRefuseChange, kRefuseChange},
    {J::kDamaged, R::kTwo, kCompareOlder, kCompareNewer, kGiveUp, kGiveUp},
    // Somebody brought an old journal back.
    {J::kStale, R::kOne, kCompareOlder, kRefuseChange, kRefuseChange, kRefuseChange},
    {J::kStale, R::kTwo, kCompareOlder, kCompareNewer, kRefuseChange, kRefuseChange},
    {J::kForeign, R::kOne, kRefuseJournal, kRefuseJournal, kRefuseJournal, kRefuseJournal},
    {J::kForeign, R::kTwo, kRefuseJournal, kRefuseJournal, kRefuseJournal, kRefuseJournal},
};
// clang-format on

}  // namespace

Recovery decide_recovery(JournalLeft journal, RecordsLeft records, HeaderLeft header) {
  for (const Row& row : kTable) {
    if (row.journal != journal || row.records != records) continue;
    switch (header) {
      case HeaderLeft::kOlder:
        return row.older;
      case HeaderLeft::kNewer:
        return row.newer;
      case HeaderLeft::kBlank:
        return row.blank;
      case HeaderLeft::kOther:
        return row.other;
    }
  }
  return kGiveUp;
}

}  // namespace dqlite::vfs
