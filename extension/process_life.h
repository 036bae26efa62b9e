// The ends of a process that has nodes: exit() and fork() [B6].
//
// Exit hands leadership over and moves what is committed into the database files, within kExitTime in all; it
// waits for no reader, no write turn and no thread beyond that time, so it may come from inside a statement
// and while other threads run. A forked child closes the nodes' descriptors at once, or it would keep the
// parent's locks and ports alive; nothing of the nodes works in it, its own exit included. A process that is
// killed, or that ends by _exit, needs none of this.
#pragma once

#include <chrono>

namespace dqlite::extension {

constexpr std::chrono::seconds kExitTime{2};

// Once per process, before its first node starts: servers load the extension first and fork later.
void prepare_for_process_end();

}  // namespace dqlite::extension
