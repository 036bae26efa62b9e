#include "extension/verify_table.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "extension/connection_node.h"
#include "extension/interrupt_probe.h"
#include "vfs/verification.h"

namespace dqlite::extension {
namespace {

// How soon an interruption is noticed.
constexpr std::chrono::milliseconds kLook{50};

struct Asked {
  raft::Member member;
  std::unique_ptr<raft::PendingAnswer> pending{};
  Status failure{};
  std::vector<vfs::CopyFinding> findings{};
};

// All at once: the reading takes as long as that of the slowest.
std::vector<Asked> ask_all(const ConnectionNode& node) {
  raft::Node& consensus = node.node->node();
  const auto question = std::make_shared<const Bytes>(vfs::encode_verify_question());
  const std::chrono::milliseconds silence(node.connection->options().timeout_ms);
  std::vector<Asked> all;
  for (const raft::MemberStatus& status : consensus.status().members) {
    all.push_back({status.member, consensus.inquire(status.member.id, question, silence)});
  }
  return all;
}

void take_answer(Asked& asked, const Result<Bytes>& answer) {
  asked.failure = answer.status();
  if (!answer) return;
  Result<std::vector<vfs::CopyFinding>> findings = vfs::decode_findings(*answer);
  asked.failure = findings.status();
  if (findings) asked.findings = std::move(*findings);
}

Status wait_for_answers(sqlite3* handle, std::vector<Asked>& all) {
  InterruptProbe probe(handle);
  for (Asked& asked : all) {
    std::optional<Result<Bytes>> answer;
    while (!(answer = asked.pending->wait(raft::Clock::now() + kLook))) {
      if (probe.is_interrupted()) return {Code::kBusy, "interrupted"};
    }
    take_answer(asked, *answer);
  }
  return Status::ok();
}

SqlValue checksum_text(uint64_t checksum) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016" PRIx64, checksum);
  return std::string(text);
}

SqlRow row_of_finding(const raft::Member& member, const vfs::CopyFinding& finding) {
  const char* result = "no answer";
  if (finding.status) result = "ok";
  if (finding.status.code() == Code::kCorrupt) result = "differs";
  SqlValue problem;
  if (!finding.status) problem = finding.status.sentence();
  return {static_cast<sqlite3_int64>(member.id),
          member.address,
          finding.name,
          static_cast<sqlite3_int64>(finding.index),
          static_cast<sqlite3_int64>(finding.pages),
          checksum_text(finding.expected),
          std::string(result),
          problem};
}

Result<std::vector<SqlRow>> verified_rows(sqlite3* handle) {
  Result<ConnectionNode> node = node_of_connection(handle);
  if (!node) return node.status();
  std::vector<Asked> all = ask_all(*node);
  if (Status status = wait_for_answers(handle, all); !status) return status;
  std::vector<vfs::CopyFinding*> found;
  for (Asked& asked : all) {
    for (vfs::CopyFinding& finding : asked.findings) found.push_back(&finding);
  }
  vfs::compare_copies(found);
  std::vector<SqlRow> rows;
  for (const Asked& asked : all) {
    for (const vfs::CopyFinding& finding : asked.findings)
      rows.push_back(row_of_finding(asked.member, finding));
    if (asked.failure) continue;
    rows.push_back({static_cast<sqlite3_int64>(asked.member.id), asked.member.address, nullptr, nullptr,
                    nullptr, nullptr, std::string("no answer"), asked.failure.sentence()});
  }
  return rows;
}

}  // namespace

const RowTable kVerifyTable = {
    "dqlite_verify",
    "CREATE TABLE dqlite_verify(member INTEGER, address TEXT, database TEXT, log_index INTEGER, pages INTEGER, "
    "checksum TEXT, result TEXT, problem TEXT)",
    verified_rows, true};

}  // namespace dqlite::extension
