// The real disk, in a directory of its own; and the log on it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;

TEST_GROUP(PosixDisk) {
  TemporaryDirectory directory;
  Disk& disk = posix_disk();

  std::string path(const std::string& name) {
    return directory.path() + "/" + name;
  }
  std::unique_ptr<File> create(const std::string& name) {
    Result<std::unique_ptr<File>> file = disk.open(path(name), true);
    OK(file.status());
    return std::move(*file);
  }
};

TEST(PosixDisk, what_was_written_is_read_and_a_read_ends_at_the_files_end) {
  std::unique_ptr<File> file = create("a");
  OK(file->write(3, Bytes{1, 2, 3}));
  OK(file->sync_data());
  LONGS_EQUAL(6, *file->size());
  Bytes bytes(10, 0xEE);
  LONGS_EQUAL(4, *file->read(2, bytes));
  CHECK((Bytes(bytes.begin(), bytes.begin() + 4) == Bytes{0, 1, 2, 3}));
  LONGS_EQUAL(0, *file->read(100, bytes));
  OK(file->truncate(4));
  LONGS_EQUAL(4, *file->size());
}

TEST(PosixDisk, a_file_to_be_created_must_not_be_there_and_one_to_be_opened_must) {
  create("a");
  FAILS(Code::kRefused, "exists", disk.open(path("a"), true).status());
  FAILS(Code::kNotFound, path("b").c_str(), disk.open(path("b"), false).status());
}

TEST(PosixDisk, names_are_listed_renamed_and_removed) {
  create("a");
  create("b");
  OK(disk.rename(path("a"), path("c")));
  OK(disk.link(path("c"), path("second")));
  FAILS(Code::kRefused, "giving the second name", disk.link(path("c"), path("second")));
  OK(disk.remove(path("second")));
  OK(disk.remove(path("b")));
  OK(disk.sync_directory(directory.path()));
  Result<std::vector<std::string>> names = disk.list(directory.path());
  OK(names.status());
  CHECK((*names == std::vector<std::string>{"c"}));
  CHECK(*disk.exists(path("c")));
  CHECK_FALSE(*disk.exists(path("a")));
  FAILS(Code::kNotFound, "removal", disk.remove(path("b")));
  FAILS(Code::kNotFound, "renaming", disk.rename(path("b"), path("d")));
  FAILS(Code::kNotFound, "listing", disk.list(path("nowhere")).status());
}

TEST(PosixDisk, a_directory_may_be_there_already_but_a_file_in_its_place_is_told) {
  OK(disk.make_directory(path("d")));
  OK(disk.make_directory(path("d")));
  create("f");
  FAILS(Code::kRefused, "exists", disk.make_directory(path("f")));
}

TEST(PosixDisk, every_descriptor_is_close_on_exec_and_nobody_else_may_read) {
  int before = open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest free number is the file's next
  close(before);
  std::unique_ptr<File> file = create("a");
  CHECK((fcntl(before, F_GETFD) & FD_CLOEXEC) != 0);
  struct stat found {};
  CHECK(stat(path("a").c_str(), &found) == 0);
  LONGS_EQUAL(0600, found.st_mode & 0777);
}

TEST(PosixDisk, D15_a_short_write_continues_and_a_refused_one_is_told) {
  // The limit lets the first part of a write through, and refuses the rest: EFBIG, at that very offset.
  rlimit old{};
  CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  std::unique_ptr<File> file = create("a");
  rlimit low = old;
  low.rlim_cur = 10000;
  CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
  Status status = file->write(0, Bytes(20000, 7));
  CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
  std::signal(SIGXFSZ, handler);
  FAILS(Code::kIo, "offset 10000", status);
  LONGS_EQUAL(10000, *file->size());
}

TEST(PosixDisk, no_space_has_its_own_code) {
  Result<std::unique_ptr<File>> full = disk.open("/dev/full", false);
  OK(full.status());
  FAILS(Code::kFull, "/dev/full", (*full)->write(0, Bytes(10)));
}

TEST(PosixDisk, the_log_keeps_its_promises_on_it) {
  LogOptions options;
  options.segment_bytes = 64 << 10;
  std::string node = path("node");
  std::string text;
  for (int life = 0; life < 3; life++) {
    Result<std::unique_ptr<Log>> log = Log::open(disk, node, options);
    OK(log.status());
    if (life > 0) STRCMP_EQUAL(text.c_str(), describe(**log).c_str());
    for (int i = 0; i < 40; i++) {
      Persist persist;
      for (int k = 0; k < 5; k++)
        persist.entries.push_back(make_entry((*log)->last_index() + 1 + k, 1, 1000));
      OK((*log)->append({persist}));
    }
    LogStart start;
    start.last = {(*log)->tail_begin(100 << 10), 1};
    OK((*log)->compact(start));
    text = describe(**log);
  }
}
