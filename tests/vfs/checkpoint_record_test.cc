#include "vfs/checkpoint_record.h"

#include "codec/checksum.h"
#include "tests/vfs/database_image.h"
#include "tests/vfs/fault_files.h"

// Last: it redefines `new`.
#include <CppUTest/TestHarness.h>

using namespace dqlite;
using namespace dqlite::vfs;

namespace {

CheckpointRecord example() {
  CheckpointRecord record;
  record.database = 7;
  record.name = "app.db";
  record.page_size = 4096;
  record.page_count = 3;
  record.index = 9;
  record.term = 2;
  record.checksum = 0x1122334455667788;
  return record;
}

}  // namespace

TEST_GROUP(CheckpointRecord){};

TEST(CheckpointRecord, the_example_in_the_header_is_what_is_written) {
  Bytes bytes = encode_record(example());
  const uint8_t expected[] = {0x64, 0x71, 0x6c, 0x69, 0x74, 0x65, 0x52, 0x31, 0x36, 0,   0, 0,
                              1,    0,    0,    0,    7,    0,    0,    0,    0,    0,   0, 0,
                              6,    0,    0,    0,    0x61, 0x70, 0x70, 0x2e, 0x64, 0x62};
  CHECK_TRUE(bytes.size() > sizeof expected);
  MEMCMP_EQUAL(expected, bytes.data(), sizeof expected);
}

TEST(CheckpointRecord, reads_back_what_was_written) {
  auto record = decode_record(encode_record(example()));
  CHECK_TRUE(record.is_ok());
  CHECK_EQUAL(7U, record->database);
  STRCMP_EQUAL("app.db", record->name.c_str());
  CHECK_EQUAL(4096U, record->page_size);
  CHECK_EQUAL(3U, record->page_count);
  CHECK_EQUAL(9U, record->index);
  CHECK_EQUAL(2U, record->term);
  CHECK_EQUAL(0x1122334455667788U, record->checksum);
}

TEST(CheckpointRecord, a_flipped_bit_or_a_missing_byte_anywhere_is_corrupt) {
  const Bytes whole = encode_record(example());
  for (size_t i = 0; i < whole.size(); i++) {
    Bytes bytes = whole;
    bytes[i] ^= 0x10;
    LONGS_EQUAL(static_cast<int>(Code::kCorrupt), static_cast<int>(decode_record(bytes).status().code()));
    bytes = whole;
    bytes.resize(i);
    LONGS_EQUAL(static_cast<int>(Code::kCorrupt), static_cast<int>(decode_record(bytes).status().code()));
  }
}

TEST(CheckpointRecord, B16_a_record_of_a_later_version_is_unsupported_and_not_skipped) {
  Bytes bytes = encode_record(example());
  bytes[12] = 2;
  bytes.resize(bytes.size() - 8);
  codec::Writer(bytes).u64(codec::checksum(bytes));
  auto record = decode_record(bytes);
  LONGS_EQUAL(static_cast<int>(Code::kUnsupported), static_cast<int>(record.status().code()));
  STRCMP_CONTAINS("version 2", record.status().sentence().c_str());

  FaultDisk disk;
  disk.put("/node/db-7.a", bytes);
  FaultFiles files(disk);
  LONGS_EQUAL(static_cast<int>(Code::kUnsupported),
              static_cast<int>(RecordStore(files, "/node", 7).load().status().code()));
}

TEST(CheckpointRecord, the_end_belongs_to_one_record) {
  FileStamp stamp{1, 2, 3, 4};
  Bytes bytes = encode_end(example(), stamp);
  CHECK_TRUE(decode_end(example(), bytes) == stamp);
  CheckpointRecord another = example();
  another.checksum++;
  CHECK_FALSE(decode_end(another, bytes).has_value());
  bytes[20] ^= 1;
  CHECK_FALSE(decode_end(example(), bytes).has_value());
}

TEST(CheckpointRecord, the_mark_of_a_repair_takes_the_place_of_the_end) {
  FaultDisk disk;
  FaultFiles files(disk);
  RecordStore store(files, "/node", 7);
  CHECK_TRUE(store.write(RecordSlot::kA, example()).is_ok());
  CHECK_TRUE(store.write_end(RecordSlot::kA, example(), FileStamp{1, 2, 3, 4}).is_ok());
  CHECK_FALSE(store.load()->whole[0].is_in_repair);
  CHECK_TRUE(store.mark_repair(RecordSlot::kA, example()).is_ok());
  CHECK_TRUE(store.load()->whole[0].is_in_repair);
  CHECK_FALSE(store.load()->whole[0].end.has_value());
  CHECK_TRUE(store.write_end(RecordSlot::kA, example(), FileStamp{1, 2, 3, 4}).is_ok());
  CHECK_FALSE(store.load()->whole[0].is_in_repair);
  CHECK_TRUE(store.load()->whole[0].end.has_value());
  CheckpointRecord another = example();
  another.checksum++;
  CHECK_FALSE(is_repair_mark(another, encode_repair_mark(example())));
}

TEST(CheckpointRecord, two_slots_hold_two_records_older_first) {
  FaultDisk disk;
  FaultFiles files(disk);
  RecordStore store(files, "/node", 7);
  CheckpointRecord older = example(), newer = example();
  newer.index = 12;
  CHECK_TRUE(store.write(RecordSlot::kA, newer).is_ok());
  CHECK_TRUE(store.write(RecordSlot::kB, older).is_ok());
  CHECK_TRUE(store.write_end(RecordSlot::kA, newer, FileStamp{1, 2, 3, 4}).is_ok());
  auto found = store.load();
  CHECK_TRUE(found.is_ok());
  CHECK_EQUAL(2U, found->whole.size());
  CHECK_EQUAL(9U, found->whole[0].record.index);
  CHECK_FALSE(found->whole[0].end.has_value());
  CHECK_EQUAL(12U, found->whole[1].record.index);
  CHECK_TRUE(found->whole[1].end.has_value());
}

TEST(CheckpointRecord, the_list_names_each_database_once_and_nothing_else) {
  FaultDisk disk;
  FaultFiles files(disk);
  for (const char* name :
       {"db-7.a", "db-7.b", "db-123.b", "db-5.new", "db-7.sums", "db-.a", "db-x.a", "lock"}) {
    disk.put(std::string("/node/") + name, {});
  }
  auto ids = RecordStore::list(files, "/node");
  CHECK_TRUE(ids.is_ok());
  CHECK_TRUE(*ids == std::vector<uint64_t>({7, 123}));
}

TEST(CheckpointRecord, a_record_in_the_file_of_another_database_is_damage) {
  FaultDisk disk;
  FaultFiles files(disk);
  disk.put("/node/db-8.a", encode_record(example()));
  auto found = RecordStore(files, "/node", 8).load();
  CHECK_TRUE(found.is_ok());
  CHECK_TRUE(found->whole.empty());
  STRCMP_CONTAINS("speaks of database 7", found->damage.c_str());
}

TEST(CheckpointRecord, a_name_longer_than_a_record_is_invalid) {
  FaultDisk disk;
  FaultFiles files(disk);
  CheckpointRecord record = example();
  record.name.assign(5000, 'x');
  LONGS_EQUAL(static_cast<int>(Code::kInvalid),
              static_cast<int>(RecordStore(files, "/node", 7).write(RecordSlot::kA, record).code()));
}
