// What stock SQLite does with a hot journal when it opens a database: for disks in memory.
//
// Written after pager.c (hasHotJournal, readJournalHdr, pager_playback) and independent of
// vfs/rollback_journal.cc.
#pragma once

#include <string>

#include "tests/vfs/fault_files.h"

namespace dqlite::vfs {

// `records`: it is killed after so many pages; the journal stays then. -1: it gets through.
void open_like_stock(FaultDisk& disk, const std::string& path, int records = -1);

}  // namespace dqlite::vfs
