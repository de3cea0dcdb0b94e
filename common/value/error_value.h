// An error as a value: what a failed task leaves in place of its results.
//
// Thread: any; plain data.
// See:    docs/wire.md, "Values".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class ErrorKind : uint8_t {
  kTaskFailed,         // the function threw
  kWorkerCrashed,      // the worker died and no retry was left
  kCancelled,          // by cancel, or because its session ended
  kTimedOut,           // ran longer than its timeout
  kUnschedulable,      // asks for more than the head has
  kFunctionNotFound,   // no such library or function
  kInvalidArguments,   // the arguments do not fit the function
  kObjectStoreFull,    // no room for a result
  kResourceExhausted,  // another bound of limits.h
  kObjectLost,         // nobody makes this object any more
  kActorDied,          // the actor that was called is dead, or died and is not started anew
  kActorUnavailable,   // the actor died while it had the call, and is being started anew
};

// "TASK_FAILED", ...; the names of the wire.
std::string_view ErrorKindName(ErrorKind kind);

struct ErrorInfo {
  ErrorKind kind = ErrorKind::kTaskFailed;
  std::string type;     // C++ type of the exception, for kTaskFailed
  std::string message;  // the exception's what(), or what happened
  std::string task;     // name of the task that failed first
  int64_t worker_pid = 0;
  std::vector<std::string> chain;  // tasks that failed because of it, nearest first
  std::string traceback;           // where it was thrown, for people, if the language tells
  std::string exception;  // the exception itself in its language's own encoding (Python: pickled)

  bool operator==(const ErrorInfo&) const = default;
};

// Returns: an encoded value of kind error.
std::string EncodeError(const ErrorInfo& error);

// Returns: the error in an encoded value; a kTaskFailed one that says so if it cannot be read (the
// bytes come from another process).
ErrorInfo DecodeError(std::string_view value);

// The error for people: kind, task, pid, message and the chain, several lines.
std::string FormatError(const ErrorInfo& error);

}  // namespace kiln
