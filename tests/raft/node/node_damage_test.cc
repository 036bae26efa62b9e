// Members whose logs are damaged while they are down: what they show, when they vote again, and that nothing
// committed is lost meanwhile (raft.md D3 to D14, 5.2, 5.4).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "raft/log/record.h"
#include "raft/log/segment.h"
#include "tests/raft/node/test_node.h"

using namespace dqlite;
using namespace dqlite::raft;

namespace {

Bytes content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void put(const std::string& path, uint64_t offset, ByteView bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::vector<std::string> files_of(const TestNode& node, const std::string& beginning) {
  std::vector<std::string> found;
  for (const auto& item : std::filesystem::directory_iterator(node.options.directory)) {
    if (item.path().filename().string().starts_with(beginning)) found.push_back(item.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

struct RecordPlace {
  std::string path;
  uint64_t offset = 0;
  RecordHeader header;
};

// The record of the entry that carries this command.
RecordPlace record_of(const TestNode& node, const std::string& command) {
  for (const std::string& path : files_of(node, "log-")) {
    const Bytes bytes = content_of(path);
    const uint64_t salt = codec::Reader(ByteView(bytes).subspan(16)).u64();
    for (uint64_t at = kSegmentHeaderBytes; at + kRecordHeaderBytes <= bytes.size(); at += kRecordAlignment) {
      const auto found = decode_record_header(ByteView(bytes).subspan(at), salt);
      if (!found || found->header.payload_length != command.size()) continue;
      const std::string payload(
          bytes.begin() + static_cast<ptrdiff_t>(at + kRecordHeaderBytes),
          bytes.begin() + static_cast<ptrdiff_t>(at + kRecordHeaderBytes + command.size()));
      if (payload == command) return {path, at, found->header};
    }
  }
  FAIL(("no record of " + command).c_str());
  return {};
}

void flip_byte(const std::string& path, uint64_t offset) {
  const uint8_t byte = content_of(path).at(offset) ^ 0x55;
  put(path, offset, Bytes{byte});
}

// In the payload of this command's entry.
void rot(const TestNode& node, const std::string& command) {
  const RecordPlace place = record_of(node, command);
  flip_byte(place.path, place.offset + kRecordHeaderBytes);
}

Deadline a_while() {
  return Clock::now() + std::chrono::seconds(1);  // several elections
}

}  // namespace

TEST_GROUP(NodeDamage) {
  TestNode a, b, c;

  void write_many(int count, size_t size = 8) {
    for (int i = 0; i < count; i++) {
      write_somewhere({&a, &b, &c}, name(i, size));
    }
    CHECK(c.machine->wait_commands(static_cast<size_t>(count)));
  }
  static std::string name(int i, size_t size = 8) {
    std::string text = "command " + std::to_string(i);
    return text + std::string(std::max(size, text.size()) - text.size(), '.');
  }
  // It opens, gets well by itself, and has everything again; its damaged files are still there.
  void heals(TestNode & node, TestNode & other) {
    node.start();
    CHECK(eventually([&] { return node.node->status().warning.empty(); }));
    write_somewhere({&a, &b, &c}, "after the repair");
    CHECK(node.machine->wait_event("applied after the repair"));
    CHECK(other.machine->wait_event("applied after the repair"));
    CHECK(node.machine->commands() == other.machine->commands());
    WORKS(node.node->wait_caught_up(patience()));
    CHECK(node.node->status().fault.empty());
    CHECK(eventually([&] { return files_of(node, "repairing").empty(); }));
  }
};

TEST(NodeDamage, D3_damaged_follower_repairs_itself_and_votes_again) {
  found_three(a, b, c);
  write_many(20);
  c.stop();
  rot(c, name(10));
  heals(c, a);
  LONGS_EQUAL(1, files_of(c, "damaged-log-").size());
  // Two of three are needed to elect, and two are left: c is one of them, whoever goes.
  TestNode& leader = leader_of({&a, &b});
  TestNode& other = &leader == &a ? b : a;
  leader.kill();
  write_somewhere({&other, &c}, "with the vote of c");
  // Also in its next life, from the log that was repaired.
  c.stop();
  c.start();
  CHECK(c.node->status().warning.empty());
  write_somewhere({&other, &c}, "and again");
  CHECK(c.machine->wait_event("applied and again"));
}

TEST(NodeDamage, D4_faulty_node_does_not_vote_until_repaired) {
  found_three(a, b, c);
  for (const char* command : {"everywhere", "everywhere, too"}) {
    write_somewhere({&a}, command);
    CHECK(b.machine->wait_event("applied " + std::string(command)));
    CHECK(c.machine->wait_event("applied " + std::string(command)));
  }
  b.kill();
  write_somewhere({&a}, "on a and c only");
  CHECK(c.machine->wait_event("applied on a and c only"));
  c.stop();
  a.kill();
  rot(c, "on a and c only");
  const std::string path = record_of(c, "everywhere").path;
  b.start();
  c.start();
  // With the vote of c the node b would win, and the entry be lost.
  FAILS_WITH(Code::kNoQuorum, "", b.node->wait_leader(a_while()));
  const std::string warning = c.node->status().warning;
  STRCMP_CONTAINS(path.c_str(), warning.c_str());
  STRCMP_CONTAINS("offset", warning.c_str());
  STRCMP_CONTAINS("are in doubt", warning.c_str());
  STRCMP_CONTAINS("neither votes nor campaigns", warning.c_str());
  CHECK(c.machine->has_event("applied everywhere"));  // what is readable is there to be read
  CHECK(!c.node->is_caught_up());
  // Also in its next life, in which nothing looks damaged any more.
  c.kill();
  c.start();
  FAILS_WITH(Code::kNoQuorum, "", b.node->wait_leader(a_while()));
  STRCMP_CONTAINS("neither votes nor campaigns", c.node->status().warning.c_str());
  a.start();
  CHECK(b.machine->wait_event("applied on a and c only"));
  CHECK(c.machine->wait_event("applied on a and c only"));
  CHECK(eventually([this] { return c.node->status().warning.empty(); }));
  // The entry outlives its leader now: c knows it again.
  a.kill();
  write_somewhere({&b, &c}, "without a");
  CHECK(b.machine->has_event("applied on a and c only"));
}

TEST(NodeDamage, D7_a_follower_whose_disk_lost_a_write_repairs_itself) {
  found_three(a, b, c);
  write_many(20);
  c.stop();
  const RecordPlace lost = record_of(c, name(12));
  put(lost.path, lost.offset, Bytes(record_bytes(lost.header.payload_length)));
  heals(c, a);
}

TEST(NodeDamage, D8_a_follower_with_a_write_in_the_wrong_place_repairs_itself) {
  found_three(a, b, c);
  write_many(20);
  c.stop();
  const RecordPlace from = record_of(c, name(5));
  const RecordPlace to = record_of(c, name(15));
  const Bytes bytes = content_of(from.path);
  put(to.path, to.offset, ByteView(bytes).subspan(from.offset, record_bytes(from.header.payload_length)));
  heals(c, a);
}

TEST(NodeDamage, D14_a_follower_that_lost_its_newest_segment_repairs_itself) {
  c.options.segment_bytes = 64 << 10;
  found_three(a, b, c);
  write_many(20, 10000);
  c.stop();
  std::filesystem::remove(files_of(c, "log-").back());
  heals(c, a);
}

TEST(NodeDamage, D14_a_follower_that_lost_a_segment_in_the_middle_repairs_itself) {
  c.options.segment_bytes = 64 << 10;
  found_three(a, b, c);
  write_many(20, 10000);
  c.stop();
  const std::vector<std::string> segments = files_of(c, "log-");
  CHECK(segments.size() >= 4);
  std::filesystem::remove(segments[1]);
  heals(c, a);
  CHECK(files_of(c, "damaged-log-").size() >= 2);
}

TEST(NodeDamage, D3_a_node_that_led_repairs_itself_from_its_successor) {
  found_three(a, b, c);
  write_many(20);
  TestNode& leader = leader_of({&a, &b, &c});
  leader.stop();
  rot(leader, name(3));
  heals(leader, &leader == &a ? b : a);
}

TEST(NodeDamage, D3_damage_below_the_checkpoint_takes_nothing_from_what_readers_see) {
  found_three(a, b, c);
  write_many(20);
  c.checkpoint();
  c.stop();
  rot(c, name(4));
  a.kill();
  b.kill();
  c.start();
  LONGS_EQUAL(20, c.machine->commands().size());
  a.start();
  b.start();
  CHECK(eventually([this] { return c.node->status().warning.empty(); }));
  write_somewhere({&a, &b, &c}, "next");
  CHECK(c.machine->wait_event("applied next"));
  CHECK(a.machine->wait_event("applied next"));
  CHECK(c.machine->commands() == a.machine->commands());
}

TEST(NodeDamage, S1_D3_a_damaged_node_that_holds_more_than_the_leaders_snapshot_keeps_what_it_holds) {
  a.options.log_tail_bytes = b.options.log_tail_bytes = 0;
  found_three(a, b, c);
  write_many(20);
  for (TestNode* node : {&a, &b}) {
    CHECK(node->machine->wait_commands(20));
    node->checkpoint();
    CHECK(eventually([&] { return node->node->status().log_start >= 20; }));
  }
  write_many(40);
  c.checkpoint();
  c.stop();
  rot(c, name(4));
  c.start();
  CHECK(eventually([this] { return c.node->status().warning.empty(); }));
  CHECK(c.machine->has_event("kept newer"));
  write_somewhere({&a, &b, &c}, "next");
  CHECK(c.machine->wait_event("applied next"));
  CHECK(a.machine->wait_event("applied next"));
  CHECK(c.machine->commands() == a.machine->commands());
}

TEST(NodeDamage, D3_a_node_that_is_alone_shows_what_is_readable_and_says_what_can_be_done) {
  a.start();
  a.found();
  for (int i = 0; i < 10; i++) a.write(name(i));
  a.stop();
  const RecordPlace place = record_of(a, name(6));
  rot(a, name(6));
  const Bytes before = content_of(place.path);
  a.start();
  CHECK(a.node->standing() == Standing::kPoisoned);
  const std::string fault = a.node->status().fault;
  STRCMP_CONTAINS((place.path + ", offset " + std::to_string(place.offset)).c_str(), fault.c_str());
  STRCMP_CONTAINS("No other member could repair it", fault.c_str());
  STRCMP_CONTAINS(".backup", fault.c_str());
  LONGS_EQUAL(6, a.machine->commands().size());
  FAILS_WITH(Code::kPoisoned, "the log is damaged", a.node->confirm_leadership(0, patience()));
  a.stop();
  CHECK(before == content_of(place.path));
  CHECK(files_of(a, "damaged-").empty() && files_of(a, "repairing").empty());
  // The file comes back, and with it everything.
  flip_byte(place.path, place.offset + kRecordHeaderBytes);
  a.start();
  leader_of({&a}).write("more");
  LONGS_EQUAL(11, a.machine->commands().size());
}

TEST(NodeDamage, D10_a_node_without_term_and_vote_is_there_to_be_read_and_takes_part_in_nothing) {
  found_three(a, b, c);
  write_many(5);
  c.checkpoint();
  c.stop();
  for (const std::string& path : files_of(c, "state-")) {
    const Bytes bytes = content_of(path);
    for (uint64_t at = 0; at < bytes.size(); at += 4096) flip_byte(path, at + 40);
  }
  c.start();
  CHECK(c.node->standing() == Standing::kPoisoned);
  STRCMP_CONTAINS("term and vote cannot be read", c.node->status().fault.c_str());
  STRCMP_CONTAINS("let it join again", c.node->status().fault.c_str());
  LONGS_EQUAL(5, c.machine->commands().size());
  // It gives no vote: one of the others alone cannot lead.
  TestNode& leader = leader_of({&a, &b});
  TestNode& other = &leader == &a ? b : a;
  leader.kill();
  CHECK(eventually([&] { return other.node->standing() == Standing::kLeaderless; }));
  FAILS_WITH(Code::kNoQuorum, "", other.node->wait_leader(a_while()));
  leader.start();
  write_somewhere({&a, &b}, "without c");
}
