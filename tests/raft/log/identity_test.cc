// Who a node is: what outlives its process, and how a second process, a copy and a restored backup are found
// out.
#include "raft/log/identity.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;
using Survival = FaultDisk::Survival;

TEST_GROUP(Identity) {
  TemporaryDirectory directory;
  std::unique_ptr<IdentityFile> file;

  Status try_open(Disk& disk = posix_disk()) {
    file.reset();
    Result<std::unique_ptr<IdentityFile>> opened = IdentityFile::open(disk, directory.path());
    if (opened) file = std::move(*opened);
    return opened.status();
  }
  // The lock lies on the real file system; a faulty disk holds the rest under the same names.
  void prepare(FaultDisk & disk) {
    OK(disk.make_directory("/tmp"));
    OK(disk.sync_directory("/"));
  }
  std::string path(const std::string& name) {
    return directory.path() + "/" + name;
  }
};

TEST(Identity, a_new_directory_gets_an_instance_that_it_keeps) {
  OK(try_open());
  uint64_t instance = file->identity().instance;
  CHECK(instance != 0);
  LONGS_EQUAL(0, file->identity().node_id);
  CHECK_FALSE(file->identity().cluster_id.is_set());
  OK(try_open());
  CHECK(file->identity().instance == instance);
}

TEST(Identity, B7_the_boot_counter_rises_with_every_open_and_the_nonce_differs) {
  std::set<uint64_t> nonces;
  for (uint64_t life = 1; life <= 4; life++) {
    OK(try_open());
    LONGS_EQUAL(life, file->identity().boot_counter);
    nonces.insert(file->identity().boot_nonce);
  }
  LONGS_EQUAL(4, nonces.size());
}

TEST(Identity, what_is_saved_comes_back) {
  OK(try_open());
  Identity identity = file->identity();
  identity.node_id = 3;
  identity.cluster_id = {0x0123456789ABCDEF, 2};
  identity.listen = "127.0.0.1:9001";
  identity.join_target = "other:9002";
  identity.timeout_ms = 1234;
  identity.former_clusters = {{1, 2}, {3, 4}};
  identity.becomes_alone = true;
  OK(file->save(identity));
  OK(try_open());
  LONGS_EQUAL(3, file->identity().node_id);
  STRCMP_EQUAL("0123456789abcdef0000000000000002", file->identity().cluster_id.text().c_str());
  STRCMP_EQUAL("127.0.0.1:9001", file->identity().listen.c_str());
  STRCMP_EQUAL("other:9002", file->identity().join_target.c_str());
  LONGS_EQUAL(1234, file->identity().timeout_ms);
  CHECK(file->identity().former_clusters == (std::vector<ClusterId>{{1, 2}, {3, 4}}));
  CHECK(file->identity().becomes_alone);
}

TEST(Identity, B7_a_copied_directory_is_found_out_until_its_place_is_accepted) {
  OK(try_open());
  CHECK_FALSE(file->was_copied());
  file.reset();
  TemporaryDirectory copy;
  std::filesystem::copy(path("identity"), copy.path() + "/identity");
  for (int open = 0; open < 2; open++) {  // the first open must not make the copy pass for the original
    Result<std::unique_ptr<IdentityFile>> copied = IdentityFile::open(posix_disk(), copy.path());
    OK(copied.status());
    CHECK((*copied)->was_copied());
    if (open == 1) OK((*copied)->accept_location());
  }
  Result<std::unique_ptr<IdentityFile>> accepted = IdentityFile::open(posix_disk(), copy.path());
  OK(accepted.status());
  CHECK_FALSE((*accepted)->was_copied());
}

TEST(Identity, B7_a_device_number_that_a_reboot_changed_makes_no_copy) {
  OK(try_open());
  Identity identity = file->identity();
  const uint64_t device = identity.device;
  identity.device++;
  OK(file->save(identity));
  OK(try_open());
  CHECK_FALSE(file->was_copied());
  CHECK(file->identity().device == device);
}

TEST(Identity, B7_another_machine_or_inode_makes_a_copy) {
  OK(try_open());
  const Identity identity = file->identity();
  Identity changed = identity;
  changed.machine_id += "x";
  OK(file->save(changed));
  OK(try_open());
  CHECK_TRUE(file->was_copied());
  changed = identity;
  changed.inode++;
  OK(file->save(changed));
  OK(try_open());
  CHECK_TRUE(file->was_copied());
}

