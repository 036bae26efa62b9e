// Small files whose content must be right or be known to be wrong: two checksummed copies in one file.
//
// Used for the state slots, the identity and the peers' boot counters. One rotten sector leaves the other
// copy; a torn write may leave none, which the caller handles (alternating slots, or a rename). A copy begins
// at every multiple of 4096 at which its magic stands; of several valid ones the highest sequence number
// counts. Blocking; any thread.
//
//   offset  bytes  field
//        0      4  magic: what file this is
//        4      4  format version of the body (1)
//        8      8  checksum of all that follows, seeded with magic and version
//       16      8  sequence number of the writing
//       24      4  length of the body
//       28      4  zeros
//       32      -  body
#pragma once

#include <cstdint>
#include <string>

#include "codec/bytes.h"
#include "codec/status.h"
#include "raft/log/disk.h"

namespace dqlite::raft {

constexpr size_t kCopyAlignment = 4096;
constexpr uint64_t kMaxCheckedFileBytes = 64 << 20;

struct CheckedContent {
  uint64_t sequence = 0;
  Bytes body;
  int valid_copies = 0;
};

// The whole file: both copies, each on its own blocks.
Bytes encode_checked(uint32_t magic, uint64_t sequence, ByteView body);

// kCorrupt if no copy is valid; kUnsupported if a valid copy has a version that this build does not know.
// `path` is for the sentence.
Result<CheckedContent> decode_checked(uint32_t magic, ByteView file, const std::string& path);

Result<Bytes> read_whole_file(Disk& disk, const std::string& path);

// Puts `bytes` in the place of `<directory>/<name>`, durably and whole or not at all: new file, sync, rename,
// directory sync.
Status replace_file(Disk& disk, const std::string& directory, const std::string& name, ByteView bytes);

// The same for a file that exists with both copies valid and has the size of `bytes`, without any new space:
// one copy after the other, each synced, so that one is whole at every moment. Its name must be durable.
Status rewrite_copies(Disk& disk, const std::string& path, ByteView bytes);

// Makes the directory if it is missing and its name in the parent durable.
Status ensure_directory(Disk& disk, const std::string& path);

}  // namespace dqlite::raft
