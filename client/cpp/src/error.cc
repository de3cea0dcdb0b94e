#include "kiln/error.h"

#include "client/cpp/src/throw_error.h"
#include "common/value/error_value.h"

namespace kiln {

Error::Error(const std::string& message) : std::runtime_error(message) {
  ErrorInfo info;
  info.message = message;
  info_ = std::make_shared<const ErrorInfo>(std::move(info));
}

Error::Error(std::shared_ptr<const ErrorInfo> info)
    : std::runtime_error(FormatError(*info)), info_(std::move(info)) {}

const std::string& Error::message() const {
  return info_->message;
}
const std::string& Error::task() const {
  return info_->task;
}
int64_t Error::worker_pid() const {
  return info_->worker_pid;
}
const std::vector<std::string>& Error::chain() const {
  return info_->chain;
}
const std::string& TaskError::type() const {
  return info()->type;
}

void ThrowError(const ErrorInfo& error) {
  auto info = std::make_shared<const ErrorInfo>(error);
  switch (error.kind) {
    case ErrorKind::kTaskFailed:
      break;
    case ErrorKind::kWorkerCrashed:
      throw WorkerCrashedError(std::move(info));
    case ErrorKind::kCancelled:
      throw TaskCancelledError(std::move(info));
    case ErrorKind::kTimedOut:
      throw TaskTimeoutError(std::move(info));
    case ErrorKind::kUnschedulable:
      throw TaskUnschedulableError(std::move(info));
    case ErrorKind::kFunctionNotFound:
      throw FunctionNotFoundError(std::move(info));
    case ErrorKind::kInvalidArguments:
      throw BadArgumentsError(std::move(info));
    case ErrorKind::kObjectStoreFull:
      throw ObjectStoreFullError(std::move(info));
    case ErrorKind::kResourceExhausted:
      throw ResourceExhaustedError(std::move(info));
    case ErrorKind::kObjectLost:
      throw ObjectLostError(std::move(info));
    case ErrorKind::kActorDied:
      throw ActorDiedError(std::move(info));
    case ErrorKind::kActorUnavailable:
      throw ActorUnavailableError(std::move(info));
  }
  throw TaskError(std::move(info));
}

}  // namespace kiln