TEST(Identity, B7_the_highest_boot_counter_of_a_peer_is_remembered) {
  OK(try_open());
  LONGS_EQUAL(0, file->peer_boot_counter(77));
  OK(file->remember_peer(77, 5));
  OK(file->remember_peer(88, 1));
  OK(file->remember_peer(77, 3));
  LONGS_EQUAL(5, file->peer_boot_counter(77));
  OK(try_open());
  LONGS_EQUAL(5, file->peer_boot_counter(77));
  LONGS_EQUAL(1, file->peer_boot_counter(88));
}

TEST(Identity, a_peers_boot_counter_that_did_not_rise_takes_no_write) {
  FaultDisk disk;
  prepare(disk);
  OK(try_open(disk));
  OK(file->remember_peer(77, 5));
  uint64_t calls = disk.calls();
  OK(file->remember_peer(77, 5));
  OK(file->remember_peer(77, 4));
  LONGS_EQUAL(calls, disk.calls());
}

TEST(Identity, a_power_failure_at_any_call_loses_nothing_that_was_durable) {
  for (uint64_t call = 1; call <= 40; call++) {
    FaultDisk disk;
    prepare(disk);
    OK(try_open(disk));
    uint64_t instance = file->identity().instance;
    Identity identity = file->identity();
    disk.crash_at(call);
    uint64_t boots = 1;
    NodeId node_id = 0;
    while (true) {
      identity = file->identity();
      identity.node_id = node_id + 1;
      identity.listen = std::string(node_id * 3000, 'x');  // now and then of another size
      if (!file->save(identity)) break;
      node_id++;
      if (!file->remember_peer(5, node_id)) break;
      if (!try_open(disk)) break;
      boots++;
    }
    disk.power_loss(call % 3 == 0 ? Survival::kNothing : Survival::kRandom, call);
    OK(try_open(disk));
    CHECK(file->identity().instance == instance);
    CHECK(file->identity().boot_counter > boots);
    CHECK(file->identity().node_id == node_id || file->identity().node_id == node_id + 1);
    CHECK(file->peer_boot_counter(5) == node_id || file->peer_boot_counter(5) + 1 == node_id);
  }
}

TEST(Identity, a_power_failure_in_the_first_open_leaves_a_new_directory_or_a_whole_one) {
  for (uint64_t call = 1; call <= 8; call++) {
    FaultDisk disk;
    prepare(disk);
    disk.crash_at(call);
    CHECK_FALSE(try_open(disk).is_ok());
    disk.power_loss(Survival::kRandom, call);
    OK(try_open(disk));
    CHECK(file->identity().boot_counter >= 1);
  }
}

TEST(Identity, one_rotten_copy_is_repaired_and_two_are_refused) {
  FaultDisk disk;
  prepare(disk);
  OK(try_open(disk));
  uint64_t instance = file->identity().instance;
  disk.flip_bit(path("identity"), 40);
  OK(try_open(disk));
  CHECK(file->identity().instance == instance);
  disk.flip_bit(path("identity"), 4096 + 40);
  OK(try_open(disk));
  disk.flip_bit(path("identity"), 40);
  disk.flip_bit(path("identity"), 4096 + 40);
  FAILS(Code::kCorrupt, "dqlite_remove()", try_open(disk));
}

TEST(Identity, a_log_without_an_identity_gets_no_new_one) {
  OK(try_open());
  file.reset();
  OK(Log::open(posix_disk(), directory.path(), {}).status());
  std::filesystem::remove(path("identity"));
  FAILS(Code::kCorrupt, "no identity", try_open());
}

TEST(Identity, ruined_boot_counters_of_peers_are_told_with_what_to_do) {
  FaultDisk disk;
  prepare(disk);
  OK(try_open(disk));
  OK(file->remember_peer(1, 1));
  disk.put(path("peers"), 0, Bytes(8192, 0xFF));
  FAILS(Code::kCorrupt, "Remove the file", try_open(disk));
}

