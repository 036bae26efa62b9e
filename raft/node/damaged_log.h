// Opening a member's log when it may be damaged: what is kept, whether this node can repair itself, and what
// it says about it.
//
// A damaged log is put aside behind its readable part, and the member goes on from there, mute (its term
// raised, see `Core::State::maybe_end_mute`) until a leader has brought it up to date. In this order, so that
// a crash at any point leaves either the damage as it was found or a mute member:
//   1. the note `repairing` with the term below which it stays mute (raft/node/repair_note.h)
//   2. that term, as the member's own, in the state file
//   3. the files put aside (raft/log/salvage.h)
// Not so where nobody could repair it: a member that is alone changes nothing on its disk, shows what is
// readable and has failed, since going on would lose acknowledged transactions in silence. One whose term and
// vote are gone takes no part under its id any more (raft.md D10). Blocking; the thread that opens the node,
// or its reader.
#pragma once

#include <memory>
#include <string>

#include "raft/log/identity.h"
#include "raft/log/log.h"
#include "raft/node.h"

namespace dqlite::raft {

struct OpenedLog {
  std::shared_ptr<Log> log;  // null: term and vote are gone
  // Ok, or why this member shows what it has and takes no part.
  Status failed;
  // There is no other voter: whatever is in its log is committed.
  bool is_alone = false;
  Term mute_below = 0;  // see `Recovered::mute_below`
  // What is damaged and what is being done about it; empty: all is well.
  std::string damage;
  // The damage alone: file, offset, entries in doubt.
  std::string lost;
};

LogOptions log_options(const NodeOptions& options, const Identity& identity);
// For the sentences of members that are alone and failed.
inline constexpr const char* kForceAlone =
    "SELECT dqlite_recover() says what going on without it would keep and lose, and dqlite_recover('force') does it";
// The log of a member. A failure is one that may be gone at the next try, or a file of a newer version.
Result<OpenedLog> open_log_of_member(Disk& disk, const NodeOptions& options, const Identity& identity,
                                     bool knows_peers);

}  // namespace dqlite::raft
