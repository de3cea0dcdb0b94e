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
//   │  └─ PendingCallsLimitError   ActorOptions::max_pending_calls was
//   ├─ ObjectLostError          nobody makes this object any more
//   ├─ ActorError               the actor that was called
//   │  ├─ ActorDiedError           is dead
//   │  └─ ActorUnavailableError    died in the call, and is being started anew
//   ├─ ActorNotFoundError       no actor has this name
//   ├─ NameTakenError           an actor has this name
//   ├─ TypeMismatchError        the object is not what Ref<T> says
//   ├─ GetTimeoutError          Get or Wait took longer than asked
//   ├─ ConnectionError          no head could be reached or started
//   └─ DisconnectedError        the head has gone
//
// `Get` throws those down to ActorError for the task that failed first, however far away: when a
// task fails because an argument failed, task() names the one at fault and chain() those between.
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
// The call was not queued: some of those before it must end first.
class PendingCallsLimitError : public ResourceExhaustedError {
 public:
  using ResourceExhaustedError::ResourceExhaustedError;
};
class ObjectLostError : public Error {
 public:
  using Error::Error;
};
class ActorError : public Error {
 public:
  using Error::Error;
};
// The message has the reason: how its process ended, or what its constructor threw. If it died
// while it had the call, the call may have run.
class ActorDiedError : public ActorError {
 public:
  using ActorError::ActorError;
};
// The call may have run. Calls that are submitted later go to the actor as it is made anew.
class ActorUnavailableError : public ActorError {
 public:
  using ActorError::ActorError;
};
class ActorNotFoundError : public Error {
 public:
  using Error::Error;
};
class NameTakenError : public Error {
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
