#include "raft/log/state_file.h"

#include "tests/raft/log/check.h"

using namespace dqlite;
using namespace dqlite::raft;
using namespace dqlite::raft::test;
using Survival = FaultDisk::Survival;

TEST_GROUP(StateFile) {
  FaultDisk disk;
  std::unique_ptr<StateFile> file;

  void setup() override {
    OK(disk.make_directory(kDirectory));
    OK(disk.sync_directory("."));
    load();
  }
  bool load() {
    file = std::make_unique<StateFile>(disk, kDirectory);
    Result<bool> loaded = file->load();
    OK(loaded.status());
    return *loaded;
  }
  Status save_term(Term term) {
    DurableState state = file->current();
    state.hard_state = {term, term + 100};
    return file->save(state);
  }
  std::string path(int slot) {
    return std::string(kDirectory) + "/state-" + std::to_string(slot);
  }
  void ruin(int slot) {
    disk.put(path(slot), 0, Bytes(disk.content(path(slot)).size(), 0x5A));
  }
  void term_is(Term term) {
    CHECK(load());
    LONGS_EQUAL(term, file->current().hard_state.term);
    LONGS_EQUAL(term + 100, file->current().hard_state.vote);
  }
};

TEST(StateFile, a_new_directory_has_none) {
  CHECK_FALSE(load());
}

TEST(StateFile, the_newest_save_counts_after_a_power_failure) {
  for (Term term = 1; term <= 5; term++) {
    OK(save_term(term));
    disk.power_loss(Survival::kNothing);
    term_is(term);
  }
}

TEST(StateFile, keeps_start_configuration_and_first_segment) {
  DurableState state;
  state.start.last = {10, 3};
  state.start.configuration = {{{1, 11, "a:1", MemberRole::kVoter}}};
  state.start.configuration_index = 8;
  state.first_segment = 4;
  state.first_batch = 99;
  OK(file->save(state));
  CHECK(load());
  CHECK((file->current().start.last == EntryId{10, 3}));
  CHECK(file->current().start.configuration == state.start.configuration);
  LONGS_EQUAL(8, file->current().start.configuration_index);
  LONGS_EQUAL(4, file->current().first_segment);
  LONGS_EQUAL(99, file->current().first_batch);
}

TEST(StateFile, a_configuration_of_many_blocks_fits) {
  DurableState state;
  for (NodeId id = 1; id <= 500; id++) {
    state.start.configuration.members.push_back(
        {id, id, "a-host-with-a-long-name.example:9001", MemberRole::kVoter});
  }
  OK(save_term(1));
  OK(file->save(state));
  disk.power_loss(Survival::kNothing);
  CHECK(load());
  LONGS_EQUAL(500, file->current().start.configuration.members.size());
  OK(save_term(7));  // a shorter one after it, in the same slots
  state = DurableState();
  state.hard_state = {8, 108};
  OK(file->save(state));
  term_is(8);
}

TEST(StateFile, D9_meta_slot_torn_uses_other) {
  OK(save_term(1));
  OK(save_term(2));
  OK(save_term(3));  // in slot 0
  ruin(0);
  term_is(2);  // and the ruin is repaired with it, so that the other slot may be lost now
  ruin(1);
  term_is(2);
}

TEST(StateFile, D9_every_byte_at_which_a_save_can_be_torn_leaves_the_state_before_or_after) {
  OK(save_term(1));
  OK(save_term(2));
  Bytes before = disk.content(path(0));
  OK(save_term(3));
  Bytes after = disk.content(path(0));
  for (size_t cut = 0; cut <= after.size(); cut += cut < 200 || (cut > 4090 && cut < 4300) ? 1 : 97) {
    Bytes torn = after;
    std::copy(before.begin() + static_cast<ptrdiff_t>(cut), before.end(),
              torn.begin() + static_cast<ptrdiff_t>(cut));
    std::unique_ptr<FaultDisk> copy = disk.clone();
    copy->put(path(0), 0, torn);
    StateFile torn_file(*copy, kDirectory);
    CHECK(torn_file.load().is_ok());
    Term term = torn_file.current().hard_state.term;
    CHECK(term == 2 || term == 3);
  }
}

TEST(StateFile, D9_one_rotten_sector_of_the_newest_slot_forgets_no_vote) {
  OK(save_term(1));
  OK(save_term(2));
  disk.put(path(1), 0, Bytes(512, 0xFF));
  term_is(2);
}

TEST(StateFile, D10_both_meta_slots_bad_refuses_to_vote) {
  OK(save_term(1));
  OK(save_term(2));
  ruin(0);
  ruin(1);
  StateFile ruined(disk, kDirectory);
  FAILS(Code::kCorrupt, "dqlite_remove()", ruined.load().status());
}

TEST(StateFile, D10_a_log_with_both_slots_gone_is_not_a_new_one) {
  LogFixture node;
  OPENS(node.open());
  OK(node.write(1));
  OK(node.vote(2, 2));
  node.close();
  for (int slot = 0; slot < 2; slot++) node.disk.drop_file(path(slot));
  FAILS(Code::kCorrupt, "dqlite_remove()", node.try_open());
}

TEST(StateFile, A12_a_state_that_survived_a_kill_is_durable_when_loaded) {
  OK(save_term(1));
  OK(save_term(2));
  disk.crash_at(2);  // written, not synced
  CHECK_FALSE(save_term(3).is_ok());
  disk.kill();
  term_is(3);
  disk.power_loss(Survival::kNothing);
  term_is(3);
}

TEST(StateFile, a_save_never_touches_the_slot_of_the_newest_state) {
  OK(save_term(1));
  OK(save_term(2));
  for (Term term = 3; term <= 6; term++) {
    Bytes first = disk.content(path(0));
    OK(save_term(term));
    int newest = disk.content(path(0)) != first ? 0 : 1;
    Bytes content = disk.content(path(newest));
    std::unique_ptr<FaultDisk> copy = disk.clone();
    StateFile other(*copy, kDirectory);
    CHECK(other.load().is_ok());
    DurableState state;
    state.hard_state = {99, 1};
    OK(other.save(state));
    CHECK(content == copy->content(path(newest)));
    CHECK(content != copy->content(path(1 - newest)));
  }
}

TEST(StateFile, another_format_version_is_refused_not_forgotten) {
  OK(save_term(1));
  Bytes content = disk.content(path(0));
  // Version 2, with a right checksum: seeded with magic and version.
  LONGS_EQUAL(1, content[4]);
  content[4] = 2;
  disk.put(path(0), 0, content);
  StateFile flipped(disk, kDirectory);
  CHECK(flipped.load().is_ok());  // one flipped byte is rot, and the second copy is there
}
