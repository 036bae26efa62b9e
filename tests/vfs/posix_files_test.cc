#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/lib/sanitizers.h"
#include "tests/vfs/stock_sqlite.h"
#include "vfs/files.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

namespace {

// True if another process would get this POSIX write lock on one byte.
bool can_be_locked_elsewhere(const std::string& path, off_t offset) {
  pid_t child = ::fork();
  if (child == 0) {
    posix_files().close_after_fork();
    int descriptor = ::open(path.c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_start = offset;
    lock.l_len = 1;
    ::_exit(::fcntl(descriptor, F_SETLK, &lock) == 0 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_GROUP(PosixFiles) {
  NodeDirectory directory;
  Files& files = posix_files();
  std::string path = directory.path() + "/file";
};

TEST(PosixFiles, reads_what_was_written_and_less_at_the_end) {
  auto file = *files.open(path, true);
  CHECK_TRUE(file->write(5, Bytes{1, 2, 3}).is_ok());
  CHECK_TRUE(file->sync().is_ok());
  Bytes out(10, 9);
  auto got = file->read(4, out);
  CHECK_EQUAL(4U, *got);
  CHECK_TRUE(Bytes(out.begin(), out.begin() + 4) == Bytes({0, 1, 2, 3}));
  CHECK_TRUE(file->truncate(6).is_ok());
  CHECK_EQUAL(6U, file->stamp()->size_bytes);
  CHECK_EQUAL(0U, *file->read(100, out));
}

TEST(PosixFiles, a_missing_file_is_not_found_and_a_directory_refused) {
  LONGS_EQUAL(static_cast<int>(Code::kNotFound), static_cast<int>(files.open(path, false).status().code()));
  LONGS_EQUAL(static_cast<int>(Code::kNotFound),
              static_cast<int>(files.open_database(path, false).status().code()));
  auto opened = files.open(directory.path(), false);
  LONGS_EQUAL(static_cast<int>(Code::kRefused), static_cast<int>(opened.status().code()));
  STRCMP_CONTAINS(directory.path().c_str(), opened.status().sentence().c_str());
}

TEST(PosixFiles, lists_renames_and_removes) {
  CHECK_TRUE(files.make_directory(directory.path() + "/sub").is_ok());
  CHECK_TRUE(files.make_directory(directory.path() + "/sub").is_ok());
  CHECK_TRUE(files.open(directory.path() + "/sub/one", true).is_ok());
  CHECK_TRUE(files.rename(directory.path() + "/sub/one", directory.path() + "/sub/two").is_ok());
  CHECK_TRUE(files.sync_directory(directory.path() + "/sub").is_ok());
  CHECK_TRUE(*files.list(directory.path() + "/sub") == std::vector<std::string>{"two"});
  CHECK_TRUE(*files.exists(directory.path() + "/sub/two"));
  CHECK_TRUE(files.remove(directory.path() + "/sub/two").is_ok());
  CHECK_TRUE(files.remove(directory.path() + "/sub/two").is_ok());
  CHECK_FALSE(*files.exists(directory.path() + "/sub/two"));
}

TEST(PosixFiles, V_C6_one_inode_has_one_descriptor_under_all_its_names) {
  auto first = *files.open_database(path, true);
  std::filesystem::create_hard_link(path, path + "-link");
  auto second = *files.open_database(path + "-link", false);
  POINTERS_EQUAL(first.get(), second.get());
  // Another inode under the same name is another file.
  std::filesystem::remove(path);
  auto third = *files.open_database(path, true);
  CHECK_TRUE(third.get() != first.get());
}

TEST(PosixFiles, V_C6_dropping_a_database_file_does_not_drop_the_hosts_own_locks) {
  write_whole(path, Bytes(10));
  int host = ::open(path.c_str(), O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_start = 3;
  lock.l_len = 1;
  CHECK_EQUAL(0, ::fcntl(host, F_SETLK, &lock));
  files.open_database(path, false)->reset();
  CHECK_FALSE(can_be_locked_elsewhere(path, 3));
  ::close(host);
  CHECK_TRUE(can_be_locked_elsewhere(path, 3));
}

TEST(PosixFiles, V_C6_closing_another_descriptor_does_not_drop_our_lock) {
  auto file = *files.open_database(path, true);
  CHECK_TRUE(file->lock(7, 1, LockKind::kWrite).is_ok());
  ::close(::open(path.c_str(), O_RDWR));
  CHECK_FALSE(can_be_locked_elsewhere(path, 7));
  CHECK_TRUE(file->lock(7, 1, LockKind::kNone).is_ok());
  CHECK_TRUE(can_be_locked_elsewhere(path, 7));
}

TEST(PosixFiles, V_C7_a_refused_lock_names_the_process_in_the_way) {
  write_whole(path, Bytes(10));
  int host = ::open(path.c_str(), O_RDWR);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_len = 1;
  CHECK_EQUAL(0, ::fcntl(host, F_SETLK, &lock));
  auto file = *files.open_database(path, false);
  CHECK_TRUE(file->lock(0, 1, LockKind::kRead).is_ok());
  Status refused = file->lock(0, 1, LockKind::kWrite);
  LONGS_EQUAL(static_cast<int>(Code::kBusy), static_cast<int>(refused.code()));
  STRCMP_CONTAINS(("pid " + std::to_string(::getpid())).c_str(), refused.sentence().c_str());
  ::close(host);
  CHECK_TRUE(file->lock(0, 1, LockKind::kNone).is_ok());
}

TEST(PosixFiles, B6_a_forked_child_closes_everything_and_gets_an_error_instead_of_a_strangers_file) {
  auto database = *files.open_database(path, true);
  auto other = *files.open(path + "-other", true);
  pid_t child = ::fork();
  if (child == 0) {
    files.close_after_fork();
    // Whatever has these numbers now must not be written to.
    int stranger = ::open((path + "-stranger").c_str(), O_RDWR | O_CREAT, 0644);
    Status write = database->write(0, Bytes(3));
    Status also = other->write(0, Bytes(3));
    other.reset();
    bool fine = stranger >= 0 && write.code() == Code::kRefused && also.code() == Code::kRefused &&
                ::fcntl(stranger, F_GETFD) >= 0;
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK_TRUE(database->write(0, Bytes(3)).is_ok());
}

TEST(PosixFiles, descriptors_do_not_survive_exec) {
  auto database = files.open_database(path, true);
  auto other = files.open(path + "-other", true);
  int ours = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (target.string().rfind(directory.path(), 0) != 0) continue;
    ours++;
    CHECK_TRUE((::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK_EQUAL(2, ours);
}

// The sanitizer of undefined behaviour needs descriptors of its own.
#ifndef DQLITE_ADDRESS_SANITIZER
TEST(PosixFiles, a_new_file_for_which_no_descriptor_is_left_finds_no_space) {
  struct rlimit before {};
  ::getrlimit(RLIMIT_NOFILE, &before);
  struct rlimit none = before;
  none.rlim_cur = 0;
  ::setrlimit(RLIMIT_NOFILE, &none);
  Result<std::shared_ptr<DataFile>> created = files.create_new(path);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK_TRUE(created.status().code() == Code::kFull);
  STRCMP_CONTAINS("errno 24", created.status().sentence().c_str());
  CHECK_TRUE(files.create_new(path).is_ok());
}
#endif
