// CppUTest, and checks on a Status, for the tests of this folder.
//
// CppUTest redefines `new`, which breaks standard headers that come after it: so they come first, here.
#pragma once

// clang-format off
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/raft/log/log_fixture.h"
#include "tests/lib/temporary_directory.h"

#include <CppUTest/TestHarness.h>
// clang-format on

// The call works; else its sentence is the message.
#define OK(expression)                                                 \
  do {                                                                 \
    dqlite::Status status_of_it = (expression);                        \
    CHECK_TEXT(status_of_it.is_ok(), status_of_it.sentence().c_str()); \
  } while (false)

// The call fails with this code, and its sentence says `words`.
#define FAILS(expected_code, words, expression)                                                \
  do {                                                                                         \
    dqlite::Status status_of_it = (expression);                                                \
    LONGS_EQUAL_TEXT(static_cast<long>(expected_code), static_cast<long>(status_of_it.code()), \
                     status_of_it.sentence().c_str());                                         \
    STRCMP_CONTAINS(words, status_of_it.sentence().c_str());                                   \
  } while (false)

// In a test with a LogFixture named `node`.
#define OPENS(expression) CHECK_TEXT((expression), node.failure.c_str())
#define LOG_IS(expected) STRCMP_EQUAL(expected, node.text().c_str())
