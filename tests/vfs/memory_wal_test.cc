// What a page is at each commit, against the rule written down naively [A4].

#include "vfs/memory_wal.h"

#include <CppUTest/TestHarness.h>

#include <optional>
#include <random>

using namespace dqlite;
using namespace dqlite::vfs;

namespace {

constexpr size_t kSize = 16;

SharedPage page_of(uint64_t content) {
  Bytes bytes(kSize);
  for (size_t i = 0; i < 8; i++) bytes[i] = static_cast<uint8_t>(content >> (8 * i));
  return std::make_shared<const Bytes>(std::move(bytes));
}

// The logical image: null is a page of zeros without a previous version.
using PageList = std::vector<SharedPage>;

bool equal(const SharedPage& left, const SharedPage& right) {
  static const SharedPage zeros = page_of(0);
  return (left ? *left : *zeros) == (right ? *right : *zeros);
}

}  // namespace

TEST_GROUP(MemoryWal) {
  MemoryWal wal;
  PageList now;
  PageList file;
  std::vector<PageList> history;  // after each commit
  std::vector<CommitMark> marks;
  uint64_t index = 10;
  uint64_t next_content = 1;

  void setup() override {
    wal.reset({1, index, 1, 0, 0});
  }

  void begin_with(uint32_t pages) {
    for (uint32_t i = 0; i < pages; i++) file.push_back(page_of(next_content++));
    now = file;
    wal.reset({1, index, 1, pages, 0});
  }
  void commit(std::vector<uint32_t> numbers, uint32_t page_count) {
    std::vector<PageImage> frames;
    PageList before = now;
    now.resize(std::min<size_t>(now.size(), page_count));
    now.resize(page_count);
    for (uint32_t number : numbers) {
      SharedPage bytes = page_of(next_content++);
      frames.push_back({number, bytes});
      if (number <= page_count) now[number - 1] = bytes;
    }
    wal.append(frames, {0, ++index, 1, page_count, 0});
    history.push_back(now);
    marks.push_back(wal.newest());
  }
  void checkpoint(size_t commit_number) {
    const CommitMark mark = marks[commit_number];
    file.resize(std::min<size_t>(file.size(), mark.page_count));
    file.resize(mark.page_count);
    uint32_t last = 0;
    for (const PageImage& image : wal.changes_until(mark)) {
      CHECK(image.number > last && image.number <= mark.page_count);
      last = image.number;
      file[image.number - 1] = image.bytes();
    }
    for (size_t i = 0; i < file.size(); i++) CHECK_TRUE(equal(file[i], history[commit_number][i]));
    wal.checkpointed_at(mark);
  }
  void check_newest() {
    for (uint32_t number = 1; number <= now.size(); number++) {
      MemoryWal::Found found = wal.find(number);
      switch (found.place) {
        case MemoryWal::Place::kFrame:
          CHECK_TRUE(found.page.bytes() != nullptr && equal(found.page.bytes(), now[number - 1]));
          break;
        case MemoryWal::Place::kZeros:
          CHECK_TRUE(now[number - 1] == nullptr);
          break;
        case MemoryWal::Place::kFile:
          CHECK_TRUE(number <= file.size() && equal(file[number - 1], now[number - 1]));
          break;
        default:
          FAIL("a page in range was not found");
      }
    }
    CHECK_TRUE(wal.find(0).place == MemoryWal::Place::kNone);
    CHECK_TRUE(wal.find(static_cast<uint32_t>(now.size()) + 1).place == MemoryWal::Place::kNone);
  }
};

TEST(MemoryWal, a_page_is_its_newest_frame_else_the_files) {
  begin_with(3);
  commit({2, 3, 2}, 3);
  check_newest();
  CHECK_TRUE(wal.find(1).place == MemoryWal::Place::kFile);
  CHECK_TRUE(wal.find(2).place == MemoryWal::Place::kFrame);
  LONGS_EQUAL(3, wal.frame_count());
  LONGS_EQUAL(3 * kSize, wal.size_bytes());
}

TEST(MemoryWal, A4_a_page_that_was_cut_off_and_came_back_is_zeros) {
  begin_with(10);
  commit({9}, 10);
  commit({1}, 5);
  commit({7}, 8);
  CHECK_TRUE(wal.find(6).place == MemoryWal::Place::kZeros);  // was in the file
  CHECK_TRUE(wal.find(7).place == MemoryWal::Place::kFrame);  // written again
  CHECK_TRUE(wal.find(9).place == MemoryWal::Place::kNone);   // not in range
  commit({1}, 10);
  CHECK_TRUE(wal.find(9).place == MemoryWal::Place::kZeros);  // its frame was cut off
  check_newest();
  checkpoint(3);
  check_newest();
}

