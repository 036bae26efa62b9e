// Becoming a member, and installing a snapshot, with the power cut at every call to the disk.
#include "raft/node/member_files.h"

#include "raft/node/install_note.h"
#include "raft/node/repair_note.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;
using dqlite::raft::test::FaultDisk;

TEST_GROUP(MemberFiles) {
  TemporaryDirectory directory;  // the lock is a real file
  std::unique_ptr<FaultDisk> disk_memory;
  NodeOptions options;
  std::unique_ptr<IdentityFile> identity;
  Checkpoint file;
  std::unique_ptr<FakeMachine> machine;
  uint64_t cut_at = 0;

  void setup() override {
    options.directory = directory.path();
    options.segment_bytes = 64 << 10;
    new_disk();
  }
  // The path of the real directory, durably there; nothing in it.
  void new_disk() {
    identity.reset();
    file = {};
    disk_memory = std::make_unique<FaultDisk>();
    for (size_t slash = directory.path().find('/', 1);; slash = directory.path().find('/', slash + 1)) {
      WORKS(disk().make_directory(directory.path().substr(0, slash)));
      if (slash == std::string::npos) break;
    }
    WORKS(disk().sync_directory("/"));
    for (size_t slash = directory.path().find('/', 1); slash != std::string::npos;
         slash = directory.path().find('/', slash + 1)) {
      WORKS(disk().sync_directory(directory.path().substr(0, slash)));
    }
  }
  FaultDisk& disk() {
    return *disk_memory;
  }

  Status begin_life() {
    identity.reset();
    machine = std::make_unique<FakeMachine>(file);
    Result<std::unique_ptr<IdentityFile>> opened = IdentityFile::open(disk(), directory.path());
    if (opened) identity = std::move(*opened);
    return opened.status();
  }
  // Runs `step` with the power cut at its first call, its second, …, and `check` after each restart, until a
  // run gets through. Each run begins with an empty disk.
  template <typename Step, typename Check>
  void cut_everywhere(Step step, Check check) {
    for (uint64_t seed = 0; seed < 3; seed++) {
      bool through = false;
      for (cut_at = 1; !through; cut_at++) {
        CHECK(cut_at < 500);
        new_disk();
        WORKS(begin_life());
        disk().crash_at(cut_at);
        through = step().is_ok();
        disk().crash_at(0);
        identity.reset();
        disk().power_loss(FaultDisk::Survival::kRandom, seed * 1000 + cut_at);
        WORKS(begin_life());
        check(through);
      }
    }
  }

  // A life that ended with entries of `term` up to 10 in the log, and the note of an install at {5, 4}.
  void leave_note_beside_log(Term term) {
    WORKS(begin_life());
    {
      Result<MemberFiles> files = found_cluster(disk(), options, *identity, "here:1", false, *machine);
      WORKS(files.status());
      Persist persist;
      persist.token = 1;
      persist.hard_state = HardState{4, 0};
      for (Index index = 2; index <= 10; index++)
        persist.entries.push_back({index, term, EntryKind::kNoop, nullptr});
      WORKS(files->log->append({persist}));
    }
    WORKS(write_install_note(disk(), directory.path(), {{5, 4}, {}, 1}));
  }
};

TEST(MemberFiles, B7_a_founding_cut_off_anywhere_leaves_a_new_node_or_a_founder) {
  const auto found = [this] {
    return found_cluster(disk(), options, *identity, "here:1", false, *machine).status();
  };
  cut_everywhere(found, [this](bool through) {
    const bool is_member = identity->identity().node_id != 0;
    CHECK(is_member || !through);
    Result<MemberFiles> files = is_member
                                    ? open_member_files(disk(), options, *identity, *machine)
                                    : found_cluster(disk(), options, *identity, "here:1", false, *machine);
    WORKS(files.status());
    LONGS_EQUAL(1, files->recovered.last_index);
    LONGS_EQUAL(1, files->recovered.hard_state.term);
    LONGS_EQUAL(1, files->recovered.configurations.size());
    LONGS_EQUAL(1, files->recovered.configurations[0].second.members.at(0).id);
  });
}

