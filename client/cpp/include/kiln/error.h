// The exceptions of kiln.
//
//   Error
//   ├─ TaskError                the task threw
//   ├─ WorkerCrashedError       its worker died and no retry was left
//   ├─ TaskCancelledError       cancelled, or the session that submitted it ended
//   ├─ TaskTimeoutError         it ran longer than TaskOptions::timeout
//   ├─ TaskUnschedulableError   it asks for more than the head has
//   ├─ FunctionNotFoundError    the worker knows no such function
//   ├─ BadArgumentsError        the arguments do not fit the function
//   ├─ ObjectStoreFullError     no room for a value
//   ├─ ResourceExhaustedError   another bound was reached
//   ├─ ObjectLostError          nobody makes this object any more
//   ├─ TypeMismatchError        the object is not what Ref<T> says
//   ├─ GetTimeoutError          Get or Wait took longer than asked
//   ├─ ConnectionError          no head could be reached or started
//   └─ DisconnectedError        the head has gone
//
// `Get` throws the first ten for the task that failed first, however far away: when a task fails
// because an argument failed, task() names the one at fault and chain() those between.
//
// Thread: any; values.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace kiln {

struct ErrorInfo;

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message);
  explicit Error(std::shared_ptr<const ErrorInfo> info);

  // What happened, without the circumstances that what() adds.
  const std::string& message() const;
  // Name of the task that failed first; empty if this is not about a task.
  const std::string& task() const;
  // Process the task failed in; 0 if it never ran.
  int64_t worker_pid() const;
  // Tasks that failed because of it, nearest first.
  const std::vector<std::string>& chain() const;

  // Not part of the API: the error as data; never null.
  const std::shared_ptr<const ErrorInfo>& info() const { return info_; }

 private:
  std::shared_ptr<const ErrorInfo> info_;
};

class TaskError : public Error {
 public:
  using Error::Error;
  // C++ type of what was thrown: "std::out_of_range".
  const std::string& type() const;
};

class WorkerCrashedError : public Error {
 public:
  using Error::Error;
};
class TaskCancelledError : public Error {
 public:
  using Error::Error;
};
class TaskTimeoutError : public Error {
 public:
  using Error::Error;
};
class TaskUnschedulableError : public Error {
 public:
  using Error::Error;
};
class FunctionNotFoundError : public Error {
 public:
  using Error::Error;
};
class BadArgumentsError : public Error {
 public:
  using Error::Error;
};
class ObjectStoreFullError : public Error {
 public:
  using Error::Error;
};
class ResourceExhaustedError : public Error {
 public:
  using Error::Error;
};
class ObjectLostError : public Error {
 public:
  using Error::Error;
};
class TypeMismatchError : public Error {
 public:
  using Error::Error;
};
class GetTimeoutError : public Error {
 public:
  using Error::Error;
};
class ConnectionError : public Error {
 public:
  using Error::Error;
};
class DisconnectedError : public Error {
 public:
  using Error::Error;
};

}  // namespace kiln
