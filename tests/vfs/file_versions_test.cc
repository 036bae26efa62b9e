// Readers of every age find the pages of their own checkpoint [V-A2].

#include "vfs/file_versions.h"

#include <fcntl.h>

#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/vfs/database_image.h"
#include "tests/vfs/fixture.h"

using namespace dqlite;
using namespace dqlite::vfs;

TEST_GROUP(FileVersions) {
  TemporaryDirectory directory;
  std::unique_ptr<FileVersions> versions;
  Image image;
  uint64_t index = 7;

  void open(uint32_t pages) {
    std::string node = directory.path() + "/dqlite-node";
    std::filesystem::create_directory(node);
    Result<std::unique_ptr<DatabaseFile>> file =
        DatabaseFile::open_unrecorded(posix_files(), directory.path(), node, "app.db", true);
    if (!file) FAIL(file.status().sentence().c_str());
    CHECK_TRUE((*file)->establish(record_of(Image{}, index)).is_ok());
    versions = std::make_unique<FileVersions>(std::move(*file));
    move_to(random_image(pages, 1), false);
  }
  void move_to(const Image& next, bool older_pinned) {
    Result<CheckpointCost> cost =
        versions->advance(record_of(next, ++index), changed_pages(image, next), older_pinned,
                          std::chrono::steady_clock::now() + std::chrono::seconds(5));
    if (!cost) FAIL(cost.status().sentence().c_str());
    image = next;
  }
  Image random_change(std::mt19937_64 & random, uint32_t pages) {
    Image next = image;
    next.pages.resize(std::min<size_t>(next.pages.size(), pages));
    while (next.pages.size() < pages) {
      next.pages.push_back(random_page(static_cast<uint32_t>(next.pages.size() + 1), 512, random));
    }
    for (int i = 0; i < 3; i++) {
      auto number = static_cast<uint32_t>(1 + random() % pages);
      next.pages[number - 1] = random_page(number, 512, random);
    }
    return next;
  }
  void check(const FileVersion& version, const Image& expected) {
    Bytes page(512);
    for (uint32_t number = 1; number <= expected.pages.size(); number++) {
      Status status = versions->read(version, number, page);
      if (!status) FAIL(status.sentence().c_str());
      CHECK_TRUE(page == expected.pages[number - 1]);
    }
  }
};

TEST(FileVersions, V_A2_every_pinned_version_reads_as_at_its_own_checkpoint) {
  open(12);
  std::mt19937_64 random(3);
  std::vector<std::pair<PinnedVersion, Image>> pinned;
  for (int step = 0; step < 25; step++) {
    pinned.emplace_back(versions->current(), image);
    move_to(random_change(random, static_cast<uint32_t>(4 + random() % 12)), true);
    for (const auto& [version, expected] : pinned) check(*version, expected);
    if (random() % 3 == 0) pinned.erase(pinned.begin() + static_cast<ptrdiff_t>(random() % pinned.size()));
  }
  CHECK(versions->kept_bytes() > 0);
  pinned.clear();
  LONGS_EQUAL(0, versions->kept_bytes());
  check(*versions->current(), image);
}

TEST(FileVersions, without_older_readers_nothing_is_kept) {
  open(5);
  std::mt19937_64 random(4);
  PinnedVersion idle = versions->current();
  move_to(random_change(random, 5), false);
  LONGS_EQUAL(0, versions->kept_bytes());
}

TEST(FileVersions, V_A2_a_checkpoint_that_is_busy_keeps_nothing_and_changes_nothing) {
  open(5);
  std::string path = directory.path() + "/app.db";
  PinnedVersion pinned = versions->current();
  Image before = image;
  Image next = image;
  std::mt19937_64 random(5);
  next.pages[2] = random_page(3, 512, random);
  // Another process's reader, as far as the file can tell: a lock of an open file description of its own.
  FILE* raw = std::fopen(path.c_str(), "r+");
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 0x40000000 + 2;
  lock.l_len = 510;
  CHECK_EQUAL(0, fcntl(fileno(raw), F_OFD_SETLK, &lock));
  Result<CheckpointCost> cost =
      versions->advance(record_of(next, ++index), changed_pages(image, next), true, soon());
  CHECK_FALSE(cost.is_ok());
  CHECK_TRUE(cost.status().code() == Code::kBusy);
  LONGS_EQUAL(0, versions->kept_bytes());
  check(*pinned, before);
  std::fclose(raw);
  move_to(next, true);
  check(*pinned, before);
  check(*versions->current(), next);
}