TEST(MemberFiles, B8_an_adoption_cut_off_anywhere_leaves_a_new_node_or_a_founder) {
  const auto adopt = [this] {
    file.last = {1, 1};
    return found_cluster(disk(), options, *identity, "here:1", true, *machine).status();
  };
  cut_everywhere(adopt, [this](bool) {
    const bool is_member = identity->identity().node_id != 0;
    Result<MemberFiles> files = is_member
                                    ? open_member_files(disk(), options, *identity, *machine)
                                    : found_cluster(disk(), options, *identity, "here:1", true, *machine);
    WORKS(files.status());
    LONGS_EQUAL(1, files->recovered.start.last.index);
    LONGS_EQUAL(2, files->recovered.last_index);
  });
}

TEST(MemberFiles, B7_an_entry_cut_off_anywhere_leaves_a_joining_node_or_a_member) {
  const ClusterId cluster{7, 7};
  const auto enter = [&] {
    Identity joining = identity->identity();
    joining.join_target = "there:1";
    Status saved = identity->save(joining);
    return saved ? enter_cluster(disk(), options, *identity, cluster, 5, *machine).status() : saved;
  };
  cut_everywhere(enter, [&](bool through) {
    const bool is_member = identity->identity().node_id != 0;
    CHECK(is_member || !through);
    CHECK(is_member == identity->identity().join_target.empty() || !identity->identity().cluster_id.is_set());
    Result<MemberFiles> files = is_member ? open_member_files(disk(), options, *identity, *machine)
                                          : enter_cluster(disk(), options, *identity, cluster, 5, *machine);
    WORKS(files.status());
    LONGS_EQUAL(0, files->recovered.last_index);
    LONGS_EQUAL(5, files->identity.node_id);
  });
}

TEST(MemberFiles, B7_a_join_cut_off_does_not_bind_the_node_to_that_cluster) {
  WORKS(begin_life());
  Identity half_way = identity->identity();
  half_way.cluster_id = {7, 7};
  WORKS(identity->save(half_way));
  LogOptions log_options;
  log_options.cluster_id_high = log_options.cluster_id_low = 7;
  WORKS(Log::open(disk(), directory.path(), log_options).status());
  Result<MemberFiles> files = enter_cluster(disk(), options, *identity, {8, 8}, 5, *machine);
  WORKS(files.status());
}

TEST(MemberFiles, a_log_that_is_not_of_this_nodes_making_is_never_removed) {
  LogOptions log_options;
  log_options.cluster_id_high = log_options.cluster_id_low = 7;
  {
    // Of a member whose identity file was lost; the node would be new otherwise.
    WORKS(begin_life());
    Result<std::unique_ptr<Log>> log = Log::open(disk(), directory.path(), log_options);
    WORKS(log.status());
    Persist persist;
    persist.token = 1;
    persist.hard_state = HardState{3, 2};
    persist.entries.push_back({1, 3, EntryKind::kNoop, nullptr});
    WORKS((*log)->append({persist}));
  }
  Result<MemberFiles> files = found_cluster(disk(), options, *identity, "here:1", false, *machine);
  CHECK(!files.status());
}