TEST(Identity, a_node_with_a_full_disk_starts) {
  FaultDisk disk;
  prepare(disk);
  OK(try_open(disk));
  disk.set_space(0);
  OK(try_open(disk));
  LONGS_EQUAL(2, file->identity().boot_counter);
}

// --- the lock ---

namespace {

// Runs `action` in a forked child and returns its exit code.
template <typename Action>
int in_child(Action action) {
  pid_t child = fork();
  if (child == 0) _exit(action());
  int state = 0;
  waitpid(child, &state, 0);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

// A process that holds something until it is told to go.
class HeldProcess {
 public:
  template <typename Action>
  explicit HeldProcess(Action action) {
    if (pipe(go_) != 0 || pipe(ready_) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      close(go_[1]);
      action();
      char byte = 1;
      if (write(ready_[1], &byte, 1) != 1) _exit(1);
      while (read(go_[0], &byte, 1) > 0) {
      }
      _exit(0);
    }
    close(go_[0]);
    char byte = 0;
    is_ready_ = read(ready_[0], &byte, 1) == 1;
  }
  ~HeldProcess() {
    close(go_[1]);
    waitpid(pid_, nullptr, 0);
    close(ready_[0]);
    close(ready_[1]);
  }
  HeldProcess(const HeldProcess&) = delete;
  HeldProcess& operator=(const HeldProcess&) = delete;
  [[nodiscard]] bool is_ready() const { return is_ready_; }

 private:
  int go_[2] = {-1, -1};
  int ready_[2] = {-1, -1};
  pid_t pid_ = -1;
  bool is_ready_ = false;
};

}  // namespace

TEST(Identity, B6_a_second_process_is_refused_with_the_firsts_pid) {
  OK(try_open());
  std::string pid = "pid " + std::to_string(getpid());
  int code = in_child([&] {
    Status status = IdentityFile::open(posix_disk(), directory.path()).status();
    return status.code() == Code::kBusy && status.sentence().ends_with("in use by " + pid) ? 7 : 1;
  });
  LONGS_EQUAL(7, code);
}

TEST(Identity, a_second_open_in_the_same_process_is_refused) {
  OK(try_open());
  FAILS(Code::kBusy, "this process already", IdentityFile::open(posix_disk(), directory.path()).status());
}

TEST(Identity, B6_the_lock_ends_with_its_owner_though_a_child_lives) {
  OK(try_open());
  HeldProcess child([] {});  // a fork with the lock's descriptor in it
  CHECK(child.is_ready());
  file.reset();
  OK(try_open());
}

TEST(Identity, B6_after_a_kill_a_living_child_is_named_as_that_of_a_dead_pid) {
  // A process opens the node, forks a child that keeps the descriptor, and dies without closing anything.
  int ready[2];
  int go[2];
  CHECK(pipe(ready) == 0 && pipe(go) == 0);
  pid_t owner = fork();
  if (owner == 0) {
    auto opened = IdentityFile::open(posix_disk(), directory.path());
    if (!opened) _exit(1);
    if (fork() == 0) {
      close(go[1]);
      char byte = 1;
      if (write(ready[1], &byte, 1) == 1) {
        while (read(go[0], &byte, 1) > 0) {
        }
      }
      _exit(0);
    }
    pause();
  }
  char byte = 0;
  CHECK(read(ready[0], &byte, 1) == 1);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  FAILS(Code::kBusy, ("a child of dead pid " + std::to_string(owner)).c_str(), try_open());
  for (int descriptor : {ready[0], ready[1], go[0], go[1]})
    close(descriptor);  // the child ends, and the lock with it
  Status status = try_open();
  while (status.code() == Code::kBusy) {
    std::this_thread::yield();
    status = try_open();
  }
  OK(status);
}

TEST(Identity, B6_a_child_that_closes_its_descriptor_leaves_the_parents_lock) {
  OK(try_open());
  int code = in_child([&] {
    file->close_after_fork();
    return IdentityFile::open(posix_disk(), directory.path()).status().code() == Code::kBusy ? 7 : 1;
  });
  LONGS_EQUAL(7, code);
  code = in_child([&] {
    file->close_after_fork();
    file.reset();
    return 7;
  });
  LONGS_EQUAL(7, code);
  FAILS(Code::kBusy, "in use", IdentityFile::open(posix_disk(), directory.path()).status());
}
