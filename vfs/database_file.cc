#include "vfs/database_file.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "codec/checksum.h"
#include "codec/page.h"
#include "vfs/database_file_state.h"

namespace dqlite::vfs {

DatabaseFile::DatabaseFile(std::unique_ptr<State> state) : state_(std::move(state)) {}

DatabaseFile::~DatabaseFile() = default;

Result<std::vector<uint64_t>> DatabaseFile::list(Files& files, const std::string& node_directory) {
  return RecordStore::list(files, node_directory);
}

Result<std::unique_ptr<DatabaseFile>> DatabaseFile::open(Files& files, const std::string& directory,
                                                         const std::string& node_directory,
                                                         uint64_t database) {
  auto state = std::make_unique<State>(files, directory, node_directory);
  if (Status status = state->open_recorded(database); !status) return status;
  return std::unique_ptr<DatabaseFile>(new DatabaseFile(std::move(state)));
}

Result<std::unique_ptr<DatabaseFile>> DatabaseFile::open_unrecorded(Files& files,
                                                                    const std::string& directory,
                                                                    const std::string& node_directory,
                                                                    const std::string& name, bool create) {
  auto state = std::make_unique<State>(files, directory, node_directory);
  if (Status status = state->open_unrecorded(name, create); !status) return status;
  return std::unique_ptr<DatabaseFile>(new DatabaseFile(std::move(state)));
}

const FoundFile& DatabaseFile::found() const {
  return state_->found;
}

const CheckpointRecord& DatabaseFile::record() const {
  return state_->record;
}

const std::string& DatabaseFile::path() const {
  return state_->path;
}

Result<uint64_t> DatabaseFile::compute_checksum() {
  State& state = *state_;
  auto stamp = state.file->stamp();
  if (!stamp) return stamp.status();
  auto sums = state.sum_pages(state.page_size, state.page_count);
  if (!sums) return sums.status();
  uint64_t total = sums->total();
  state.summed_at = *stamp;
  state.end_copy(state.page_size, state.page_count, std::move(*sums));
  return total;
}

Status DatabaseFile::establish(const CheckpointRecord& record) {
  State& state = *state_;
  if (!state.failure) return state.failure;
  Status done = state.adopt(record);
  // What was begun is undone by the next open.
  if (!done && done.code() != Code::kInvalid && done.code() != Code::kBusy) state.failure = done;
  return done;
}

const Status& DatabaseFile::failure() const {
  return state_->failure;
}

Status DatabaseFile::read(uint32_t page_number, std::span<uint8_t> out) {
  return state_->read(page_number, out);
}

void DatabaseFile::watch_rot(RotWatcher watcher) {
  state_->rot_watcher = std::move(watcher);
}

void DatabaseFile::forget_cached() {
  state_->file->forget_cached();
}

void DatabaseFile::State::begin_copy(std::vector<uint32_t> page_numbers) {
  std::unique_lock<std::shared_mutex> guard(reads);
  copying = std::move(page_numbers);
  generation++;
}

void DatabaseFile::State::end_copy(uint32_t new_page_size, uint32_t new_page_count, PageSums new_sums) {
  std::unique_lock<std::shared_mutex> guard(reads);
  page_size = new_page_size;
  page_count = new_page_count;
  sums = std::move(new_sums);
  has_sums = true;
  copying.clear();
  generation++;
}

Status DatabaseFile::State::read(uint32_t page_number, std::span<uint8_t> out) {
  for (;;) {
    uint64_t seen, expected;
    bool in_motion, checked;
    Status fault;
    uint32_t size, count;
    {
      std::shared_lock<std::shared_mutex> guard(reads);
      seen = generation;
      expected = sums.of(page_number);
      checked = has_sums;
      in_motion = std::binary_search(copying.begin(), copying.end(), page_number);
      if (in_motion) fault = copy_failure;
      size = page_size;
      count = page_count;
    }
    if (!fault) return fault;
    if (page_number == 0 || (size != 0 && out.size() != size)) {
      return {Code::kInvalid, "page " + std::to_string(page_number) + " of " + path + " was asked for into " +
                                  std::to_string(out.size()) + " bytes; pages count from 1 and have " +
                                  std::to_string(size) + " bytes"};
    }
    if (page_number > count || page_number == lock_byte_page(size)) {
      std::fill(out.begin(), out.end(), uint8_t{0});
      return Status::ok();
    }
    const uint64_t offset = uint64_t{page_number - 1} * size;
    auto got = file->read(offset, out);
    if (got && page_number == 1) codec::make_canonical_page1(out);
    // The caller knows which pages a checkpoint overwrites, and looks for them elsewhere.
    if (in_motion || !checked) return got.status();
    if (got && *got == out.size() && codec::page_hash(page_number, out) == expected) return Status::ok();
    {
      std::shared_lock<std::shared_mutex> guard(reads);
      if (generation != seen) continue;
    }
    const std::string page = "page " + std::to_string(page_number) + " of " + path;
    fault = got.status().in(page);
    if (got) {
      fault = {Code::kCorrupt,
               page + " (offset " + std::to_string(offset) + ", " + std::to_string(*got) + " of " +
                   std::to_string(size) + " bytes) is not what the last checkpoint wrote: hash " +
                   std::to_string(codec::page_hash(page_number, out)) + ", expected " +
                   std::to_string(expected) + "; this copy of the database needs to be fetched anew"};
    }
    if (fault.code() == Code::kCorrupt || fault.code() == Code::kIo) rot_watcher(page_number, fault);
    return fault;
  }
}

FrameList DatabaseFile::page_list(size_t memory_bytes) const {
  return {state_->files, state_->node_directory, memory_bytes};
}

}  // namespace dqlite::vfs
