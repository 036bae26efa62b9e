// Frames beyond the budget: in a file that nobody finds, given back as they were or not at all.

#include "vfs/frame_list.h"

#include <CppUTest/TestHarness.h>

#include "tests/lib/temporary_directory.h"
#include "tests/vfs/spill_faults.h"

using namespace dqlite;
using namespace dqlite::vfs;
using namespace dqlite::vfs::test;

TEST_GROUP(FrameList) {
  static constexpr size_t kPage = 512;

  TemporaryDirectory directory;
  SpillFaults faults;
  FaultySpills files{faults};

  // Room for two pages.
  FrameList two_in_memory() {
    return {files, directory.path(), 2 * kPage};
  }
  static Bytes page(uint8_t content) {
    Bytes bytes(kPage, content);
    bytes[0] = 1;
    return bytes;
  }
  static void fill(FrameList & list, uint8_t count) {
    for (uint8_t i = 1; i <= count; i++) CHECK_TRUE(list.append(i, page(i)).is_ok());
  }
  static void check(const PageImage& image, uint32_t number, uint8_t content) {
    CHECK_EQUAL(number, image.number);
    CHECK_EQUAL(kPage, image.size());
    Result<SharedPage> loaded = image.load();
    CHECK_TRUE(loaded.is_ok() && **loaded == page(content));
    Bytes copy(kPage);
    CHECK_TRUE(image.read(copy).is_ok() && copy == page(content));
    CHECK_EQUAL(PageImage(number, *loaded).hash(), image.hash());
  }
};

TEST(FrameList, what_does_not_fit_in_memory_comes_back_from_a_file_without_a_name) {
  FrameList list = two_in_memory();
  fill(list, 6);
  CHECK_EQUAL(4U, faults.writes);
  for (uint8_t i = 1; i <= 6; i++) {
    check(list[i - 1], i, i);
    CHECK_EQUAL(i > 2, list[i - 1].is_spilled());
  }
  CHECK_TRUE(files.list(directory.path())->empty());
}

TEST(FrameList, a_frame_is_replaced_where_it_is) {
  FrameList list = two_in_memory();
  fill(list, 4);
  CHECK_TRUE(list.replace(1, page(70)).is_ok());
  CHECK_TRUE(list.replace(3, page(80)).is_ok());
  check(list[0], 1, 1);
  check(list[1], 2, 70);
  check(list[2], 3, 3);
  check(list[3], 4, 80);
}

TEST(FrameList, after_a_cut_others_come_and_memory_is_used_first) {
  FrameList list = two_in_memory();
  fill(list, 5);
  list.cut(1);
  CHECK_EQUAL(1U, list.size());
  CHECK_TRUE(list.append(9, page(90)).is_ok());
  CHECK_TRUE(list.append(10, page(100)).is_ok());
  check(list[0], 1, 1);
  check(list[1], 9, 90);
  check(list[2], 10, 100);
  CHECK_TRUE(!list[1].is_spilled());
  CHECK_TRUE(list[2].is_spilled());
}

TEST(FrameList, frames_that_were_taken_outlive_the_list_and_what_it_holds_next) {
  std::vector<PageImage> taken;
  {
    FrameList list = two_in_memory();
    fill(list, 4);
    taken = list.take();
    CHECK_TRUE(list.empty());
    fill(list, 4);
    for (size_t i = 0; i < 4; i++) CHECK_TRUE(list.replace(i, page(99)).is_ok());
  }
  for (uint8_t i = 1; i <= 4; i++) check(taken[i - 1], i, i);
}

TEST(FrameList, without_space_nothing_changes_and_the_sentence_says_so) {
  FrameList list = two_in_memory();
  fill(list, 3);
  faults.full = true;
  const Status status = list.append(4, page(4));
  CHECK_TRUE(status.code() == Code::kFull);
  STRCMP_CONTAINS("large transaction", status.sentence().c_str());
  CHECK_EQUAL(3U, list.size());
  CHECK_TRUE(list.replace(2, page(50)).code() == Code::kFull);
  check(list[2], 3, 3);
}

TEST(FrameList, A6_a_page_that_rotted_is_never_given_back) {
  FrameList list = two_in_memory();
  fill(list, 3);
  faults.rot = true;
  Bytes copy(kPage);
  CHECK_TRUE(list[2].load().status().code() == Code::kCorrupt);
  CHECK_TRUE(list[2].read(copy).code() == Code::kCorrupt);
  STRCMP_CONTAINS("page 3 of a large transaction", list[2].read(copy).sentence().c_str());
}

TEST(FrameList, what_a_crash_left_is_swept_and_nothing_else) {
  for (const char* name : {"/spill-7", "/spare-7", "/db-1.a"}) {
    CHECK_TRUE(files.open(directory.path() + name, true).is_ok());
  }
  CHECK_TRUE(SpillFile::sweep(files, directory.path()).is_ok());
  Result<std::vector<std::string>> left = files.list(directory.path());
  CHECK_EQUAL(2U, left->size());
  CHECK_FALSE(*files.exists(directory.path() + "/spill-7"));
}
