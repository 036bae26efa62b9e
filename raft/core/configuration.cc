#include "raft/core/configuration.h"

#include <algorithm>

namespace dqlite::raft {

namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kPromote = 1;
constexpr uint8_t kPinned = 2;
constexpr size_t kSmallestMember = 8 + 8 + 1 + 1 + 4;

Status corrupt(const std::string& what, size_t offset) {
  return {Code::kCorrupt, "configuration entry: " + what + " at byte " + std::to_string(offset)};
}

}  // namespace

const Member* Configuration::find(NodeId id) const {
  for (const Member& member : members) {
    if (member.id == id) return &member;
  }
  return nullptr;
}

const Member* Configuration::find_instance(uint64_t instance) const {
  for (const Member& member : members) {
    if (member.instance == instance) return &member;
  }
  return nullptr;
}

bool Configuration::is_voter(NodeId id) const {
  const Member* member = find(id);
  return member != nullptr && member->role == MemberRole::kVoter;
}

size_t Configuration::voter_count() const {
  return static_cast<size_t>(std::count_if(members.begin(), members.end(), [](const Member& member) {
    return member.role == MemberRole::kVoter;
  }));
}

const char* role_name(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter:
      return "voter";
    case MemberRole::kStandby:
      return "standby";
    case MemberRole::kSpare:
      break;
  }
  return "spare";
}

namespace {

std::string id_and_address(const Member& member) {
  const std::string id = std::to_string(member.id);
  return member.address.empty() ? id : id + " (" + member.address + ")";
}

}  // namespace

std::string text(const Member& member) {
  return "member " + id_and_address(member);
}

std::string text(const Configuration& configuration) {
  std::string all;
  for (const Member& member : configuration.members) {
    if (!all.empty()) all += ", ";
    all += id_and_address(member);
  }
  return all;
}

Bytes encode(const Configuration& configuration) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u8(kVersion);
  writer.u32(static_cast<uint32_t>(configuration.members.size()));
  for (const Member& member : configuration.members) {
    writer.u64(member.id);
    writer.u64(member.instance);
    writer.u8(static_cast<uint8_t>(member.role));
    writer.u8(static_cast<uint8_t>((member.promote ? kPromote : 0) | (member.pinned ? kPinned : 0)));
    writer.text(member.address);
  }
  return bytes;
}

Result<Configuration> decode_configuration(ByteView bytes) {
  codec::Reader reader(bytes);
  const uint8_t version = reader.u8();
  if (reader.failed()) return corrupt("it is empty", 0);
  if (version != kVersion) {
    return Status(Code::kUnsupported, "configuration entry: version " + std::to_string(version) +
                                          ", this build knows " + std::to_string(kVersion) +
                                          ": upgrade this node");
  }
  const uint32_t count = reader.u32();
  if (reader.failed() || count > reader.remaining() / kSmallestMember) {
    return corrupt(
        std::to_string(count) + " members do not fit into " + std::to_string(bytes.size()) + " bytes", 1);
  }
  Configuration configuration;
  NodeId previous = 0;
  for (uint32_t i = 0; i < count; i++) {
    const size_t offset = reader.position();
    Member member;
    member.id = reader.u64();
    member.instance = reader.u64();
    const uint8_t role = reader.u8();
    const uint8_t flags = reader.u8();
    member.address = reader.text();
    if (reader.failed()) return corrupt("it ends within a member", offset);
    if (member.id <= previous) return corrupt("ids do not ascend", offset);
    if (role < 1 || role > 3) return corrupt("unknown role " + std::to_string(role), offset);
    if (flags > (kPromote | kPinned)) return corrupt("unknown flags " + std::to_string(flags), offset);
    member.role = static_cast<MemberRole>(role);
    member.promote = (flags & kPromote) != 0;
    member.pinned = (flags & kPinned) != 0;
    previous = member.id;
    configuration.members.push_back(std::move(member));
  }
  if (!reader.finished()) return corrupt("bytes are left over", reader.position());
  return configuration;
}

}  // namespace dqlite::raft
