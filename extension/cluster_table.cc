#include "extension/cluster_table.h"

#include "extension/connection_node.h"

namespace dqlite::extension {
namespace {

SqlRow row_of(const raft::MemberStatus& status) {
  SqlValue match;
  if (status.match_index != 0) match = static_cast<sqlite3_int64>(status.match_index);
  SqlValue contact;
  if (status.last_contact_ms >= 0) contact = static_cast<sqlite3_int64>(status.last_contact_ms);
  SqlValue problem;
  if (!status.problem.empty()) problem = status.problem;
  return {static_cast<sqlite3_int64>(status.member.id),
          status.member.address,
          std::string(role_name(status.member.role)),
          static_cast<sqlite3_int64>(status.is_leader),
          static_cast<sqlite3_int64>(status.is_self),
          match,
          contact,
          problem};
}

Result<std::vector<SqlRow>> rows(sqlite3* handle) {
  Result<ConnectionNode> node = node_of_connection(handle);
  if (!node) return node.status();
  std::vector<SqlRow> all;
  for (const raft::MemberStatus& member : node->node->node().status().members) all.push_back(row_of(member));
  return all;
}

}  // namespace

const char* role_name(raft::MemberRole role) {
  switch (role) {
    case raft::MemberRole::kVoter:
      return "voter";
    case raft::MemberRole::kStandby:
      return "standby";
    case raft::MemberRole::kSpare:
      break;
  }
  return "spare";
}

const RowTable kClusterTable = {
    "dqlite_cluster",
    "CREATE TABLE dqlite_cluster(id INTEGER, address TEXT, role TEXT, is_leader INTEGER, is_self INTEGER, "
    "match_index INTEGER, last_contact_ms INTEGER, problem TEXT)",
    rows};

}  // namespace dqlite::extension
