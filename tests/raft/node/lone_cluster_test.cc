// A member made a cluster of one, with the power cut at every call to the disk [B7, C2].
#include "raft/node/lone_cluster.h"

#include "raft/node/member_files.h"
#include "raft/node/repair_note.h"
#include "tests/raft/log/fault_disk.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;
using dqlite::raft::test::FaultDisk;

namespace {

constexpr ClusterId kOldCluster{7, 7};
constexpr NodeId kSelf = 3;
constexpr Term kTerm = 6;
constexpr Index kCommitted = 9;
constexpr Index kLast = 12;

}  // namespace

TEST_GROUP(LoneCluster) {
  TemporaryDirectory directory;  // the lock is a real file
  std::unique_ptr<FaultDisk> disk;
  NodeOptions options;
  std::unique_ptr<IdentityFile> identity;
  Checkpoint file;
  std::unique_ptr<FakeMachine> machine;

  void setup() override {
    options.directory = directory.path();
    options.listen = "elsewhere:1";
    options.segment_bytes = 64 << 10;
    options.spare_segments = 0;
  }
  void begin_life() {
    identity.reset();
    machine = std::make_unique<FakeMachine>(file);
    Result<std::unique_ptr<IdentityFile>> opened = IdentityFile::open(*disk, directory.path());
    WORKS(opened.status());
    identity = std::move(*opened);
  }
  // Member 3 of three, with a log up to 12 of which 9 are known to be committed.
  void make_member() {
    identity.reset();
    file = {};
    disk = std::make_unique<FaultDisk>();
    for (size_t slash = directory.path().find('/', 1);; slash = directory.path().find('/', slash + 1)) {
      WORKS(disk->make_directory(directory.path().substr(0, slash)));
      if (slash == std::string::npos) break;
    }
    WORKS(disk->sync_directory("/"));
    for (size_t slash = directory.path().find('/', 1); slash != std::string::npos;
         slash = directory.path().find('/', slash + 1)) {
      WORKS(disk->sync_directory(directory.path().substr(0, slash)));
    }
    begin_life();
    Result<MemberFiles> files = enter_cluster(*disk, options, *identity, kOldCluster, kSelf, *machine);
    WORKS(files.status());
    for (Index index = 1; index <= kLast; index++) {
      Persist persist;
      persist.token = index;
      persist.hard_state = HardState{kTerm, 1};
      persist.commit = std::min(index - 1, kCommitted);
      persist.entries.push_back({index, kTerm, EntryKind::kNoop, nullptr});
      if (index == 2) persist.entries.back() = {2, kTerm, EntryKind::kConfiguration, three_members()};
      WORKS(files->log->append({persist}));
    }
  }
  static SharedBytes three_members() {
    Configuration three;
    for (NodeId id = 1; id <= 3; id++) {
      three.members.push_back({id, 100 + id, "old:" + std::to_string(id), MemberRole::kVoter});
    }
    return std::make_shared<const Bytes>(encode(three));
  }
  Result<MemberFiles> open() {
    return open_member_files(*disk, options, *identity, *machine);
  }
  Status decide_and_open() {
    Result<Identity> decided = decide_to_be_alone(*identity);
    return decided ? open().status() : decided.status();
  }
  // With the power cut at the first call, the second, …: `check` gets what is found afterwards, as a member of the
  // new cluster; of the old one all must be there.
  template <typename Harm, typename Check>
  void cut_everywhere(Harm harm, Check check) {
    for (uint64_t seed = 0; seed < 3; seed++) {
      bool through = false;
      for (uint64_t cut_at = 1; !through; cut_at++) {
        CHECK(cut_at < 500);
        make_member();
        harm();
        disk->crash_at(cut_at);
        through = decide_and_open().is_ok();
        disk->crash_at(0);
        identity.reset();
        disk->power_loss(FaultDisk::Survival::kRandom, seed * 1000 + cut_at);
        begin_life();
        const bool is_new = !(identity->identity().cluster_id == kOldCluster);
        CHECK(is_new || !through);
        // As it was: the operator says it again.
        if (!is_new) {
          CHECK(!identity->identity().becomes_alone && identity->identity().former_clusters.empty());
          WORKS(decide_to_be_alone(*identity).status());
        }
        Result<MemberFiles> files = open();
        WORKS(files.status());
        CHECK(!identity->identity().becomes_alone);
        CHECK(identity->identity().former_clusters == std::vector<ClusterId>{kOldCluster});
        is_alone(*files);
        check(*files);
      }
    }
  }
  static void is_alone(const MemberFiles& files) {
    WORKS(files.failed);
    LONGS_EQUAL(0, files.recovered.mute_below);
    CHECK(files.recovered.hard_state.term > kTerm);
    const Configuration& members = files.recovered.configurations.back().second;
    LONGS_EQUAL(1, members.members.size());
    CHECK(members.is_voter(kSelf));
    LONGS_EQUAL(files.recovered.last_index, files.recovered.configurations.back().first);
    CHECK(files.log->term_at(files.recovered.last_index) > kTerm);
  }
  void rot_logs(uint64_t offset) {
    for (const std::string& path : disk->files()) {
      if (path.find("/log-") != std::string::npos) disk->flip_bit(path, offset);
    }
  }
  void rot_state_files() {
    for (const std::string& path : disk->files()) {
      if (path.find("/state-") == std::string::npos) continue;
      for (uint64_t at = 40; at < disk->content(path).size(); at += 4096) disk->flip_bit(path, at);
    }
  }
};

