// A transcript: a text file of commands, and below each, indented, what is to happen. README.md describes the
// format. Reading and comparing; no member of a cluster in sight.
#pragma once

#include <string>
#include <vector>

namespace dqlite::raft {

class Transcript {
 public:
  // Empty content if there is no such file: a run then shows everything as missing.
  static Transcript load(const std::string& path);

  // Carries every command out, from the first. Empty if all happens as written, else what differs, with the
  // line of each command.
  std::string run();
  // The file with what happens now in the place of what was written. Comments stay.
  [[nodiscard]] std::string rewritten() const;

 private:
  struct Item {
    std::string text;  // a command, or a comment or an empty line, which `is_command` tells apart
    size_t line = 0;
    bool is_command = false;
    std::vector<std::string> expected;
    std::vector<std::string> actual;
  };
  std::vector<Item> items_;
};

// The names of the transcripts beside this file, without ".txt", ascending; and where one of them is.
std::vector<std::string> transcript_names();
std::string transcript_path(const std::string& name);

}  // namespace dqlite::raft
