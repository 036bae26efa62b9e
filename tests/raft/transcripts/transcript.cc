#include "tests/raft/transcripts/transcript.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/raft/transcripts/interpreter.h"

namespace dqlite::raft {

namespace {

const std::string kIndent = "  ";  // NOLINT: a string of the test program

// Both versions of the lines that differ, between those that agree.
std::string difference(const Lines& expected, const Lines& actual) {
  size_t head = 0;
  while (head < expected.size() && head < actual.size() && expected[head] == actual[head]) head++;
  size_t tail = 0;
  while (head + tail < expected.size() && head + tail < actual.size() &&
         expected[expected.size() - 1 - tail] == actual[actual.size() - 1 - tail]) {
    tail++;
  }
  std::string text;
  for (size_t i = 0; i < head; i++) text += "      " + expected[i] + "\n";
  for (size_t i = head; i < expected.size() - tail; i++) text += "    - " + expected[i] + "\n";
  for (size_t i = head; i < actual.size() - tail; i++) text += "    + " + actual[i] + "\n";
  for (size_t i = expected.size() - tail; i < expected.size(); i++) text += "      " + expected[i] + "\n";
  return text;
}

}  // namespace

Transcript Transcript::load(const std::string& path) {
  Transcript transcript;
  std::ifstream file(path);
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    number++;
    if (line.starts_with(kIndent)) {
      if (transcript.items_.empty()) transcript.items_.push_back({});
      transcript.items_.back().expected.push_back(line.substr(kIndent.size()));
    } else {
      transcript.items_.push_back({line, number, !line.empty() && line[0] != '#', {}, {}});
    }
  }
  return transcript;
}

std::string Transcript::run() {
  if (items_.empty()) return "the file is empty or missing\n";
  Interpreter interpreter;
  std::string differences;
  for (Item& item : items_) {
    item.actual = item.is_command ? interpreter.run(item.text) : Lines{};
    if (item.actual == item.expected) continue;
    differences += "line " + std::to_string(item.line) + ": " + item.text + "\n";
    differences += difference(item.expected, item.actual);
  }
  return differences;
}

std::string Transcript::rewritten() const {
  std::string text;
  for (const Item& item : items_) {
    text += item.text + "\n";
    for (const std::string& line : item.actual) text += kIndent + line + "\n";
  }
  return text;
}

std::vector<std::string> transcript_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(DQLITE_TRANSCRIPTS, ignored)) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string transcript_path(const std::string& name) {
  return std::string(DQLITE_TRANSCRIPTS) + "/" + name + ".txt";
}

}  // namespace dqlite::raft
