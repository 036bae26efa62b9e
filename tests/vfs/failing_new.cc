#include "tests/vfs/failing_new.h"

#include <CppUTest/PlatformSpecificFunctions.h>

#include <cstdlib>

namespace dqlite::vfs::test {
namespace {

thread_local int allocations_left = -1;
thread_local bool failed = false;

}  // namespace

bool new_has_failed() {
  return failed;
}

UncountedNew::UncountedNew() : saved_(allocations_left) {
  allocations_left = -1;
}

UncountedNew::~UncountedNew() {
  allocations_left = saved_;
}

namespace {

void* allocate(std::size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) {
    failed = true;
    return nullptr;  // CppUTest's operator new throws
  }
  return std::malloc(size);
}

}  // namespace

void fail_new_after(int count) {
  // CppUTest brings operator new with it, and asks here.
  PlatformSpecificMalloc = allocate;
  allocations_left = count;
  failed = false;
}

}  // namespace dqlite::vfs::test
