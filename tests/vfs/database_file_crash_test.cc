// The machine stops at each call that a checkpoint, an adoption or a recovery makes, and loses power:
// afterwards the file is exactly one checkpoint, the one its record names.
#include "tests/lib/sanitizers.h"
#include "tests/vfs/database_image.h"
#include "tests/vfs/fault_files.h"
#include "tests/vfs/stock_rollback.h"
#include "vfs/database_file.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

namespace {

// With a sanitizer this is many times slower: it sees a sample.
#if defined(DQLITE_THREAD_SANITIZER)
constexpr uint64_t kSample = 11;
#elif defined(DQLITE_ADDRESS_SANITIZER)
constexpr uint64_t kSample = 4;
#else
constexpr uint64_t kSample = 1;
#endif

bool is_sampled(uint64_t number) {
  return number % kSample == 0;
}

struct Step {
  std::string name;
  Image old_image;
  Image new_image;
};

Image with_pages(Image image, const std::vector<uint32_t>& numbers, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (uint32_t number : numbers) image.pages[number - 1] = random_page(number, image.page_size, random);
  return image;
}

Image cut(Image image, size_t page_count) {
  image.pages.resize(page_count);
  return image;
}

Image grown(Image image, uint32_t page_count, uint64_t seed) {
  std::mt19937_64 random(seed);
  while (image.pages.size() < page_count) {
    image.pages.push_back(
        random_page(static_cast<uint32_t>(image.pages.size() + 1), image.page_size, random));
  }
  return image;
}

std::vector<Step> all_steps() {
  Image base = random_image(6, 1);
  Image zeros_between = grown(base, 9, 5);
  zeros_between.pages[6].assign(512, 0);
  zeros_between.pages[7].assign(512, 0);
  return {
      {"some pages and page 1", base, with_pages(base, {1, 2, 3, 6}, 2)},
      {"without page 1", base, with_pages(base, {3, 5}, 3)},
      {"grows", base, grown(with_pages(base, {2}, 4), 9, 4)},
      {"grows with pages of zeros", base, zeros_between},
      {"shrinks", base, cut(with_pages(base, {1, 2}, 6), 3)},
      {"shrinks to page 1", base, cut(base, 1)},
      {"changes nothing but the index", base, base},
      {"from nothing", random_image(0, 0), random_image(4, 7)},
      {"from nothing to nothing", random_image(0, 0), random_image(0, 0)},
      {"to nothing", base, random_image(0, 0)},
      {"larger pages", random_image(3, 8, 2048), with_pages(random_image(4, 8, 2048), {1, 2}, 9)},
  };
}

class Machine {
 public:
  explicit Machine(uint64_t seed) : disk(seed) {}

  // A new database is adopted with `image` as its content, at kOldIndex.
  void set_up(const Image& image) {
    FaultFiles files(disk);
    if (!image.pages.empty()) disk.put(kPath, file_of(image, 1));
    auto file = DatabaseFile::open_unrecorded(files, "/n1", "/n1/dqlite-node", "app.db", true);
    CHECK_TRUE(file.is_ok());
    CHECK_TRUE((*file)->establish(record_of(image, kOldIndex)).is_ok());
    CHECK_TRUE(*disk.look(kPath) == file_of(image, kOldIndex));
    file->reset();
    disk.kill_processes();
  }

  Result<CheckpointCost> checkpoint(const Image& base, const Image& next) {
    FaultFiles files(disk);
    auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
    if (!file) return file.status();
    return (*file)->checkpoint(record_of(next, kNewIndex), changed_pages(base, next), soon());
  }

  Status open() {
    FaultFiles files(disk);
    return DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7).status();
  }

