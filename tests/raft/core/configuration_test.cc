#include "raft/core/configuration.h"

#include <CppUTest/TestHarness.h>

#include "raft/core/configuration_history.h"

namespace dqlite::raft {

namespace {

Configuration three() {
  Configuration configuration;
  configuration.members = {{1, 11, "a:1", MemberRole::kVoter, false},
                           {5, 55, "b:1", MemberRole::kStandby, true},
                           {9, 99, "", MemberRole::kSpare, false, true}};
  return configuration;
}

Configuration only(NodeId id) {
  Configuration configuration;
  configuration.members = {{id, id, "x", MemberRole::kVoter, false}};
  return configuration;
}

}  // namespace

TEST_GROUP(Configuration){};

TEST(Configuration, what_is_encoded_comes_back) {
  const Configuration configuration = three();
  CHECK(decode_configuration(encode(configuration)).value() == configuration);
  CHECK(decode_configuration(encode({})).value() == Configuration{});
}

TEST(Configuration, finds_members_and_counts_voters) {
  const Configuration configuration = three();
  CHECK_EQUAL(55, configuration.find(5)->instance);
  CHECK_EQUAL(5, configuration.find_instance(55)->id);
  CHECK(configuration.find(2) == nullptr);
  CHECK(configuration.find_instance(2) == nullptr);
  CHECK_TRUE(configuration.is_voter(1));
  CHECK_FALSE(configuration.is_voter(5));
  CHECK_EQUAL(1, configuration.voter_count());
  CHECK_EQUAL(1, configuration.quorum());
}

TEST(Configuration, every_cut_of_the_bytes_is_corrupt) {
  const Bytes bytes = encode(three());
  for (size_t size = 0; size < bytes.size(); size++) {
    CHECK(decode_configuration(ByteView(bytes).subspan(0, size)).status().code() == Code::kCorrupt);
  }
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(decode_configuration(longer).status().code() == Code::kCorrupt);
}

TEST(Configuration, bytes_that_cannot_be_right_are_refused) {
  Bytes version = encode(three());
  version[0] = 2;
  CHECK(decode_configuration(version).status().code() == Code::kUnsupported);
  Bytes many = encode(three());
  many[4] = 0xff;  // four thousand million members
  CHECK(decode_configuration(many).status().code() == Code::kCorrupt);
  Bytes role = encode(three());
  role[5 + 16] = 4;
  CHECK(decode_configuration(role).status().code() == Code::kCorrupt);
  Bytes promote = encode(three());
  promote[5 + 17] = 4;
  CHECK(decode_configuration(promote).status().code() == Code::kCorrupt);
  Configuration twice = three();
  twice.members[1].id = 1;
  CHECK(decode_configuration(encode(twice)).status().code() == Code::kCorrupt);
}

TEST(Configuration, the_history_follows_append_truncation_and_compaction) {
  ConfigurationHistory history({{10, 1}, only(1), 7}, {{12, only(2)}});
  history.append(15, only(3));
  CHECK_EQUAL(15, history.newest_index());
  CHECK_EQUAL(7, history.at(11).first);
  CHECK_EQUAL(12, history.at(12).first);
  CHECK_EQUAL(12, history.at(14).first);
  CHECK_TRUE(history.truncate_from(13));
  CHECK_FALSE(history.truncate_from(13));
  CHECK(history.newest() == only(2));
  history.append(14, only(4));
  history.compact_to(13);
  CHECK_EQUAL(12, history.at(13).first);
  CHECK_EQUAL(14, history.newest_index());
  CHECK_TRUE(history.is_ascending());
  history.reset({{90, 2}, only(5), 88});
  CHECK_EQUAL(88, history.newest_index());
}

}  // namespace dqlite::raft
