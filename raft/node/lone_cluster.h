// A member made a cluster of one because its operator said so: the majority is lost for good, or the log is damaged
// and no other member has what is missing, or the directory was moved and nobody else can judge that [B7, C2].
//
// The result is a new cluster, with an id of its own, that begins with what this member holds. Members of the old one
// are refused by the greeting (raft/node/greeter.h), so neither can take an entry or a vote of the other. In this
// order, so that a crash at any point leaves either the member as it was, with all of its data, or the new cluster:
//   1. the identity gets the new cluster id, the old one among the former (segments of the log bear it), the present
//      place of the directory, and `becomes_alone`. This one save is the decision
//   2. the log gets a term above every one that was seen, and in it the configuration of this member alone. Nothing in
//      front of it goes, known to be committed or not: a majority that is lost may have acknowledged it. What is
//      damaged is put aside (raft/log/salvage.h)
//   3. the identity loses `becomes_alone`
// A member that is well does step 2 in its running core (`Core::become_alone`). Every other, and one whose process
// ended before step 3, does it when it is opened next. Twice is once: another entry that says the same.
//
// Entries of the new cluster must lie above everything that is in the databases, or these would skip them [A5]. So
// where damage took the log below that, the log begins anew behind the databases.
//
// Blocking, but for the sentences; the reader, or the thread that opens the node.
#pragma once

#include <string>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/log/disk.h"
#include "raft/log/identity.h"
#include "raft/node.h"

namespace dqlite::raft {

struct MemberFiles;

inline constexpr const char* kAtNextStart =
    "This takes effect at the next start: end this process, and open the node again.";

// What the decision keeps and what it costs, for the operator.
struct LonePlan {
  Member self;
  Index kept = 0;       // the last entry, in the log or in the databases
  Index committed = 0;  // known to be
  std::vector<Member> forgotten;
  std::string lost;  // what was damaged and cannot be kept, as a sentence, or empty
};

// Of a member whose files were opened and that takes no part.
LonePlan plan_for(const Identity& identity, const MemberFiles& files);
// "would make", without effect; "made", with the id of the new cluster.
std::string text_of_proposal(const LonePlan& plan);
std::string text_of_report(const LonePlan& plan, const ClusterId& cluster);

Result<ClusterId> random_cluster_id();
// Step 1; returns the new identity. A failure of the class kTemporary left everything as it was.
Result<Identity> decide_to_be_alone(IdentityFile& file);
// Steps 2 and 3, for a member that is not running.
Status finish_being_alone(Disk& disk, const NodeOptions& options, IdentityFile& file, StateMachine& machine);
// Step 3.
Status end_being_alone(IdentityFile& file);

}  // namespace dqlite::raft
