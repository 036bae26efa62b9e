// The result of an operation that can fail: a code for the program and a sentence for the person.
//
// A sentence names the thing, what was expected, what was found and, for a caller's mistake, what to do.
// Three classes of failure are kept apart (see `failure_class`): the caller's mistake, a temporary state
// that a retry may find gone, and a fault after which the node must stop acknowledging ("poisoned").
// Values are plain data: any thread may make, copy and move them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace dqlite {

enum class Code : uint8_t {
  kOk,
  // The caller's mistake: the same call fails again until something is changed.
  kInvalid,    // a malformed address, parameter, name or call
  kRefused,    // well-formed, but not allowed in this state: the sentence says what to do instead
  kNotFound,   // no such file, member or database
  kNotLeader,  // only the leader can do this: ask `dqlite_leader()` and go there
  // Temporary: a later retry may succeed.
  kNoQuorum,      // no leader is known, nothing was started
  kBusy,          // somebody else is at it
  kTimeout,       // the time given was over; the outcome may be unknown, the sentence says so
  kFull,          // no space, found before anything was promised
  kNotCommitted,  // certainly had no effect
  kUnknown,       // may or may not have taken effect
  // Fatal to the node, or to one database of it.
  kCorrupt,      // bytes that must be right are not
  kIo,           // the operating system refused to read, write or sync
  kUnsupported,  // a format, entry or message of a version this build does not know
  kPoisoned,     // the node stopped acknowledging because of an earlier fault, named in the sentence
};

enum class FailureClass : uint8_t { kNone, kCaller, kTemporary, kFatal };

constexpr FailureClass failure_class(Code code) {
  if (code == Code::kOk) return FailureClass::kNone;
  if (code <= Code::kNotLeader) return FailureClass::kCaller;
  if (code <= Code::kUnknown) return FailureClass::kTemporary;
  return FailureClass::kFatal;
}

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string sentence) : code_(code), sentence_(std::move(sentence)) {}

  static Status ok() { return {}; }

  [[nodiscard]] bool is_ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return is_ok(); }
  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& sentence() const { return sentence_; }

  // The same failure, seen from further out: "<context>: <sentence>".
  [[nodiscard]] Status in(const std::string& context) const {
    return is_ok() ? *this : Status(code_, context + ": " + sentence_);
  }

 private:
  Code code_ = Code::kOk;
  std::string sentence_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::move(value)) {}         // NOLINT: implicit on purpose
  Result(Status status) : content_(std::move(status)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool is_ok() const { return std::holds_alternative<T>(content_); }
  explicit operator bool() const { return is_ok(); }
  [[nodiscard]] Status status() const { return is_ok() ? Status::ok() : std::get<Status>(content_); }
  T& value() { return std::get<T>(content_); }
  const T& value() const { return std::get<T>(content_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> content_;
};

}  // namespace dqlite