  // Opens and compares with what the record says. True: it is at the new checkpoint.
  bool check_whole(const Step& step) {
    FaultFiles files(disk);
    auto ids = DatabaseFile::list(files, "/n1/dqlite-node");
    CHECK_TRUE(ids.is_ok() && *ids == std::vector<uint64_t>{7});
    auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
    if (!file) FAIL((step.name + ": " + file.status().sentence()).c_str());
    const uint64_t index = (*file)->record().index;
    CHECK_TRUE(index == kOldIndex || index == kNewIndex);
    const Image& image = index == kNewIndex ? step.new_image : step.old_image;
    if (*disk.look(kPath) != file_of(image, index)) FAIL((step.name + ": the file is a mixture").c_str());
    CHECK_FALSE(disk.look(std::string(kPath) + "-journal").has_value());
    for (uint32_t number = 1; number <= image.pages.size(); number++) {
      Bytes page(image.page_size);
      Status read = (*file)->read(number, page);
      if (!read) FAIL(read.sentence().c_str());
      CHECK_TRUE(page == image.pages[number - 1]);
    }
    // And from there it goes on.
    Image later = grown(with_pages(image, {}, 0), 5, 99);
    auto cost = (*file)->checkpoint(record_of(later, kLaterIndex), changed_pages(image, later), soon());
    if (!cost) FAIL((step.name + ": " + cost.status().sentence()).c_str());
    CHECK_TRUE(*disk.look(kPath) == file_of(later, kLaterIndex));
    file->reset();
    disk.lose_power();
    FaultFiles again(disk);
    auto reopened = DatabaseFile::open(again, "/n1", "/n1/dqlite-node", 7);
    if (!reopened) FAIL((step.name + ": " + reopened.status().sentence()).c_str());
    CHECK_EQUAL(kLaterIndex, (*reopened)->record().index);
    CHECK_TRUE(*disk.look(kPath) == file_of(later, kLaterIndex));
    return index == kNewIndex;
  }

  FaultDisk disk;
};

enum class Between : uint8_t { kNothing, kStock, kStockKilled, kCount };

struct Stopped {
  bool in_time = false;   // false: it was through before
  bool answered = false;  // with success; what is left to do then may fail
};

Stopped stop_in_checkpoint(Machine& machine, const Step& step, uint64_t call, bool power) {
  machine.set_up(step.old_image);
  machine.disk.fail_call(call, Fault::kStop);
  Stopped result;
  result.answered = machine.checkpoint(step.old_image, step.new_image).is_ok();
  result.in_time = machine.disk.stopped();
  CHECK_TRUE(result.in_time || result.answered);
  if (power) {
    machine.disk.lose_power();
  } else {
    machine.disk.kill_processes();
  }
  return result;
}

}  // namespace

TEST_GROUP(DatabaseFileCrash){};

TEST(DatabaseFileCrash, A9_a_checkpoint_stopped_at_any_call_leaves_the_old_or_the_new_file) {
  for (const Step& step : all_steps()) {
    bool seen_old = false, seen_new = false;
    for (uint64_t seed = 0; seed < 18; seed++) {
      Stopped stopped{true, false};
      for (uint64_t call = 1; stopped.in_time; call++) {
        if (!is_sampled(seed + call)) continue;
        Machine machine(seed * 1000 + call);
        stopped = stop_in_checkpoint(machine, step, call, seed % 6 != 0);
        Between between = static_cast<Between>(seed % static_cast<uint64_t>(Between::kCount));
        if (between == Between::kStock) open_like_stock(machine.disk, kPath);
        if (between == Between::kStockKilled)
          open_like_stock(machine.disk, kPath, static_cast<int>(seed % 5));
        bool is_new = machine.check_whole(step);
        if (stopped.answered) CHECK_TRUE(is_new);
        (is_new ? seen_new : seen_old) = true;
      }
    }
    CHECK_TRUE(seen_old && seen_new);
  }
}

TEST(DatabaseFileCrash, A12_a_recovery_stopped_at_any_call_recovers_again) {
  for (const Step& step : all_steps()) {
    Stopped stopped{true, false};
    for (uint64_t call = 1; stopped.in_time; call++) {
      bool recovering = true;
      for (uint64_t recovery_call = 1; recovering; recovery_call++) {
        if (!is_sampled(call + recovery_call)) continue;
        Machine machine(call * 100 + recovery_call);
        stopped = stop_in_checkpoint(machine, step, call, (call + recovery_call) % 3 != 0);
        machine.disk.fail_call(recovery_call, Fault::kStop);
        (void)machine.open();
        recovering = machine.disk.stopped();
        if (recovery_call % 2 == 0) {
          machine.disk.lose_power();
        } else {
          machine.disk.kill_processes();
        }
        bool is_new = machine.check_whole(step);
        if (stopped.answered) CHECK_TRUE(is_new);
      }
    }
  }
}

TEST(DatabaseFileCrash, A12_a_recovery_from_what_was_only_cached_holds_when_the_power_goes) {
  for (const Step& step : all_steps()) {
    for (uint64_t seed = 0; seed < 8; seed++) {
      Stopped stopped{true, false};
      for (uint64_t call = 1; stopped.in_time; call++) {
        if (!is_sampled(seed + call)) continue;
        Machine machine(seed * 1000 + call);
        stopped = stop_in_checkpoint(machine, step, call, false);
        CHECK_TRUE(machine.open().is_ok());
        machine.disk.lose_power();
        // A journal whose removal was lost must not lead anybody back behind a record that has gone.
        open_like_stock(machine.disk, kPath);
        machine.check_whole(step);
      }
    }
  }
}