TEST(MemoryWal, A4_the_same_with_a_checkpoint_between_the_cut_and_the_return) {
  begin_with(10);
  commit({1}, 5);
  checkpoint(0);
  commit({1}, 10);
  for (uint32_t number = 6; number <= 10; number++) {
    CHECK_TRUE(wal.find(number).place == MemoryWal::Place::kZeros);
  }
  checkpoint(1);
  check_newest();
}

TEST(MemoryWal, A4_a_frame_above_the_end_of_its_own_commit_is_nobodys_version) {
  begin_with(4);
  commit({6, 2}, 4);  // spilled, and then the transaction got smaller
  CHECK_TRUE(wal.find(6).place == MemoryWal::Place::kNone);
  commit({1}, 7);
  CHECK_TRUE(wal.find(6).place == MemoryWal::Place::kZeros);
  checkpoint(1);
  check_newest();
}

TEST(MemoryWal, A4_a_page_cut_off_by_the_commit_that_wrote_it_before_is_cut) {
  begin_with(10);
  commit({10}, 10);
  commit({10, 1}, 4);
  commit({1}, 12);
  CHECK_TRUE(wal.find(10).place == MemoryWal::Place::kZeros);
  checkpoint(0);
  check_newest();
  checkpoint(2);
  check_newest();
}

TEST(MemoryWal, frames_stay_until_nobody_reads_them) {
  begin_with(2);
  commit({1}, 2);
  commit({2}, 2);
  uint64_t first = marks[0].sequence;
  checkpoint(1);
  CHECK_TRUE(wal.holds(first));  // a reader may have it
  wal.release(first - 1);
  CHECK_TRUE(wal.holds(first));
  wal.release(first);
  CHECK_FALSE(wal.holds(first));
  CHECK_TRUE(wal.holds(first + 1));
  LONGS_EQUAL(0, wal.pending_bytes());
  LONGS_EQUAL(kSize, wal.size_bytes());
  wal.release(first + 1);
  LONGS_EQUAL(0, wal.size_bytes());
}

TEST(MemoryWal, what_no_checkpoint_has_moved_is_never_released) {
  begin_with(2);
  commit({1}, 2);
  wal.release(1000);
  CHECK_TRUE(wal.holds(marks[0].sequence));
  check_newest();
}

TEST(MemoryWal, the_newest_commit_at_an_index_is_found_between_entries_too) {
  begin_with(2);
  index += 4;
  commit({1}, 2);  // index 15
  index += 4;
  commit({1}, 2);  // index 20
  LONGS_EQUAL(10, wal.newest_at(14).index);
  LONGS_EQUAL(15, wal.newest_at(15).index);
  LONGS_EQUAL(15, wal.newest_at(19).index);
  LONGS_EQUAL(20, wal.newest_at(99).index);
  LONGS_EQUAL(10, wal.newest_at(1).index);
}

TEST(MemoryWal, a_commit_without_frames_moves_the_index_alone) {
  begin_with(2);
  commit({1}, 2);
  commit({}, 2);
  LONGS_EQUAL(1, wal.frame_count());
  LONGS_EQUAL(12, wal.newest().index);
  checkpoint(0);
  LONGS_EQUAL(12, wal.newest_at(12).index);
  checkpoint(1);
  LONGS_EQUAL(12, wal.newest().index);
  check_newest();
}

TEST(MemoryWal, A4_random_commits_and_checkpoints_agree_with_the_rule) {
  for (uint64_t seed = 1; seed <= 40; seed++) {
    std::mt19937_64 random(seed);
    auto pick = [&](uint64_t end) { return static_cast<uint32_t>(random() % end); };
    now.clear();
    file.clear();
    history.clear();
    marks.clear();
    begin_with(pick(8));
    size_t checkpointed = 0;
    for (int step = 0; step < 60; step++) {
      auto size = static_cast<uint32_t>(now.size());
      uint32_t next = pick(4) == 0 ? 1 + pick(20) : std::max(1U, size);
      std::vector<uint32_t> numbers;
      for (uint32_t i = pick(5); i > 0; i--) numbers.push_back(1 + pick(pick(6) == 0 ? 24 : next));
      if (next != size) numbers.push_back(1);  // its header tells the size
      commit(numbers, next);
      check_newest();
      if (pick(5) == 0) {
        size_t to = checkpointed + pick(marks.size() - checkpointed);
        checkpoint(to);
        checkpointed = to;
        check_newest();
        if (pick(2) == 0) wal.release(wal.checkpointed());
        check_newest();
      }
    }
  }
}