TEST(LoneCluster, C2_cut_off_anywhere_leaves_the_member_as_it_was_or_alone_with_its_tail) {
  cut_everywhere([] {},
                 [](const MemberFiles& files) {
                   for (Index index = 1; index <= kLast; index++)
                     LONGS_EQUAL(kTerm, files.log->term_at(index));
                   STRCMP_EQUAL("old:3",
                                files.recovered.configurations.back().second.members[0].address.c_str());
                 });
}

TEST(LoneCluster, C2_cut_off_anywhere_with_a_damaged_log_keeps_what_is_in_front_of_the_damage) {
  constexpr uint64_t kSixth = 4096 + 6 * 128;
  cut_everywhere([this] { rot_logs(kSixth); },
                 [](const MemberFiles& files) {
                   LONGS_EQUAL(kTerm, files.log->term_at(3));
                   CHECK(files.log->term_at(kLast) != kTerm);
                   CHECK(files.recovered.last_index < kLast);
                 });
}

TEST(LoneCluster, D10_cut_off_anywhere_without_term_and_vote_keeps_the_log) {
  cut_everywhere([this] { rot_state_files(); },
                 [](const MemberFiles& files) {
                   for (Index index = 1; index <= kLast; index++)
                     LONGS_EQUAL(kTerm, files.log->term_at(index));
                 });
}

TEST(LoneCluster, A5_cut_off_anywhere_with_a_log_that_lost_what_the_databases_hold_begins_behind_them) {
  const auto harm = [this] {
    rot_logs(4096 + 6 * 128);
    file.last = {10, kTerm};
    begin_life();
  };
  cut_everywhere(harm, [](const MemberFiles& files) {
    LONGS_EQUAL(10, files.recovered.start.last.index);
    LONGS_EQUAL(kTerm, files.recovered.start.last.term);
    LONGS_EQUAL(10, files.applied);
  });
}

TEST(LoneCluster, C2_a_member_that_is_being_repaired_is_mute_no_more) {
  make_member();
  Result<MemberFiles> before = open();
  WORKS(before.status());
  Persist raised;
  raised.token = 1;
  raised.hard_state = HardState{20, 0};
  WORKS(before->log->append({raised}));
  before = Status(Code::kBusy, "closed");
  WORKS(write_repair_note(*disk, directory.path(), {20, "a sector"}));
  before = open();
  WORKS(before.status());
  LONGS_EQUAL(20, before->recovered.mute_below);
  STRCMP_EQUAL("a sector", before->lost.c_str());
  before = Status(Code::kBusy, "closed");
  WORKS(decide_to_be_alone(*identity).status());
  Result<MemberFiles> files = open();
  WORKS(files.status());
  is_alone(*files);
  CHECK(files->recovered.hard_state.term > 20);
  CHECK(files->damage.empty());
}

TEST(LoneCluster, C2_twice_alone_reads_the_segments_of_both_clusters_before) {
  make_member();
  for (int i = 0; i < 2; i++) {
    WORKS(decide_to_be_alone(*identity).status());
    WORKS(open().status());
  }
  LONGS_EQUAL(2, identity->identity().former_clusters.size());
  begin_life();
  Result<MemberFiles> files = open();
  WORKS(files.status());
  LONGS_EQUAL(kLast + 2, files->recovered.last_index);
}

TEST(LoneCluster, C2_the_peers_of_the_old_cluster_are_forgotten) {
  make_member();
  WORKS(identity->remember_peer(101, 4));
  WORKS(decide_and_open());
  CHECK(!identity->knows_peers());
  begin_life();
  CHECK(!identity->knows_peers());
}

TEST(LoneCluster, ids_of_members_stay_below_the_entries_to_come) {
  make_member();
  for (const std::string& path : disk->files()) {
    if (path.find("/log-") != std::string::npos) disk->drop_file(path);
  }
  WORKS(decide_and_open());
  Result<MemberFiles> files = open();
  WORKS(files.status());
  CHECK(files->recovered.last_index > kSelf);
}

TEST(LoneCluster, B7_a_decision_accepts_the_place_of_the_directory) {
  make_member();
  Identity elsewhere = identity->identity();
  elsewhere.inode++;
  WORKS(identity->save(elsewhere));
  begin_life();
  CHECK(identity->was_copied());
  WORKS(decide_and_open());
  CHECK(!identity->was_copied());
  begin_life();
  CHECK(!identity->was_copied());
}
