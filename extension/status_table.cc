#include "extension/status_table.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "extension/cluster_table.h"
#include "extension/connection_node.h"

namespace dqlite::extension {
namespace {

class Rows {
 public:
  void number(const char* name, uint64_t value) { add(name, static_cast<sqlite3_int64>(value)); }
  // 0 stands for unknown, or none.
  void number_or_null(const char* name, uint64_t value) {
    if (value != 0) return number(name, value);
    add(name, nullptr);
  }
  void text(const char* name, std::string value) {
    if (value.empty()) return add(name, nullptr);
    add(name, std::move(value));
  }
  std::vector<SqlRow> take() { return std::move(rows_); }

 private:
  void add(const char* name, SqlValue value) { rows_.push_back({std::string(name), std::move(value)}); }

  std::vector<SqlRow> rows_;
};

const char* standing_name(raft::Standing standing) {
  switch (standing) {
    case raft::Standing::kNew:
      return "new";
    case raft::Standing::kJoining:
      return "joining";
    case raft::Standing::kLeader:
      return "leader";
    case raft::Standing::kFollower:
      return "follower";
    case raft::Standing::kLeaderless:
      return "leaderless";
    case raft::Standing::kRemoved:
      return "removed";
    case raft::Standing::kPoisoned:
      return "failed";
    case raft::Standing::kStopped:
      break;
  }
  return "stopped";
}

void add_identity(Rows& rows, RunningNode& node, const raft::NodeStatus& status) {
  const raft::Identity& identity = status.identity;
  auto self = std::find_if(status.members.begin(), status.members.end(),
                           [](const raft::MemberStatus& member) { return member.is_self; });
  rows.text("directory", node.directory());
  rows.number("node_id", identity.node_id);
  rows.text("cluster_id", identity.cluster_id.is_set() ? identity.cluster_id.text() : "");
  rows.text("state", standing_name(status.standing));
  rows.text("role", self == status.members.end() ? "" : role_of(*self));
  rows.number("term", status.term);
  rows.number_or_null("leader", status.leader);
  rows.text("leader_address", status.leader_address);
  rows.text("listen", node.listen());
  rows.text("listening_on", status.listening_on);
  rows.text("join_target", identity.join_target);
  rows.number("timeout_ms", static_cast<uint64_t>(node.timeout_ms()));
  rows.number("boot_counter", identity.boot_counter);
}

void add_log(Rows& rows, RunningNode& node, const raft::NodeStatus& status) {
  rows.number("commit_index", status.commit_index);
  rows.number("applied_index", status.applied_index);
  rows.number("durable_index", status.durable_index);
  rows.number("last_index", status.last_index);
  rows.number("log_start", status.log_start);
  rows.number("log_bytes", status.log_bytes);
  rows.number("log_bytes_dropped", status.log_bytes_dropped);
  rows.number("syncs", status.sync_count);
  rows.number("messages_sent", status.messages_sent);
  if (status.snapshot_size == 0) {
    rows.text("snapshot_received", "");
  } else {
    rows.number("snapshot_received", status.snapshot_received);
  }
  rows.number_or_null("snapshot_size", status.snapshot_size);
  rows.number("is_caught_up", node.node().is_caught_up() ? 1 : 0);
  rows.text("fault", status.fault);
  rows.text("warning", status.warning);
}

std::string describe(const vfs::DatabaseStatus& database) {
  char numbers[200];
  std::snprintf(numbers, sizeof(numbers),
                ": id %" PRIu64 ", %" PRIu32 " pages of %" PRIu32 " bytes, checkpoint index %" PRIu64
                ", %" PRIu64 " WAL frames, checksum %016" PRIx64 ", %" PRIu64 " writers waiting",
                database.id, database.page_count, database.page_size, database.checkpoint_index,
                database.wal_frames, database.checksum, database.writers_waiting);
  return database.name + numbers;
}

void add_databases(Rows& rows, vfs::DatabaseSet& databases) {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  std::vector<vfs::DatabaseStatus> all = databases.status();
  for (const vfs::DatabaseStatus& database : all) {
    frames += database.wal_frames;
    bytes += database.wal_bytes;
  }
  rows.number("wal_frames", frames);
  rows.number("wal_bytes", bytes);
  rows.number("checkpoint_index", databases.durable_point().index);
  rows.number("checkpoints", databases.checkpointer().completed());
  rows.text("checkpoint_waits_for", databases.checkpointer().waiting_for());
  rows.text("apply_waits_for", databases.apply_waits_for());
  for (const vfs::DatabaseStatus& database : all) rows.text("database", describe(database));
}

Result<std::vector<SqlRow>> rows_of_status(sqlite3* handle) {
  Result<ConnectionNode> node = node_of_connection(handle);
  if (!node) return node.status();
  raft::NodeStatus status = node->node->node().status();
  Rows rows;
  add_identity(rows, *node->node, status);
  add_log(rows, *node->node, status);
  add_databases(rows, node->node->databases());
  return rows.take();
}

}  // namespace

const RowTable kStatusTable = {"dqlite_status", "CREATE TABLE dqlite_status(name TEXT, value)",
                               rows_of_status};

}  // namespace dqlite::extension
