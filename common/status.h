// What went wrong, for callers that must act on it: a code and a sentence.
//
// Codes are gRPC's canonical ones, so that an adapter passes them on unchanged. Errors of user code
// are not statuses but values (common/value/error_value.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace kiln {

// Numbers are gRPC's.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

class [[nodiscard]] Status {
 public:
  // Success.
  Status() = default;
  // Requires: code is not kOk. `message` says what failed, with which value, and what to do next.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value or the status that stands in its place.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : held_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return held_.index() == 0; }
  // Requires: !ok().
  const Status& status() const { return std::get<1>(held_); }
  // Requires: ok().
  T& value() & { return std::get<0>(held_); }
  const T& value() const& { return std::get<0>(held_); }
  T&& value() && { return std::get<0>(std::move(held_)); }
  T* operator->() { return &value(); }
  T& operator*() { return value(); }

 private:
  std::variant<T, Status> held_;
};

}  // namespace kiln