TEST(FileVersions, readers_on_threads_never_see_a_page_of_another_checkpoint) {
  open(20);
  struct Pin {
    PinnedVersion version;
    Image image;
  };
  std::mutex mutex;
  Pin newest{versions->current(), image};
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; i++) {
    readers.emplace_back([&, i] {
      std::mt19937_64 random(static_cast<uint64_t>(i));
      Bytes page(512);
      while (!stop) {
        Pin pin;
        {
          std::lock_guard lock(mutex);
          pin = newest;
        }
        for (int n = 0; n < 40; n++) {
          auto number = static_cast<uint32_t>(1 + random() % pin.image.pages.size());
          if (!versions->read(*pin.version, number, page) || page != pin.image.pages[number - 1]) wrong++;
        }
      }
    });
  }
  std::mt19937_64 random(9);
  for (int step = 0; step < 40; step++) {
    move_to(random_change(random, 20), true);
    std::lock_guard lock(mutex);
    newest = {versions->current(), image};
  }
  stop = true;
  for (std::thread& thread : readers) thread.join();
  CHECK_EQUAL(0, wrong.load());
}

TEST(FileVersions, a_version_lost_to_another_copy_says_so) {
  open(6);
  PinnedVersion pinned = versions->current();
  Image copy = random_image(9, 77);
  Result<CheckpointCost> cost = versions->replace(
      record_of(copy, ++index),
      [&](uint32_t number, std::span<uint8_t> out) {
        std::copy(copy.pages[number - 1].begin(), copy.pages[number - 1].end(), out.begin());
        return Status::ok();
      },
      std::chrono::steady_clock::now() + std::chrono::seconds(5));
  CHECK_TRUE(cost.is_ok());
  versions->record_changed();
  Bytes page(512);
  Status status = versions->read(*pinned, 2, page);
  CHECK_TRUE(status.code() == Code::kBusy);
  STRCMP_CONTAINS("replaced by a newer one", status.sentence().c_str());
  check(*versions->current(), copy);
}

TEST(FileVersions, a_copy_that_is_refused_or_fails_before_the_first_page_loses_no_version) {
  open(6);
  PinnedVersion pinned = versions->current();
  Image copy = random_image(9, 77);
  CheckpointRecord wrong_sum = record_of(copy, index + 1);
  wrong_sum.checksum++;
  uint32_t asked = 0;
  Result<CheckpointCost> cost = versions->replace(
      wrong_sum,
      [&](uint32_t number, std::span<uint8_t> out) {
        check(*pinned, image);  // also while the two are compared
        asked++;
        std::copy(copy.pages[number - 1].begin(), copy.pages[number - 1].end(), out.begin());
        return Status::ok();
      },
      std::chrono::steady_clock::now() + std::chrono::seconds(5));
  CHECK_FALSE(cost.is_ok());
  CHECK(asked > 0);
  check(*pinned, image);
  check(*versions->current(), image);
}

TEST(FileVersions, a_copy_that_is_undone_in_its_midst_loses_no_version) {
  open(6);
  PinnedVersion pinned = versions->current();
  Image copy = random_image(9, 77);
  bool compared = false;
  Result<CheckpointCost> cost = versions->replace(
      record_of(copy, index + 1),
      [&](uint32_t number, std::span<uint8_t> out) {
        if (compared && number == 4) return Status(Code::kFull, "the source is gone");
        std::copy(copy.pages[number - 1].begin(), copy.pages[number - 1].end(), out.begin());
        if (number == 9) compared = true;
        return Status::ok();
      },
      std::chrono::steady_clock::now() + std::chrono::seconds(5));
  CHECK_FALSE(cost.is_ok());
  check(*pinned, image);
  check(*versions->current(), image);
}

TEST(FileVersions, a_long_chain_of_forgotten_versions_goes_without_deep_recursion) {
  open(2);
  PinnedVersion first = versions->current();
  for (int i = 0; i < 300000; i++) versions->record_changed();
  first.reset();
  CHECK_EQUAL(0U, versions->kept_bytes());
}
