// libuv closes descriptors by a system call that the thread sanitizer does not see, so a number that is used
// again for another file looks like a race with its former owner.
#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libuv.so\n";
}
#endif
