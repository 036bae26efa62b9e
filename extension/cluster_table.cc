#include "extension/cluster_table.h"

#include "extension/connection_node.h"
#include "raft/core/configuration.h"

namespace dqlite::extension {
namespace {

SqlRow row_of(const raft::MemberStatus& status) {
  SqlValue match;
  if (status.match_index != 0) match = static_cast<sqlite3_int64>(status.match_index);
  SqlValue contact;
  if (status.last_contact_ms >= 0) contact = static_cast<sqlite3_int64>(status.last_contact_ms);
  SqlValue domain;
  SqlValue weight;
  if (status.failure_domain) {
    if (!status.failure_domain->empty()) domain = *status.failure_domain;
    weight = static_cast<sqlite3_int64>(status.weight);
  }
  SqlValue problem;
  if (!status.problem.empty()) problem = status.problem;
  return {static_cast<sqlite3_int64>(status.member.id),
          status.member.address,
          std::string(role_of(status)),
          static_cast<sqlite3_int64>(status.is_leader),
          static_cast<sqlite3_int64>(status.is_self),
          match,
          contact,
          domain,
          weight,
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

const char* role_of(const raft::MemberStatus& status) {
  return status.is_removed ? "removed" : raft::role_name(status.member.role);
}

const RowTable kClusterTable = {
    "dqlite_cluster",
    "CREATE TABLE dqlite_cluster(id INTEGER, address TEXT, role TEXT, is_leader INTEGER, is_self INTEGER, "
    "match_index INTEGER, last_contact_ms INTEGER, "
    "failure_domain TEXT, weight INTEGER, problem TEXT)",
    rows};

}  // namespace dqlite::extension
