#include "raft/log/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "raft/log/checked_file.h"
#include "raft/log/random.h"
#include "raft/log/segment.h"

namespace dqlite::raft {

namespace {

constexpr uint32_t kIdentityMagic = 0x49514C44;  // "DLQI"
constexpr uint32_t kPeersMagic = 0x50514C44;     // "DLQP"
constexpr const char* kIdentityName = "identity";
constexpr const char* kPeersName = "peers";

Bytes encode_identity(const Identity& identity) {
  Bytes bytes;
  codec::Writer writer(bytes);
  writer.u64(identity.instance);
  writer.u64(identity.node_id);
  writer.u64(identity.cluster_id.high);
  writer.u64(identity.cluster_id.low);
  writer.u64(identity.boot_counter);
  writer.text(identity.listen);
  writer.text(identity.join_target);
  writer.u32(static_cast<uint32_t>(identity.timeout_ms));
  writer.u32(identity.voters);
  writer.u32(identity.standbys);
  writer.u32(identity.grace_ms);
  writer.text(identity.failure_domain);
  writer.u32(identity.weight);
  writer.u8(identity.removed ? 1 : 0);
  writer.u32(static_cast<uint32_t>(identity.former_clusters.size()));
  for (const ClusterId& former : identity.former_clusters) {
    writer.u64(former.high);
    writer.u64(former.low);
  }
  writer.u8(identity.becomes_alone ? 1 : 0);
  writer.text(identity.machine_id);
  writer.u64(identity.device);
  writer.u64(identity.inode);
  return bytes;
}

Result<Identity> decode_identity(ByteView bytes, const std::string& path) {
  codec::Reader reader(bytes);
  Identity identity;
  identity.instance = reader.u64();
  identity.node_id = reader.u64();
  identity.cluster_id.high = reader.u64();
  identity.cluster_id.low = reader.u64();
  identity.boot_counter = reader.u64();
  identity.listen = reader.text();
  identity.join_target = reader.text();
  identity.timeout_ms = static_cast<int>(reader.u32());
  identity.voters = reader.u32();
  identity.standbys = reader.u32();
  identity.grace_ms = reader.u32();
  identity.failure_domain = reader.text();
  identity.weight = reader.u32();
  identity.removed = reader.u8() == 1;
  const uint32_t former = reader.u32();
  for (uint32_t i = 0; i < former && !reader.failed(); i++) {
    const uint64_t high = reader.u64();
    identity.former_clusters.push_back({high, reader.u64()});
  }
  identity.becomes_alone = reader.u8() == 1;
  identity.machine_id = reader.text();
  identity.device = reader.u64();
  identity.inode = reader.u64();
  if (!reader.finished()) {
    return Status(Code::kCorrupt, path + ": an identity of " + std::to_string(bytes.size()) +
                                      " bytes with a right checksum has the wrong length");
  }
  return identity;
}

// Empty if the machine has none: then device and inode alone tell.
std::string read_machine_id() {
  int descriptor = ::open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  char text[64];
  ssize_t got = ::read(descriptor, text, sizeof(text));
  ::close(descriptor);
  std::string id(text, got > 0 ? static_cast<size_t>(got) : 0);
  return id.substr(0, id.find('\n'));
}

}  // namespace

std::string ClusterId::text() const {
  char digits[33];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return digits;
}

Result<std::unique_ptr<IdentityFile>> IdentityFile::open(Disk& disk, const std::string& directory) {
  if (Status status = ensure_directory(disk, directory); !status) return status;
  std::unique_ptr<IdentityFile> file(new IdentityFile(disk, directory));
  if (Status status = file->lock_.take(directory); !status) return status;
  if (Status status = file->find_location(); !status) return status;
  Result<bool> exists = disk.exists(directory + "/" + kIdentityName);
  if (!exists) return exists.status();
  if (Status status = *exists ? file->load() : file->create(); !status) return status;
  if (Status status = file->load_peers(); !status) return status;
  if (Status status = disk.sync_directory(directory); !status) return status;  // a kill may have come before
  Result<uint64_t> nonce = random_number();
  if (!nonce) return nonce.status();
  Identity identity = file->identity_;
  identity.boot_nonce = *nonce;
  identity.boot_counter++;
  if (Status status = file->save(identity); !status) return status;
  return file;
}

IdentityFile::~IdentityFile() = default;

Status IdentityFile::find_location() {
  struct stat found {};
  if (stat(directory_.c_str(), &found) != 0) {
    return {Code::kIo, "stat of " + directory_ + " failed: " + std::strerror(errno)};
  }
  machine_id_ = read_machine_id();
  device_ = found.st_dev;
  inode_ = found.st_ino;
  return Status::ok();
}

Status IdentityFile::load() {
  std::string path = directory_ + "/" + kIdentityName;
  Result<Bytes> bytes = read_whole_file(disk_, path);
  if (!bytes) return bytes.status();
  Result<CheckedContent> content = decode_checked(kIdentityMagic, *bytes, path);
  if (!content) {
    return content.status().code() == Code::kUnsupported
               ? content.status()
               : Status(content.status().code(),
                        content.status().sentence() + ": the node does not know who it is: " + kJoinAnew);
  }
  Result<Identity> identity = decode_identity(content->body, path);
  if (!identity) return identity.status();
  identity_ = std::move(*identity);
  sequence_ = content->sequence;
  in_place_size_ = content->valid_copies == 2 ? bytes->size() : 0;
  was_copied_ = is_elsewhere(identity_);
  if (!was_copied_) identity_.device = device_;
  return Status::ok();
}

bool IdentityFile::is_elsewhere(const Identity& identity) const {
  return identity.machine_id != machine_id_ || identity.inode != inode_;
}

// Only in a directory without a past: a log or a vote without an identity must not get a new one.
Status IdentityFile::create() {
  Result<std::vector<std::string>> names = disk_.list(directory_);
  if (!names) return names.status();
  for (const std::string& name : *names) {
    if (parse_segment_name(name) || name == "state-0" || name == "state-1") {
      return {Code::kCorrupt, directory_ + " holds " + name + " but no identity: the file " + kIdentityName +
                                  " was lost: " + kJoinAnew};
    }
  }
  Result<uint64_t> instance = random_number();
  if (!instance) return instance.status();
  identity_.instance = *instance;
  identity_.machine_id = machine_id_;
  identity_.device = device_;
  identity_.inode = inode_;
  return Status::ok();
}

Status IdentityFile::save(const Identity& identity) {
  Bytes bytes = encode_checked(kIdentityMagic, sequence_ + 1, encode_identity(identity));
  Status status = bytes.size() == in_place_size_
                      ? rewrite_copies(disk_, directory_ + "/" + kIdentityName, bytes)
                      : replace_file(disk_, directory_, kIdentityName, bytes);
  if (!status) {
    in_place_size_ = 0;  // a copy may be torn: the next writing must not touch the other one
    return status.in("identity");
  }
  in_place_size_ = bytes.size();
  sequence_++;
  identity_ = identity;
  was_copied_ = was_copied_ && is_elsewhere(identity);
  return Status::ok();
}

Identity IdentityFile::at_this_place() const {
  Identity identity = identity_;
  identity.machine_id = machine_id_;
  identity.device = device_;
  identity.inode = inode_;
  return identity;
}

// --- peers ---

Status IdentityFile::load_peers() {
  std::string path = directory_ + "/" + kPeersName;
  Result<bool> exists = disk_.exists(path);
  if (!exists) return exists.status();
  if (!*exists) return Status::ok();
  Result<Bytes> bytes = read_whole_file(disk_, path);
  if (!bytes) return bytes.status();
  Result<CheckedContent> content = decode_checked(kPeersMagic, *bytes, path);
  if (content) {
    codec::Reader reader(content->body);
    uint32_t count = reader.u32();
    for (uint32_t i = 0; i < count && !reader.failed(); i++) {
      uint64_t instance = reader.u64();
      peers_[instance] = reader.u64();
    }
    peers_sequence_ = content->sequence;
    if (reader.finished()) return Status::ok();
  } else if (content.status().code() == Code::kUnsupported) {
    return content.status();
  }
  return {Code::kCorrupt,
          path +
              " is damaged: without the boot counters of its peers this node cannot find a restored "
              "directory. Remove the file to go on without that memory"};
}

Status IdentityFile::remember_peer(uint64_t instance, uint64_t boot_counter) {
  std::lock_guard turn(writing_);
  std::map<uint64_t, uint64_t> peers;
  {
    std::lock_guard lock(mutex_);
    peers = peers_;
  }
  uint64_t& known = peers[instance];
  if (boot_counter <= known) return Status::ok();
  known = boot_counter;
  return store_peers(std::move(peers));
}

Status IdentityFile::forget_peers() {
  std::lock_guard turn(writing_);
  return knows_peers() ? store_peers({}) : Status::ok();
}

// With `writing_` held.
Status IdentityFile::store_peers(std::map<uint64_t, uint64_t> peers) {
  Bytes body;
  codec::Writer writer(body);
  writer.u32(static_cast<uint32_t>(peers.size()));
  for (const auto& [peer, counter] : peers) {
    writer.u64(peer);
    writer.u64(counter);
  }
  Status status =
      replace_file(disk_, directory_, kPeersName, encode_checked(kPeersMagic, peers_sequence_ + 1, body));
  if (!status) return status.in("boot counters of peers");
  peers_sequence_++;
  std::lock_guard lock(mutex_);
  peers_ = std::move(peers);
  return Status::ok();
}

uint64_t IdentityFile::peer_boot_counter(uint64_t instance) const {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(instance);
  return found == peers_.end() ? 0 : found->second;
}

bool IdentityFile::knows_peers() const {
  std::lock_guard lock(mutex_);
  return !peers_.empty();
}

void IdentityFile::close_after_fork() {
  lock_.close_after_fork();
}

}  // namespace dqlite::raft
