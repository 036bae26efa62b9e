#include "vfs/change_codec.h"

#include <algorithm>

#include "codec/checksum.h"

namespace dqlite::vfs {
namespace {

// What a page takes in an entry beside its bytes (codec/command.cc).
constexpr size_t kPageOverhead = 17;

ByteView view_of(const SharedPage& page) {
  return page ? ByteView(*page) : ByteView();
}

uint64_t hash_of(uint32_t number, const SharedPage& page) {
  return page ? codec::page_hash(number, *page) : 0;
}

// Takes the pages that a smaller size cuts off out of the checksum.
Status cut_checksum(Database& database, uint32_t from_count, uint32_t to_count, uint64_t& checksum) {
  for (uint64_t number = static_cast<uint64_t>(to_count) + 1; number <= from_count; number++) {
    Result<SharedPage> page = database.newest_page(static_cast<uint32_t>(number));
    if (!page) return page.status();
    checksum ^= hash_of(static_cast<uint32_t>(number), *page);
  }
  return Status::ok();
}

std::string difference_sentence(const Database& database, const std::string& what) {
  return "this node's copy of " + database.name() + " differs from the cluster's: " + what;
}

}  // namespace

ChangeEncoder::ChangeEncoder(Database& database, const CommittedView& base,
                             const std::vector<PageImage>& frames, uint32_t page_count)
    : database_(database),
      base_(base),
      frames_(frames),
      page_count_(page_count),
      checksum_(base.mark.checksum) {
  order_.reserve(frames.size());
  for (uint32_t position = 0; position < frames.size(); position++) {
    if (frames[position].number <= page_count) order_.push_back(position);
  }
  // The newest frame of a page first.
  std::sort(order_.begin(), order_.end(), [&frames](uint32_t a, uint32_t b) {
    return frames[a].number != frames[b].number ? frames[a].number < frames[b].number : a > b;
  });
  const auto is_same_page = [&frames](uint32_t a, uint32_t b) {
    return frames[a].number == frames[b].number;
  };
  order_.erase(std::unique(order_.begin(), order_.end(), is_same_page), order_.end());
}

Result<EncodedChange> ChangeEncoder::next(size_t part_bytes) {
  EncodedChange encoded;
  codec::DatabaseChange& change = encoded.change;
  change = head(checksum_);
  std::vector<size_t> ends;
  while (!is_done() && encoded.bytes.size() + ends.size() * kPageOverhead < part_bytes) {
    size_t end = 0;
    if (Status status = add(frames_[order_[position_]], encoded, end); !status) return status;
    position_++;
    if (change.pages.size() > ends.size()) ends.push_back(end);
  }
  change.checksum_after = checksum_;
  size_t begin = 0;
  for (size_t i = 0; i < ends.size(); i++) {
    change.pages[i].bytes = ByteView(encoded.bytes).subspan(begin, ends[i] - begin);
    begin = ends[i];
  }
  return encoded;
}

// `end`: of the page's bytes, if it is changed at all.
Status ChangeEncoder::add(const PageImage& frame, EncodedChange& encoded, size_t& end) {
  const uint32_t number = frame.number;
  Result<SharedPage> page = frame.load();
  if (!page) return page.status();
  Result<SharedPage> previous = database_.newest_page(number);
  if (!previous) return previous.status();
  if (*previous != nullptr && **previous == **page) return Status::ok();
  const uint64_t previous_hash = hash_of(number, *previous);
  const size_t begin = encoded.bytes.size();
  const codec::PageForm form = codec::encode_page(**page, view_of(*previous), encoded.bytes);
  Result<Bytes> decoded = codec::decode_page(form, ByteView(encoded.bytes).subspan(begin), view_of(*previous),
                                             static_cast<uint32_t>((*page)->size()));
  if (!decoded || *decoded != **page) {
    return {Code::kCorrupt, "page " + std::to_string(number) + " of " + database_.name() +
                                " does not survive its own encoding: nothing was proposed"};
  }
  checksum_ ^= previous_hash ^ codec::page_hash(number, **page);
  const bool difference = form == codec::PageForm::kDifference;
  encoded.change.pages.push_back({number, form, difference ? previous_hash : 0, {}});
  end = encoded.bytes.size();
  return Status::ok();
}

// Without its pages; after them `checksum_`.
codec::DatabaseChange ChangeEncoder::head(uint64_t checksum_before) const {
  return {.database = base_.database,
          .base_index = base_.mark.index,
          .base_term = base_.mark.term,
          .page_count = page_count_,
          .checksum_before = checksum_before,
          .checksum_after = checksum_,
          .pages = {}};
}

Result<codec::DatabaseChange> ChangeEncoder::close() {
  codec::DatabaseChange change = head(base_.mark.checksum);
  Status status = cut_checksum(database_, base_.mark.page_count, page_count_, change.checksum_after);
  if (!status) return status;
  return change;
}

Status check_base(Database& database, const CommittedView& base, const codec::DatabaseChange& change,
                  uint64_t index, uint64_t checksum) {
  if (base.mark.index != change.base_index || base.mark.term != change.base_term) {
    return {Code::kCorrupt,
            difference_sentence(database, "entry " + std::to_string(index) + " stands on entry " +
                                              std::to_string(change.base_index) + ", its newest is " +
                                              std::to_string(base.mark.index))};
  }
  if (checksum != change.checksum_before) {
    return {Code::kCorrupt, difference_sentence(database, "the checksums before entry " +
                                                              std::to_string(index) + " are not equal")};
  }
  return Status::ok();
}

Status decode_pages(Database& database, const codec::DatabaseChange& change, uint64_t index,
                    uint64_t& checksum, const AddPage& add) {
  const CommittedView base = database.committed();
  if (Status status = check_base(database, base, change, index, checksum); !status) return status;
  for (const codec::PageChange& page : change.pages) {
    Result<SharedPage> previous = database.newest_page(page.page_number);
    if (!previous) return previous.status();
    uint64_t previous_hash = hash_of(page.page_number, *previous);
    if (page.form == codec::PageForm::kDifference && previous_hash != page.previous_hash) {
      return {Code::kCorrupt, difference_sentence(database, "page " + std::to_string(page.page_number) +
                                                                " is not the version that entry " +
                                                                std::to_string(index) + " changes")};
    }
    Result<Bytes> bytes = codec::decode_page(page.form, page.bytes, view_of(*previous), base.page_size);
    if (!bytes) return bytes.status();
    checksum ^= previous_hash ^ codec::page_hash(page.page_number, *bytes);
    if (Status status = add(page.page_number, std::move(*bytes)); !status) return status;
  }
  return Status::ok();
}

Status check_checksum_after(Database& database, const codec::DatabaseChange& change, uint64_t index,
                            uint64_t checksum) {
  if (checksum == change.checksum_after) return Status::ok();
  return {Code::kCorrupt, difference_sentence(database, "the checksums after entry " + std::to_string(index) +
                                                            " are not equal")};
}

Result<CommitMark> check_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                uint64_t term, uint64_t checksum) {
  const CommitMark base = database.committed().mark;
  if (Status status = cut_checksum(database, base.page_count, change.page_count, checksum); !status) {
    return status;
  }
  if (Status status = check_checksum_after(database, change, index, checksum); !status) return status;
  return CommitMark{0, index, term, change.page_count, checksum};
}

Result<CommitMark> decode_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                 uint64_t term, const AddPage& add) {
  uint64_t checksum = database.committed().mark.checksum;
  if (Status status = decode_pages(database, change, index, checksum, add); !status) return status;
  return check_change(database, change, index, term, checksum);
}

}  // namespace dqlite::vfs
