// libuv closes descriptors by a system call that the thread sanitizer does not see, so a number that is used
// again for another file looks like a race with its former owner.
#include "tests/lib/sanitizers.h"

#if defined(DQLITE_THREAD_SANITIZER)
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libuv.so\n";
}
#endif
