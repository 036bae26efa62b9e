#include "vfs/part_stage.h"

#include <thread>

#include "vfs/error_codes.h"

namespace dqlite::vfs {

template <typename Condition>
void PartStage::end_if(Condition condition) {
  if (std::erase_if(sets_, [&](const auto& named) { return condition(named.first, named.second); }) > 0) {
    note_open();
  }
}

void PartStage::enter_term(uint64_t term) {
  end_if([term](uint64_t, const Set& set) { return set.term < term; });
}

void PartStage::end(uint64_t set) {
  end_if([set](uint64_t name, const Set&) { return name == set; });
}

void PartStage::end_sets_of(uint64_t database, uint64_t but) {
  end_if([database, but](uint64_t name, const Set& set) {
    return name != but && set.changes.contains(database);
  });
}

void PartStage::clear() {
  end_if([](uint64_t, const Set&) { return true; });
}

void PartStage::note_open() {
  std::optional<LogPoint> floor;
  uint64_t size_bytes = 0;
  for (const auto& [name, set] : sets_) {
    if (!floor || set.before.index < floor->index) floor = set.before;
    size_bytes += set.bytes;
  }
  std::lock_guard lock(mutex_);
  floor_ = floor;
  size_bytes_ = size_bytes;
}

uint64_t PartStage::size_bytes() const {
  std::lock_guard lock(mutex_);
  return size_bytes_;
}

void PartStage::set_waiting_for(const std::string& reason) {
  std::lock_guard lock(mutex_);
  waiting_for_ = reason;
}

std::string PartStage::waiting_for() const {
  std::lock_guard lock(mutex_);
  return waiting_for_;
}

std::optional<LogPoint> PartStage::floor() const {
  std::lock_guard lock(mutex_);
  return floor_;
}

Status PartStage::add(const codec::TransactionPart& part, uint64_t index, uint64_t term, LogPoint before,
                      Database* database) {
  end_sets_of(part.change.database, part.set);
  auto found = sets_.find(part.set);
  if (found == sets_.end()) {
    found = sets_.try_emplace(part.set).first;
    found->second.term = term;
    found->second.before = before;
    note_open();
  }
  Set& set = found->second;
  if (part.number != set.count + 1) {
    end(part.set);
    return Status::ok();
  }
  set.count++;
  auto [change, is_new] = set.changes.try_emplace(part.change.database, Change{new_list()});
  if (database == nullptr) return Status::ok();
  const CommittedView base = database->committed();
  if (is_new) change->second.checksum = base.mark.checksum;
  set.bytes += part.change.pages.size() * base.page_size;
  note_open();
  return stage(change->second, part, index, *database);
}

Status PartStage::stage(Change& change, const codec::TransactionPart& part, uint64_t index,
                        Database& database) {
  const uint32_t first_page = part.change.pages.front().page_number;
  if (first_page <= change.last_page) {
    return {Code::kCorrupt, "entry " + std::to_string(index) + " brings page " + std::to_string(first_page) +
                                " of " + database.name() + " after page " + std::to_string(change.last_page) +
                                " of the same transaction"};
  }
  change.last_page = part.change.pages.back().page_number;
  const auto add = [&](uint32_t page_number, Bytes page) {
    return put(change.frames, page_number, std::move(page));
  };
  Status status = decode_pages(database, part.change, index, change.checksum, add);
  return status ? check_checksum_after(database, part.change, index, change.checksum) : status;
}

Status PartStage::put(FrameList& frames, uint32_t page_number, Bytes page) {
  Status status = frames.append(page_number, std::move(page));
  if (status.code() != Code::kFull) return status;
  set_waiting_for(status.sentence());
  queue_log("what the cluster commits is applied here when there is space: " + status.sentence());
  while (status.code() == Code::kFull && goes_on_()) {
    std::this_thread::sleep_for(limits_.space_interval);
    // NOLINTNEXTLINE(bugprone-use-after-move): an append that failed has left it as it was
    status = frames.append(page_number, std::move(page));
  }
  set_waiting_for("");
  return status;
}

Result<DecodedChange> PartStage::decode(Database& database, const codec::DatabaseChange& change,
                                        uint64_t index, uint64_t term) {
  FrameList frames = new_list();
  const auto add = [&](uint32_t page_number, Bytes page) {
    return put(frames, page_number, std::move(page));
  };
  Result<CommitMark> mark = decode_change(database, change, index, term, add);
  if (!mark) return mark.status();
  return DecodedChange{frames.take(), *mark};
}

Result<DecodedChange> PartStage::close(Database& database, const codec::Transaction& transaction,
                                       const codec::DatabaseChange& change, uint64_t index, uint64_t term) {
  const auto found = sets_.find(transaction.set);
  const uint32_t count = found == sets_.end() ? 0 : found->second.count;
  if (count != transaction.part_count) {
    return Status(Code::kCorrupt, "entry " + std::to_string(index) + " completes a transaction of " +
                                      std::to_string(transaction.part_count) + " parts, and this node has " +
                                      std::to_string(count) + " of them");
  }
  // It stands on what is published, as its parts do.
  const CommittedView base = database.committed();
  uint64_t checksum = base.mark.checksum;
  if (Status status = check_base(database, base, change, index, checksum); !status) return status;
  DecodedChange decoded;
  auto staged = found->second.changes.find(change.database);
  if (staged != found->second.changes.end()) {
    checksum = staged->second.checksum;
    decoded.frames = staged->second.frames.take();
  }
  Result<CommitMark> mark = check_change(database, change, index, term, checksum);
  if (!mark) return mark.status();
  decoded.mark = *mark;
  return decoded;
}

}  // namespace dqlite::vfs
