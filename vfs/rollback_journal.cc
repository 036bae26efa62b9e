#include "vfs/rollback_journal.h"

#include <array>
#include <cstring>

#include "codec/big_endian.h"
#include "codec/checksum.h"
#include "codec/page.h"

namespace dqlite::vfs {
namespace {

constexpr std::array<uint8_t, 8> kJournalMagic = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
constexpr char kMarkMagic[] = "dqliteJ1";
constexpr size_t kJournalHeaderSize = 512;
constexpr size_t kCountEnd = 12;  // magic and number of records, written last
constexpr size_t kMarkOffset = 28;
constexpr size_t kRecordsChecksumOffset = 60;
constexpr size_t kHeaderChecksumOffset = 68;
constexpr size_t kRecordOverhead = 8;
constexpr size_t kBufferSize = 256 * 1024;

void put_little(uint8_t* out, uint64_t value) {
  for (int i = 0; i < 8; i++) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t get_little(const uint8_t* in) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = (value << 8) | in[i];
  return value;
}

// Two journals of one base hold the same old pages, so records an earlier one left on the disk could do no
// harm.
uint32_t nonce_of(const JournalMark& mark) {
  Bytes bytes;
  codec::Writer out(bytes);
  out.u64(mark.database);
  out.u64(mark.base_index);
  return codec::checksum32(bytes);
}

// SQLite's pager_cksum.
uint32_t sum_of(ByteView page, uint32_t nonce) {
  uint32_t sum = nonce;
  for (int64_t i = static_cast<int64_t>(page.size()) - 200; i > 0; i -= 200)
    sum += page[static_cast<size_t>(i)];
  return sum;
}

std::array<uint8_t, kJournalHeaderSize> header_of(const JournalMark& mark, uint64_t records_checksum) {
  std::array<uint8_t, kJournalHeaderSize> header{};
  std::memcpy(header.data(), kJournalMagic.data(), kJournalMagic.size());
  codec::put_big_endian(&header[8], mark.record_count);
  codec::put_big_endian(&header[12], nonce_of(mark));
  codec::put_big_endian(&header[16], mark.base_page_count);
  codec::put_big_endian(&header[20], kJournalHeaderSize);
  codec::put_big_endian(&header[24], mark.page_size);
  std::memcpy(&header[kMarkOffset], kMarkMagic, 8);
  put_little(&header[36], mark.database);
  put_little(&header[44], mark.base_index);
  put_little(&header[52], mark.next_index);
  put_little(&header[kRecordsChecksumOffset], records_checksum);
  put_little(&header[kHeaderChecksumOffset], codec::checksum(ByteView(header).first(kHeaderChecksumOffset)));
  return header;
}

JournalMark mark_from(ByteView header) {
  JournalMark mark;
  mark.record_count = codec::get_big_endian(&header[8]);
  mark.base_page_count = codec::get_big_endian(&header[16]);
  mark.page_size = codec::get_big_endian(&header[24]);
  mark.database = get_little(&header[36]);
  mark.base_index = get_little(&header[44]);
  mark.next_index = get_little(&header[52]);
  return mark;
}

Status damaged(const std::string& path, const std::string& what) {
  return {Code::kCorrupt, "the checkpoint journal " + path + " is damaged: " + what};
}

// Calls visit(page_number, page) for each record, in order; checks each one's sum. Gives the chained
// checksum.
template <typename Visit>
Result<uint64_t> for_each_record(DataFile& journal, const std::string& path, const JournalMark& mark,
                                 Visit visit) {
  const uint32_t nonce = nonce_of(mark);
  const size_t size = mark.page_size + kRecordOverhead;
  Bytes record(size);
  uint64_t checksum = 0;
  for (uint32_t i = 0; i < mark.record_count; i++) {
    const uint64_t offset = kJournalHeaderSize + uint64_t{i} * size;
    auto got = journal.read(offset, record);
    if (!got) return got.status();
    ByteView page = ByteView(record).subspan(4, mark.page_size);
    uint32_t page_number = codec::get_big_endian(record.data());
    if (*got != size || page_number == 0 || page_number > mark.base_page_count ||
        codec::get_big_endian(&record[size - 4]) != sum_of(page, nonce)) {
      return damaged(path, "the record at offset " + std::to_string(offset) + " fails its sum");
    }
    checksum = codec::checksum(record, checksum);
    if (Status status = visit(page_number, page); !status) return status;
  }
  return checksum;
}

Status check_whole(DataFile& journal, const std::string& path, ByteView header, uint64_t file_size,
                   JournalMark& mark) {
  if (get_little(&header[kHeaderChecksumOffset]) != codec::checksum(header.first(kHeaderChecksumOffset))) {
    return damaged(path, "its header fails its checksum");
  }
  mark = mark_from(header);
  uint64_t expected = kJournalHeaderSize + uint64_t{mark.record_count} * (mark.page_size + kRecordOverhead);
  if (!codec::is_page_size(mark.page_size) || file_size != expected) {
    return damaged(path,
                   "it has " + std::to_string(file_size) + " bytes, expected " + std::to_string(expected));
  }
  auto checksum = for_each_record(journal, path, mark, [](uint32_t, ByteView) { return Status::ok(); });
  if (!checksum) return checksum.status();
  if (*checksum != get_little(&header[kRecordsChecksumOffset])) {
    return damaged(path, "its records fail their checksum");
  }
  return Status::ok();
}

}  // namespace

JournalWriter::JournalWriter(std::shared_ptr<DataFile> file, const JournalMark& mark)
    : file_(std::move(file)), mark_(mark), written_(kJournalHeaderSize) {
  buffer_.reserve(
      std::min<uint64_t>(kBufferSize, uint64_t{mark.record_count} * (mark.page_size + kRecordOverhead)));
}

Result<JournalWriter> JournalWriter::create(Files& files, const std::string& path, const JournalMark& mark) {
  auto file = files.open(path, true);
  if (!file) return file.status();
  return JournalWriter(std::move(*file), mark);
}

Status JournalWriter::add(uint32_t page_number, ByteView page) {
  const size_t size = mark_.page_size + kRecordOverhead;
  if (!buffer_.empty() && buffer_.size() + size > kBufferSize) {
    if (Status status = flush(); !status) return status;
  }
  const size_t start = buffer_.size();
  buffer_.resize(start + size);
  codec::put_big_endian(&buffer_[start], page_number);
  std::memcpy(&buffer_[start + 4], page.data(), page.size());
  codec::put_big_endian(&buffer_[start + size - 4], sum_of(page, nonce_of(mark_)));
  records_checksum_ = codec::checksum(ByteView(buffer_).subspan(start, size), records_checksum_);
  added_++;
  return Status::ok();
}

Status JournalWriter::flush() {
  if (buffer_.empty()) return Status::ok();
  if (Status status = file_->write(written_, buffer_); !status) return status;
  written_ += buffer_.size();
  buffer_.clear();
  return Status::ok();
}

Status JournalWriter::finish() {
  if (added_ != mark_.record_count) {
    return {Code::kInvalid, "a checkpoint journal was given " + std::to_string(added_) + " pages, expected " +
                                std::to_string(mark_.record_count)};
  }
  if (Status status = flush(); !status) return status;
  auto header = header_of(mark_, records_checksum_);
  auto unfinished = header;
  std::memset(unfinished.data(), 0, kCountEnd);
  if (Status status = file_->write(0, unfinished); !status) return status;
  if (Status status = file_->sync(); !status) return status;
  if (Status status = file_->write(0, ByteView(header).first(kCountEnd)); !status) return status;
  return file_->sync();
}

uint64_t JournalWriter::size_bytes() const {
  return written_ + buffer_.size();
}

Result<FoundJournal> inspect_journal(Files& files, const std::string& path) {
  FoundJournal found;
  auto file = files.open(path, false);
  if (file.status().code() == Code::kNotFound) return found;
  if (!file) return file.status();
  auto stamp = (*file)->stamp();
  if (!stamp) return stamp.status();
  std::array<uint8_t, kJournalHeaderSize> header{};
  auto got = (*file)->read(0, header);
  if (!got) return got.status();
  if (std::memcmp(header.data(), kJournalMagic.data(), kJournalMagic.size()) != 0) {
    found.state = JournalState::kInert;
    return found;
  }
  if (*got < kJournalHeaderSize || std::memcmp(&header[kMarkOffset], kMarkMagic, 8) != 0) {
    found.state = JournalState::kForeign;
    return found;
  }
  Status whole = check_whole(**file, path, header, stamp->size_bytes, found.mark);
  if (!whole && whole.code() != Code::kCorrupt) return whole;
  found.state = whole ? JournalState::kWhole : JournalState::kDamaged;
  found.damage = whole.sentence();
  return found;
}

Status roll_back(Files& files, const std::string& path, const JournalMark& mark, DataFile& database) {
  auto journal = files.open(path, false);
  if (!journal) return journal.status();
  // SQLite syncs a hot journal first. Ours was synced before the first page was overwritten, whatever came
  // then.
  auto put_back = [&](uint32_t page_number, ByteView page) {
    return database.write(uint64_t{page_number - 1} * mark.page_size, page);
  };
  auto done = for_each_record(**journal, path, mark, put_back);
  if (!done) return done.status();
  auto stamp = database.stamp();
  if (!stamp) return stamp.status();
  const uint64_t size = uint64_t{mark.base_page_count} * mark.page_size;
  if (stamp->size_bytes != size) {
    if (Status status = database.truncate(size); !status) return status;
  }
  return database.sync();
}

}  // namespace dqlite::vfs
