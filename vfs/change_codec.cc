#include "vfs/change_codec.h"

#include <map>

#include "codec/checksum.h"

namespace dqlite::vfs {
namespace {

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

Result<EncodedChange> encode_change(Database& database, const CommittedView& base,
                                    const std::vector<PageImage>& frames, uint32_t page_count) {
  std::map<uint32_t, const SharedPage*> newest;
  for (const PageImage& frame : frames) {
    if (frame.number <= page_count) newest[frame.number] = &frame.bytes;
  }
  EncodedChange encoded;
  codec::DatabaseChange& change = encoded.change;
  change.database = base.database;
  change.base_index = base.mark.index;
  change.base_term = base.mark.term;
  change.page_count = page_count;
  change.checksum_before = base.mark.checksum;
  change.checksum_after = base.mark.checksum;
  std::vector<size_t> ends;
  for (const auto& [number, page] : newest) {
    Result<SharedPage> previous = database.newest_page(number);
    if (!previous) return previous.status();
    if (*previous != nullptr && **previous == **page) continue;
    uint64_t previous_hash = hash_of(number, *previous);
    size_t begin = encoded.bytes.size();
    codec::PageForm form = codec::encode_page(**page, view_of(*previous), encoded.bytes);
    Result<Bytes> decoded = codec::decode_page(form, ByteView(encoded.bytes).subspan(begin),
                                               view_of(*previous), static_cast<uint32_t>((*page)->size()));
    if (!decoded || *decoded != **page) {
      return Status(Code::kCorrupt, "page " + std::to_string(number) + " of " + database.name() +
                                        " does not survive its own encoding: nothing was proposed");
    }
    change.checksum_after ^= previous_hash ^ codec::page_hash(number, **page);
    bool difference = form == codec::PageForm::kDifference;
    change.pages.push_back({number, form, difference ? previous_hash : 0, {}});
    ends.push_back(encoded.bytes.size());
  }
  if (Status status = cut_checksum(database, base.mark.page_count, page_count, change.checksum_after);
      !status) {
    return status;
  }
  size_t begin = 0;
  for (size_t i = 0; i < ends.size(); i++) {
    change.pages[i].bytes = ByteView(encoded.bytes).subspan(begin, ends[i] - begin);
    begin = ends[i];
  }
  return encoded;
}

Result<DecodedChange> decode_change(Database& database, const codec::DatabaseChange& change, uint64_t index,
                                    uint64_t term) {
  CommittedView base = database.committed();
  if (base.mark.index != change.base_index || base.mark.term != change.base_term) {
    return Status(Code::kCorrupt,
                  difference_sentence(database, "entry " + std::to_string(index) + " stands on entry " +
                                                    std::to_string(change.base_index) + ", its newest is " +
                                                    std::to_string(base.mark.index)));
  }
  if (base.mark.checksum != change.checksum_before) {
    return Status(Code::kCorrupt,
                  difference_sentence(
                      database, "the checksums before entry " + std::to_string(index) + " are not equal"));
  }
  DecodedChange decoded;
  uint64_t checksum = base.mark.checksum;
  for (const codec::PageChange& page : change.pages) {
    Result<SharedPage> previous = database.newest_page(page.page_number);
    if (!previous) return previous.status();
    uint64_t previous_hash = hash_of(page.page_number, *previous);
    if (page.form == codec::PageForm::kDifference && previous_hash != page.previous_hash) {
      return Status(Code::kCorrupt, difference_sentence(database, "page " + std::to_string(page.page_number) +
                                                                      " is not the version that entry " +
                                                                      std::to_string(index) + " changes"));
    }
    Result<Bytes> bytes = codec::decode_page(page.form, page.bytes, view_of(*previous), base.page_size);
    if (!bytes) return bytes.status();
    checksum ^= previous_hash ^ codec::page_hash(page.page_number, *bytes);
    decoded.frames.push_back({page.page_number, std::make_shared<const Bytes>(std::move(*bytes))});
  }
  if (Status status = cut_checksum(database, base.mark.page_count, change.page_count, checksum); !status) {
    return status;
  }
  if (checksum != change.checksum_after) {
    return Status(Code::kCorrupt,
                  difference_sentence(
                      database, "the checksums after entry " + std::to_string(index) + " are not equal"));
  }
  decoded.mark = {0, index, term, change.page_count, checksum};
  return decoded;
}

}  // namespace dqlite::vfs