TEST(DatabaseFileCrash, a_failing_call_fails_the_checkpoint_and_the_next_open_recovers) {
  for (const Step& step : all_steps()) {
    uint64_t calls = 0;
    {
      Machine machine(1);
      machine.set_up(step.old_image);
      machine.disk.forgive();
      CHECK_TRUE(machine.checkpoint(step.old_image, step.new_image).is_ok());
      calls = machine.disk.calls();
    }
    for (uint64_t call = 1; call <= calls; call++) {
      if (!is_sampled(call)) continue;
      Machine machine(call);
      machine.set_up(step.old_image);
      {
        FaultFiles files(machine.disk);
        machine.disk.fail_call(call, Fault::kError);
        auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
        if (file) {
          auto cost = (*file)->checkpoint(record_of(step.new_image, kNewIndex),
                                          changed_pages(step.old_image, step.new_image), soon());
          if (!cost) {
            // It stays failed, unless only page 1 could not be read before anything was changed; and still tells no
            // wrong page.
            if (!(*file)->failure().is_ok()) {
              auto again = (*file)->checkpoint(record_of(step.new_image, kNewIndex + 1), {}, soon());
              CHECK_FALSE(again.is_ok());
            }
            for (uint32_t number = 1; number <= step.old_image.pages.size(); number++) {
              Bytes page(step.old_image.page_size);
              if ((*file)->read(number, page)) CHECK_TRUE(page == step.old_image.pages[number - 1]);
            }
          }
        }
      }
      machine.disk.lose_power();
      machine.check_whole(step);
    }
  }
}

TEST(DatabaseFileCrash, a_full_disk_undoes_the_checkpoint_and_the_same_one_succeeds_later) {
  for (const Step& step : all_steps()) {
    for (uint64_t call = kSample;; call += kSample) {
      Machine machine(call);
      machine.set_up(step.old_image);
      FaultFiles files(machine.disk);
      auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
      CHECK_TRUE(file.is_ok());
      machine.disk.fail_call(call, Fault::kNoSpace);
      auto pages = changed_pages(step.old_image, step.new_image);
      auto cost = (*file)->checkpoint(record_of(step.new_image, kNewIndex), pages, soon());
      if (!cost) {
        LONGS_EQUAL(static_cast<int>(Code::kFull), static_cast<int>(cost.status().code()));
        CHECK_EQUAL(kOldIndex, (*file)->record().index);
        CHECK_TRUE(*machine.disk.look(kPath) == file_of(step.old_image, kOldIndex));
        CHECK_FALSE(machine.disk.look("/n1/dqlite-node/db-7.b").has_value());
        for (uint32_t number = 1; number <= step.old_image.pages.size(); number++) {
          Bytes page(step.old_image.page_size);
          CHECK_TRUE((*file)->read(number, page).is_ok());
          CHECK_TRUE(page == step.old_image.pages[number - 1]);
        }
        machine.disk.forgive();
        CHECK_TRUE((*file)->checkpoint(record_of(step.new_image, kNewIndex), pages, soon()).is_ok());
      }
      const bool through = machine.disk.calls() < call;
      file->reset();
      machine.disk.lose_power();
      CHECK_TRUE(machine.check_whole(step));
      if (through) break;
    }
  }
}

TEST(DatabaseFileCrash, B8_an_adoption_stopped_at_any_call_leaves_the_content_as_it_was) {
  for (uint8_t version : {1, 2}) {
    for (uint64_t seed = 0; seed < 12; seed++) {
      bool stopped = true;
      for (uint64_t call = 1; stopped; call++) {
        if (!is_sampled(seed + call)) continue;
        const Image image = random_image(4, 11);
        FaultDisk disk(seed * 1000 + call);
        Bytes before = file_of(image, 77);
        before[18] = before[19] = version;
        disk.put(kPath, before);
        auto adopt = [&]() -> Status {
          FaultFiles files(disk);
          auto file = DatabaseFile::open_unrecorded(files, "/n1", "/n1/dqlite-node", "app.db", false);
          if (!file) return file.status();
          auto checksum = (*file)->compute_checksum();
          if (!checksum) return checksum.status();
          CHECK_EQUAL(record_of(image, 1).checksum, *checksum);
          return (*file)->establish(record_of(image, kOldIndex));
        };
        disk.fail_call(call, Fault::kStop);
        const bool answered = adopt().is_ok();
        stopped = disk.stopped();
        disk.lose_power();
        if (seed % 3 == 1) open_like_stock(disk, kPath);
        if (seed % 3 == 2) open_like_stock(disk, kPath, 0);
        FaultFiles files(disk);
        auto ids = DatabaseFile::list(files, "/n1/dqlite-node");
        CHECK_TRUE(ids.is_ok());
        if (ids->empty()) {
          CHECK_FALSE(answered);
          Status adopted = adopt();
          if (!adopted) FAIL(adopted.sentence().c_str());
          disk.kill_processes();
        }
        FaultFiles later(disk);
        auto file = DatabaseFile::open(later, "/n1", "/n1/dqlite-node", 7);
        if (!file) FAIL(file.status().sentence().c_str());
        CHECK_TRUE(*disk.look(kPath) == file_of(image, kOldIndex));
        CHECK_FALSE(disk.look(std::string(kPath) + "-journal").has_value());
      }
    }
  }
}

