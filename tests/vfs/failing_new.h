// Operator new of this test program, which can be made to fail on one thread.
#pragma once

namespace dqlite::vfs::test {

// The allocation after `count` more on this thread throws std::bad_alloc, once; negative: none does.
void fail_new_after(int count);
// True if one failed since the last `fail_new_after`.
bool new_has_failed();

// What a test's own machinery allocates meanwhile does not count.
class UncountedNew {
 public:
  UncountedNew();
  ~UncountedNew();
  UncountedNew(const UncountedNew&) = delete;

 private:
  int saved_;
};

}  // namespace dqlite::vfs::test
