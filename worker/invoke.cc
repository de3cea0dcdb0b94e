#include "worker/invoke.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdlib>
#include <typeinfo>

#include "kiln/detail/call.h"
#include "kiln/detail/task_scope.h"
#include "kiln/detail/value.h"
#include "kiln/error.h"
#include "worker/library.h"
#include "worker/registry.h"
#include "worker/stream.h"

namespace kiln::worker {
namespace {

std::string Demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 ? text : name;
  std::free(text);
  return result;
}

const std::string& TaskName(const Invocation& invocation) {
  return invocation.name.empty() ? invocation.function : invocation.name;
}

Outcome Failed(const Invocation& invocation, ErrorKind kind, std::string message,
               std::string type = {}) {
  ErrorInfo error;
  error.kind = kind;
  error.type = std::move(type);
  error.message = std::move(message);
  error.task = TaskName(invocation);
  error.worker_pid = ::getpid();
  bool retryable = kind != ErrorKind::kFunctionNotFound && kind != ErrorKind::kInvalidArguments &&
                   kind != ErrorKind::kCancelled;
  return {{}, std::move(error), retryable};
}

// What an error of kiln thrown by this task itself means.
ErrorKind KindOf(const Error& error) {
  if (dynamic_cast<const TaskCancelledError*>(&error)) return ErrorKind::kCancelled;
  if (dynamic_cast<const ObjectStoreFullError*>(&error)) return ErrorKind::kObjectStoreFull;
  if (dynamic_cast<const ResourceExhaustedError*>(&error)) return ErrorKind::kResourceExhausted;
  if (dynamic_cast<const ObjectLostError*>(&error)) return ErrorKind::kObjectLost;
  return ErrorKind::kTaskFailed;
}

Outcome FailedWith(const Invocation& invocation, const Error& error) {
  if (error.task().empty()) {
    ErrorKind kind = KindOf(error);
    return Failed(invocation, kind, error.message(),
                  kind == ErrorKind::kTaskFailed ? Demangle(typeid(error).name()) : "");
  }
  // Another task's failure that came up through this one.
  Outcome outcome{{}, *error.info(), /*retryable=*/true};
  outcome.error->chain.push_back(TaskName(invocation));
  return outcome;
}

Outcome FailedCall(const Invocation& invocation, const TaskFunction& task,
                   const detail::BadCall& bad) {
  std::string call = task.name + "(" + task.signature + ")";
  std::string where =
      bad.position == 0 ? call : "argument " + std::to_string(bad.position) + " of " + call;
  return Failed(invocation, ErrorKind::kInvalidArguments, where + ": " + bad.message);
}

Outcome Call(const Invocation& invocation, const TaskFunction& task, bool each) {
  try {
    std::vector<detail::Incoming> arguments;
    arguments.reserve(invocation.arguments.size());
    for (const auto& bytes : invocation.arguments) arguments.push_back(detail::ReadValue(bytes));
    return {task.invoker(task.function, arguments, invocation.num_returns, each), {}, false};
  } catch (const detail::BadCall& bad) {
    return FailedCall(invocation, task, bad);
  } catch (const Error& error) {
    return FailedWith(invocation, error);
  } catch (const std::exception& error) {
    return Failed(invocation, ErrorKind::kTaskFailed, error.what(), Demangle(typeid(error).name()));
  } catch (const abi::__forced_unwind&) {
    throw;  // the thread is being ended; not an exception of the function
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return Failed(invocation, ErrorKind::kTaskFailed, "threw something that is no std::exception",
                  type != nullptr ? Demangle(type->name()) : "unknown");
  }
}

}  // namespace

Outcome Invoke(const Invocation& invocation) {
  if (!invocation.keywords.empty()) {
    return Failed(invocation, ErrorKind::kInvalidArguments,
                  "a C++ function takes no keyword arguments, and was given " +
                      invocation.keywords.front() + "=");
  }
  if (!invocation.library.empty()) {
    Status loaded = LoadLibrary(invocation.library);
    if (!loaded.ok()) return Failed(invocation, ErrorKind::kFunctionNotFound, loaded.message());
  }
  std::string_view function = invocation.function;
  bool each = invocation.num_returns > 1;
  if (function.ends_with(detail::kEachSuffix)) {
    function.remove_suffix(detail::kEachSuffix.size());
    each = true;
  }
  Result<TaskFunction> task = FindTask(invocation.library, function);
  if (!task.ok()) {
    return Failed(invocation, ErrorKind::kFunctionNotFound, task.status().message());
  }
  detail::TaskScope scope(invocation.runtime, invocation.cancelled);
  StreamScope stream(invocation.stream);
  return Call(invocation, *task, each);
}

}  // namespace kiln::worker