TEST(MemberFiles, S5_an_install_cut_off_anywhere_leaves_state_and_log_in_agreement) {
  const LogStart start{{100, 4}, {}, 50};
  const auto install = [&]() -> Status {
    Result<MemberFiles> files = found_cluster(disk(), options, *identity, "here:1", false, *machine);
    if (!files) return files.status();
    Status done = write_install_note(disk(), directory.path(), start);
    if (!done) return done;
    machine->write_incoming(0, encode({start.last, {"x"}}));
    machine->install();
    return finish_install(disk(), directory.path(), *files->log, start);
  };
  cut_everywhere(install, [&](bool through) {
    if (identity->identity().node_id == 0) return;
    Result<MemberFiles> files = open_member_files(disk(), options, *identity, *machine);
    WORKS(files.status());
    const bool installed = machine->durable_point().index == 100;
    CHECK(installed || !through);
    LONGS_EQUAL(installed ? 100 : 0, files->recovered.start.last.index);
    LONGS_EQUAL(installed ? 100 : 1, files->recovered.last_index);
    Result<std::optional<LogStart>> note = read_install_note(disk(), directory.path());
    CHECK(note.is_ok() && !*note);
  });
}

TEST(MemberFiles, a_log_that_reached_a_snapshot_by_itself_outlives_the_note_of_its_install) {
  leave_note_beside_log(4);
  file.last = {7, 4};
  WORKS(begin_life());
  Result<MemberFiles> files = open_member_files(disk(), options, *identity, *machine);
  WORKS(files.status());
  LONGS_EQUAL(0, files->recovered.start.last.index);
  LONGS_EQUAL(10, files->recovered.last_index);
  Result<std::optional<LogStart>> note = read_install_note(disk(), directory.path());
  CHECK(note.is_ok() && !*note);
}

TEST(MemberFiles, a_log_with_another_entry_where_an_installed_snapshot_stands_gives_way_to_it) {
  leave_note_beside_log(3);
  file.last = {5, 4};
  WORKS(begin_life());
  Result<MemberFiles> files = open_member_files(disk(), options, *identity, *machine);
  WORKS(files.status());
  LONGS_EQUAL(5, files->recovered.start.last.index);
  LONGS_EQUAL(5, files->recovered.last_index);
}

TEST(MemberFiles, D3_a_repair_cut_off_anywhere_leaves_the_damage_as_it_was_or_a_mute_member) {
  const auto open = [this] { return open_member_files(disk(), options, *identity, *machine); };
  const auto damage_and_open = [&]() -> Status {
    const uint64_t cut = cut_at;
    disk().crash_at(0);
    {
      Result<MemberFiles> files = enter_cluster(disk(), options, *identity, {7, 7}, 5, *machine);
      WORKS(files.status());
      for (Index index = 1; index <= 3; index++) {
        Persist persist;
        persist.token = index;
        persist.hard_state = HardState{4, 2};
        persist.entries.push_back({index, 4, EntryKind::kNoop, nullptr});
        WORKS(files->log->append({persist}));
      }
    }
    for (const std::string& path : disk().files()) {
      if (path.find("/log-") != std::string::npos) disk().flip_bit(path, 4096 + 80 + 30);
    }
    disk().crash_at(cut);
    return open().status();
  };
  cut_everywhere(damage_and_open, [&](bool) {
    Result<MemberFiles> files = open();
    WORKS(files.status());
    CHECK(files->recovered.mute_below > 4);  // what it may have voted in
    LONGS_EQUAL(files->recovered.mute_below, files->recovered.hard_state.term);
    LONGS_EQUAL(0, files->recovered.hard_state.vote);
    CHECK(files->recovered.last_index < 3);
    CHECK(!files->damage.empty());
  });
}

TEST(MemberFiles, D13_a_sector_that_can_be_read_again_has_cost_nothing) {
  WORKS(begin_life());
  WORKS(enter_cluster(disk(), options, *identity, {7, 7}, 5, *machine).status());
  WORKS(write_repair_note(disk(), directory.path(), {9, "unreadable for a while"}));
  Result<MemberFiles> files = open_member_files(disk(), options, *identity, *machine);
  WORKS(files.status());
  LONGS_EQUAL(0, files->recovered.mute_below);
  Result<std::optional<RepairNote>> note = read_repair_note(disk(), directory.path());
  CHECK(note.is_ok() && !*note);
}
