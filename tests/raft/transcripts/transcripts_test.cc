// Every transcript of this folder is a test of its own, named after its file. `tests/raft/transcripts/rewrite`
// writes what happens now into the files instead.
#include <CppUTest/TestHarness.h>
#include <CppUTest/TestRegistry.h>

#include <cstdlib>
#include <fstream>

#include "tests/raft/transcripts/transcript.h"

namespace dqlite::raft {

namespace {

class TranscriptTest : public Utest {
 public:
  explicit TranscriptTest(std::string name) : name_(std::move(name)) {}

  void testBody() override {
    const std::string path = transcript_path(name_);
    Transcript transcript = Transcript::load(path);
    const std::string differences = transcript.run();
    if (std::getenv("DQLITE_REWRITE_TRANSCRIPTS") != nullptr) {
      std::ofstream(path) << transcript.rewritten();
    } else if (!differences.empty()) {
      FAIL((path + ": what was written (-) and what happens (+)\n" + differences).c_str());
    }
  }

 private:
  std::string name_;
};

// What CppUTest's macro TEST declares for each test; here as many as there are files.
class TranscriptShell : public UtestShell {
 public:
  explicit TranscriptShell(std::string name) : name_(std::move(name)) {
    setGroupName("Transcripts");
    setTestName(name_.c_str());
    setFileName(__FILE__);
    setLineNumber(__LINE__);
  }
  Utest* createTest() override { return new TranscriptTest(name_); }

 private:
  std::string name_;
};

const bool kAdded = [] {
  const auto names = transcript_names();
  // The registry keeps them for the life of the program, the last one added in front.
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    TestRegistry::getCurrentRegistry()->addTest(new TranscriptShell(*name));
  }
  return !names.empty();
}();

}  // namespace

TEST_GROUP(TranscriptFiles){};

TEST(TranscriptFiles, are_found) {
  CHECK_TRUE(kAdded);
}

TEST(TranscriptFiles, a_difference_is_told_with_the_line_of_its_command) {
  Transcript missing = Transcript::load(transcript_path("no such file"));
  CHECK(!missing.run().empty());
}

}  // namespace dqlite::raft
