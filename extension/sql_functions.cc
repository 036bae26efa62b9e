#include "extension/sql_functions.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <new>
#include <string>

#include "extension/backup_function.h"
#include "extension/connection_node.h"
#include "extension/process_life.h"
#include "raft/core/configuration.h"
#include "vfs/error_codes.h"

namespace dqlite::extension {
namespace {

using raft::MemberAction;
using raft::MemberChange;
using raft::MemberRole;

struct Arguments {
  sqlite3_value** values = nullptr;
  int count = 0;

  [[nodiscard]] int type(int i) const { return sqlite3_value_type(values[i]); }
  [[nodiscard]] std::string text(int i) const {
    return reinterpret_cast<const char*>(sqlite3_value_text(values[i]));
  }
};

void return_text(sqlite3_context* context, const std::string& text) {
  sqlite3_result_text(context, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

// What a function does with its node; its value goes into the context.
using Action = Status (*)(sqlite3_context* context, ConnectionNode& node, Arguments arguments);

void fail(sqlite3_context* context, const Status& status) {
  int code = result_code(status);
  vfs::report_error(sqlite3_context_db_handle(context), code, status.sentence());
  sqlite3_result_error(context, status.sentence().c_str(), -1);
  sqlite3_result_error_code(context, code);
}

template <Action action>
void with_node(sqlite3_context* context, int count, sqlite3_value** values) {
  try {
    vfs::flush_log();
    Result<ConnectionNode> node = node_of_connection(sqlite3_context_db_handle(context));
    Status status = node ? action(context, *node, {values, count}) : node.status();
    if (!status) fail(context, status);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

Status join(sqlite3_context* context, ConnectionNode& node, Arguments arguments) {
  if (arguments.type(0) != SQLITE_TEXT) {
    return {Code::kInvalid,
            "dqlite_join takes the address of a member as text, as in dqlite_join('db1.example:9001')"};
  }
  std::string address = arguments.text(0);
  if (Status status = node.node->beginnings().join(address, node.deadline()); !status) return status;
  return_text(context, node.node->node().status().leader_address);
  return Status::ok();
}

// A leader without an address is this node, alone and without network: empty text.
Status leader(sqlite3_context* context, ConnectionNode& node, Arguments) {
  raft::NodeStatus status = node.node->node().status();
  if (status.leader != 0) return_text(context, status.leader_address);
  return Status::ok();
}

Status checkpoint(sqlite3_context* context, ConnectionNode& node, Arguments) {
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t before = node.node->node().status().log_bytes_dropped;
  Result<vfs::CheckpointReport> report = node.node->databases().checkpoint_cluster(node.deadline());
  if (!report) return report.status();
  // The checkpoint is done: what cannot be dropped in time is dropped later.
  const Result<uint64_t> dropped = node.node->node().drop_log_prefix(node.deadline());
  const uint64_t after = dropped ? *dropped : before;
  const std::chrono::duration<double, std::milli> duration = std::chrono::steady_clock::now() - begin;
  std::array<char, 200> json{};
  std::snprintf(
      json.data(), json.size(), R"({"index":%llu,"pages":%llu,"log_bytes_dropped":%llu,"milliseconds":%.1f})",
      static_cast<unsigned long long>(report->index), static_cast<unsigned long long>(report->pages),
      static_cast<unsigned long long>(after - std::min(before, after)), duration.count());
  return_text(context, json.data());
  return Status::ok();
}

Status recover(sqlite3_context* context, ConnectionNode& node, Arguments arguments) {
  const bool force = arguments.count > 0 && arguments.type(0) == SQLITE_TEXT && arguments.text(0) == "force";
  Result<std::string> text = node.node->recover(force, node.deadline());
  if (!text) return text.status();
  return_text(context, *text);
  return Status::ok();
}

Status backup(sqlite3_context* context, ConnectionNode&, Arguments arguments) {
  if (arguments.type(0) != SQLITE_TEXT || (arguments.count > 1 && arguments.type(1) != SQLITE_TEXT)) {
    return {
        Code::kInvalid,
        "dqlite_backup takes the path of a file that is not there yet and, if it is not main, the name of the "
        "database, as in dqlite_backup('/backup/app.db', 'main')"};
  }
  const std::string schema = arguments.count > 1 ? arguments.text(1) : "main";
  Result<BackupOutcome> outcome = back_up(sqlite3_context_db_handle(context), arguments.text(0), schema);
  if (!outcome) return outcome.status();
  if (outcome->was_interrupted) {
    sqlite3_result_error(context, "interrupted", -1);
    sqlite3_result_error_code(context, SQLITE_INTERRUPT);
    return Status::ok();
  }
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(outcome->index));
  return Status::ok();
}

Status stop(sqlite3_context*, ConnectionNode& node, Arguments) {
  node.node->stop(raft::Clock::now() + kExitTime);
  return Status::ok();
}

// A member is named by its id or by its address.
Status name_member(const Arguments& arguments, const char* function, MemberChange& change) {
  if (arguments.type(0) == SQLITE_INTEGER && sqlite3_value_int64(arguments.values[0]) > 0) {
    change.id = static_cast<raft::NodeId>(sqlite3_value_int64(arguments.values[0]));
    return Status::ok();
  }
  if (arguments.type(0) == SQLITE_TEXT && !arguments.text(0).empty()) {
    change.address = arguments.text(0);
    return Status::ok();
  }
  return {Code::kInvalid,
          std::string(function) +
              " takes a member's id as a number or its address as text: both are in dqlite_cluster"};
}

Status transfer(sqlite3_context* context, ConnectionNode& node, Arguments arguments) {
  MemberChange change;
  change.action = MemberAction::kTransfer;
  if (arguments.count > 0) {
    if (Status status = name_member(arguments, "dqlite_transfer", change); !status) return status;
  }
  Result<raft::MemberAnswer> answer = node.node->node().change_members(change, node.deadline());
  if (!answer) return answer.status();
  return_text(context, answer->leader_address);
  return Status::ok();
}

Status remove_member(sqlite3_context* context, ConnectionNode& node, Arguments arguments) {
  MemberChange change;
  change.action = MemberAction::kRemove;
  if (Status status = name_member(arguments, "dqlite_remove", change); !status) return status;
  Result<raft::MemberAnswer> answer = node.node->node().change_members(change, node.deadline());
  if (!answer) return answer.status();
  sqlite3_result_int64(context, answer->member_count);
  return Status::ok();
}

Status set_role(sqlite3_context* context, ConnectionNode& node, Arguments arguments) {
  MemberChange change;
  change.action = MemberAction::kSetRole;
  if (Status status = name_member(arguments, "dqlite_role", change); !status) return status;
  const std::string wanted = arguments.type(1) == SQLITE_TEXT ? arguments.text(1) : "";
  bool is_known = false;
  for (MemberRole role : {MemberRole::kVoter, MemberRole::kStandby, MemberRole::kSpare}) {
    if (wanted != raft::role_name(role)) continue;
    change.role = role;
    is_known = true;
  }
  if (!is_known) return {Code::kInvalid, "dqlite_role takes one of the roles 'voter', 'standby' and 'spare'"};
  Result<raft::MemberAnswer> answer = node.node->node().change_members(change, node.deadline());
  if (!answer) return answer.status();
  return_text(context, wanted);
  return Status::ok();
}

void version(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_text(context, DQLITE_VERSION, -1, SQLITE_STATIC);
}

void last_error(sqlite3_context* context, int, sqlite3_value**) {
  try {
    vfs::flush_log();
    std::string sentence = vfs::last_error(sqlite3_context_db_handle(context));
    if (!sentence.empty()) return_text(context, sentence);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

// The connection closes: the next one at the same address must not find its last words.
void forget_connection(void* handle) {
  vfs::forget_errors(static_cast<sqlite3*>(handle));
}

struct Function {
  const char* name;
  int argument_count;
  int flags;
  void (*call)(sqlite3_context*, int, sqlite3_value**);
};

constexpr Function kFunctions[] = {
    {"dqlite_version", 0, SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, version},
    {"dqlite_join", 1, SQLITE_DIRECTONLY, with_node<join>},
    {"dqlite_leader", 0, 0, with_node<leader>},
    {"dqlite_checkpoint", 0, SQLITE_DIRECTONLY, with_node<checkpoint>},
    {"dqlite_backup", 1, SQLITE_DIRECTONLY, with_node<backup>},
    {"dqlite_backup", 2, SQLITE_DIRECTONLY, with_node<backup>},
    {"dqlite_transfer", 0, SQLITE_DIRECTONLY, with_node<transfer>},
    {"dqlite_transfer", 1, SQLITE_DIRECTONLY, with_node<transfer>},
    {"dqlite_remove", 1, SQLITE_DIRECTONLY, with_node<remove_member>},
    {"dqlite_role", 2, SQLITE_DIRECTONLY, with_node<set_role>},
    {"dqlite_recover", 0, SQLITE_DIRECTONLY, with_node<recover>},
    {"dqlite_recover", 1, SQLITE_DIRECTONLY, with_node<recover>},
    {"dqlite_stop", 0, SQLITE_DIRECTONLY, with_node<stop>},
};

}  // namespace

int register_functions(sqlite3* handle) {
  for (const Function& function : kFunctions) {
    int rc = sqlite3_create_function_v2(handle, function.name, function.argument_count,
                                        SQLITE_UTF8 | function.flags, nullptr, function.call, nullptr,
                                        nullptr, nullptr);
    if (rc != SQLITE_OK) return rc;
  }
  return sqlite3_create_function_v2(handle, "dqlite_last_error", 0, SQLITE_UTF8, handle, last_error, nullptr,
                                    nullptr, forget_connection);
}

}  // namespace dqlite::extension