TEST(DatabaseFileCrash, a_new_empty_database_stopped_at_any_call_is_there_or_can_be_made_again) {
  for (uint64_t seed = 0; seed < 12; seed++) {
    bool stopped = true;
    for (uint64_t call = 1; stopped; call++) {
      const Image nothing = random_image(0, 0);
      FaultDisk disk(seed * 1000 + call);
      auto create = [&]() -> Status {
        FaultFiles files(disk);
        auto file = DatabaseFile::open_unrecorded(files, "/n1", "/n1/dqlite-node", "app.db", true);
        if (!file) return file.status();
        return (*file)->establish(record_of(nothing, kOldIndex));
      };
      disk.fail_call(call, Fault::kStop);
      const bool answered = create().is_ok();
      stopped = disk.stopped();
      disk.lose_power();
      FaultFiles files(disk);
      auto ids = DatabaseFile::list(files, "/n1/dqlite-node");
      CHECK_TRUE(ids.is_ok());
      if (ids->empty()) {
        CHECK_FALSE(answered);
        CHECK_TRUE(create().is_ok());
        disk.kill_processes();
      }
      FaultFiles later(disk);
      auto file = DatabaseFile::open(later, "/n1", "/n1/dqlite-node", 7);
      if (!file) FAIL(file.status().sentence().c_str());
      CHECK_TRUE(disk.look(kPath)->empty());
    }
  }
}

TEST(DatabaseFileCrash, A9_a_repair_stopped_at_any_call_leaves_a_file_that_opens) {
  const Image image = random_image(6, 1);
  for (uint64_t seed = 0; seed < 18; seed++) {
    bool stopped = true;
    for (uint64_t call = 1; stopped; call++) {
      if (!is_sampled(seed + call)) continue;
      Machine machine(seed * 1000 + call);
      machine.set_up(image);
      machine.disk.sync_all();
      bool answered = false;
      {
        FaultFiles files(machine.disk);
        auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
        CHECK_TRUE(file.is_ok());
        for (uint64_t number : {1, 3, 5}) machine.disk.rot(kPath, (number - 1) * 512 + 200);
        machine.disk.fail_call(call, Fault::kStop);
        const uint32_t number = seed % 2 == 0 ? 3 : 1;
        answered = (*file)->repair(number, image.pages[number - 1]).is_ok();
        stopped = machine.disk.stopped();
      }
      if (seed % 3 == 0) {
        machine.disk.kill_processes();
      } else {
        machine.disk.lose_power();
      }
      FaultFiles files(machine.disk);
      auto file = DatabaseFile::open(files, "/n1", "/n1/dqlite-node", 7);
      if (!file) FAIL(file.status().sentence().c_str());
      Bytes page(512);
      CHECK_TRUE((*file)->read(5, page).code() == Code::kCorrupt);
      if (answered) CHECK_TRUE((*file)->read(seed % 2 == 0 ? 3 : 1, page).is_ok());
      for (uint32_t number : {1, 3, 5}) {
        CHECK_TRUE((*file)->repair(number, image.pages[number - 1]).is_ok());
      }
      CHECK_TRUE(*machine.disk.look(kPath) == file_of(image, kOldIndex));
      file->reset();
      // What is whole is guarded as ever.
      machine.disk.kill_processes();
      CHECK_TRUE(machine.open().is_ok());
      machine.disk.kill_processes();
      machine.disk.rot(kPath, 2 * 512 + 200);
      machine.disk.touch(kPath);
      CHECK_TRUE(machine.open().code() == Code::kRefused);
    }
  }
}
