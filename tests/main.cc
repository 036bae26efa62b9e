// The main function of every test program of this folder: CppUTest's own runner.
#include <CppUTest/CommandLineTestRunner.h>

int main(int argc, char** argv) {
  // Other threads allocate while a test runs, so CppUTest's leak detection would blame the wrong test; the
  // address sanitizer build looks for leaks instead.
  MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
  return CommandLineTestRunner::RunAllTests(argc, argv);
}
