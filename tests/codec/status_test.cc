#include "codec/status.h"

#include <CppUTest/TestHarness.h>

#include <string>

using namespace dqlite;

TEST_GROUP(Status){};

TEST(Status, every_code_belongs_to_its_class) {
  CHECK(failure_class(Code::kOk) == FailureClass::kNone);
  for (Code code : {Code::kInvalid, Code::kRefused, Code::kNotFound, Code::kNotLeader}) {
    CHECK(failure_class(code) == FailureClass::kCaller);
  }
  for (Code code :
       {Code::kNoQuorum, Code::kBusy, Code::kTimeout, Code::kFull, Code::kNotCommitted, Code::kUnknown}) {
    CHECK(failure_class(code) == FailureClass::kTemporary);
  }
  for (Code code : {Code::kCorrupt, Code::kIo, Code::kUnsupported, Code::kPoisoned}) {
    CHECK(failure_class(code) == FailureClass::kFatal);
  }
}

TEST(Status, a_failure_seen_from_further_out_keeps_its_code_and_its_sentence) {
  const Status outer = Status(Code::kIo, "read failed").in("app.db");
  CHECK(outer.code() == Code::kIo);
  STRCMP_EQUAL("app.db: read failed", outer.sentence().c_str());
  CHECK(Status::ok().in("app.db").sentence().empty());
}

TEST(Status, a_result_is_a_value_or_the_reason_why_there_is_none) {
  Result<std::string> value = std::string("x");
  CHECK(value.is_ok());
  CHECK(value.status().is_ok());
  STRCMP_EQUAL("x", value->c_str());
  Result<std::string> failure = Status(Code::kBusy, "somebody else is at it");
  CHECK_FALSE(failure.is_ok());
  CHECK(failure.status().code() == Code::kBusy);
}
