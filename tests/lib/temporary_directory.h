// A new empty directory, removed with all its content at the end of the test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace dqlite {

class TemporaryDirectory {
 public:
  enum class Place {
    kDisk,    // a real file system, with real syncs
    kMemory,  // in memory where there is such a place: for tests whose syncs would take most of the time
  };

  explicit TemporaryDirectory(Place place = Place::kDisk) {
    std::error_code none;
    std::filesystem::path base("/dev/shm");
    if (place == Place::kDisk || !std::filesystem::is_directory(base, none)) {
      base = std::filesystem::temp_directory_path();
    }
    std::string pattern = (base / "dqlite-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace dqlite
