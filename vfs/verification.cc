#include "vfs/verification.h"

#include <map>
#include <tuple>

#include "vfs/state_scan.h"

namespace dqlite::vfs {
namespace {

constexpr uint16_t kVersion1 = 1;
constexpr uint8_t kVerifyKind = 1;
constexpr uint8_t kPageKind = 2;
// The copy may be replaced while it is read: then the new one is looked at.
constexpr int kAttempts = 3;

CopyFinding verify_once(Database& database, const std::function<Status()>& pause) {
  CopyFinding finding;
  finding.name = database.name();
  Status first_fault;
  StateScan scan(database, [&](uint32_t, ByteView, const Status& fault) -> Status {
    if (fault) return Status::ok();
    if (finding.wrong_pages++ == 0) first_fault = fault;
    return Status::ok();
  });
  database.versions().file().forget_cached();
  finding.status = scan.begin();
  if (!finding.status) return finding;
  finding.database = scan.database();
  finding.index = scan.mark().index;
  finding.term = scan.mark().term;
  finding.pages = scan.mark().page_count;
  finding.expected = scan.mark().checksum;
  finding.status = scan.run(pause);
  finding.found = scan.checksum();
  if (!finding.status) return finding;
  if (finding.wrong_pages > 0) {
    const std::string others =
        finding.wrong_pages == 1 ? ""
                                 : ", and so are " + std::to_string(finding.wrong_pages - 1) + " more pages";
    finding.status = {Code::kCorrupt, first_fault.sentence() + others};
  } else if (finding.found != finding.expected) {
    finding.status = {Code::kCorrupt, "the pages of " + database.name() + " add up to " +
                                          std::to_string(finding.found) + " at index " +
                                          std::to_string(finding.index) + ", expected " +
                                          std::to_string(finding.expected) +
                                          "; the file is what the last checkpoint wrote, so memory is not"};
  }
  return finding;
}

void mark_difference(CopyFinding& finding) {
  if (!finding.status) return;
  finding.status = {Code::kCorrupt,
                    "this member's checksum of " + finding.name + " at index " +
                        std::to_string(finding.index) +
                        " is not that of others at the same index: " + std::to_string(finding.expected)};
}

}  // namespace

CopyFinding verify_copy(Database& database, const std::function<Status()>& pause) {
  CopyFinding finding;
  for (int i = 0; i < kAttempts; i++) {
    Status paused;
    finding = verify_once(database, [&] { return paused = pause(); });
    if (finding.status.code() != Code::kBusy || !paused) break;
  }
  return finding;
}

void compare_copies(const std::vector<CopyFinding*>& findings) {
  std::map<std::tuple<uint64_t, uint64_t>, std::vector<CopyFinding*>> groups;
  for (CopyFinding* finding : findings) {
    if (finding->index != 0) groups[{finding->database, finding->index}].push_back(finding);
  }
  for (const auto& [key, group] : groups) {
    std::map<uint64_t, size_t> counts;
    for (const CopyFinding* finding : group) counts[finding->expected]++;
    if (counts.size() == 1) continue;
    for (CopyFinding* finding : group) {
      if (counts[finding->expected] * 2 <= group.size()) mark_difference(*finding);
    }
  }
}

Bytes encode_verify_question() {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u16(kVersion1);
  writer.u8(kVerifyKind);
  return bytes;
}

Bytes encode_page_question(const PageName& page) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u16(kVersion1);
  writer.u8(kPageKind);
  writer.u64(page.database);
  writer.u32(page.page_number);
  writer.u64(page.hash);
  return bytes;
}

Result<Question> decode_question(ByteView bytes) {
  codec::Reader reader(bytes);
  const uint16_t version = reader.u16();
  const uint8_t kind = reader.u8();
  Question question;
  question.is_verify = kind == kVerifyKind;
  if (kind == kPageKind) question.page = {reader.u64(), reader.u32(), reader.u64()};
  const bool is_known = version == kVersion1 && (kind == kVerifyKind || kind == kPageKind);
  if (is_known && reader.finished()) return question;
  return Status(Code::kUnsupported,
                "a question of a kind that this build does not know arrived: update this node");
}

Bytes encode_findings(const std::vector<CopyFinding>& findings) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u16(kVersion1);
  writer.u32(static_cast<uint32_t>(findings.size()));
  for (const CopyFinding& finding : findings) {
    writer.u64(finding.database);
    writer.text(finding.name);
    writer.u64(finding.index);
    writer.u64(finding.term);
    writer.u32(finding.pages);
    writer.u64(finding.expected);
    writer.u64(finding.found);
    writer.u32(finding.wrong_pages);
    writer.u8(static_cast<uint8_t>(finding.status.code()));
    writer.text(finding.status.sentence());
  }
  return bytes;
}

Result<std::vector<CopyFinding>> decode_findings(ByteView answer) {
  const Status unreadable(Code::kUnsupported,
                          "it answered in words that this build does not know: update this node");
  codec::Reader reader(answer);
  if (reader.u16() != kVersion1) return unreadable;
  std::vector<CopyFinding> findings;
  for (uint32_t left = reader.u32(); left > 0 && !reader.failed(); left--) {
    CopyFinding finding;
    finding.database = reader.u64();
    finding.name = reader.text();
    finding.index = reader.u64();
    finding.term = reader.u64();
    finding.pages = reader.u32();
    finding.expected = reader.u64();
    finding.found = reader.u64();
    finding.wrong_pages = reader.u32();
    const uint8_t code = reader.u8();
    std::string sentence = reader.text();
    if (code > static_cast<uint8_t>(Code::kPoisoned)) return unreadable;
    if (code != 0) finding.status = Status(static_cast<Code>(code), std::move(sentence));
    findings.push_back(std::move(finding));
  }
  if (!reader.finished()) return unreadable;
  return findings;
}

}  // namespace dqlite::vfs
