#include "worker/user_code.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdlib>
#include <typeinfo>

#include "kiln/detail/call.h"
#include "kiln/detail/task_scope.h"
#include "kiln/error.h"

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

}  // namespace

Outcome Failed(const Invocation& invocation, ErrorKind kind, std::string message,
               std::string type) {
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

namespace {

// What an error of kiln thrown by this task itself means.
ErrorKind KindOf(const Error& error) {
  if (dynamic_cast<const TaskCancelledError*>(&error)) return ErrorKind::kCancelled;
  if (dynamic_cast<const ObjectStoreFullError*>(&error)) return ErrorKind::kObjectStoreFull;
  if (dynamic_cast<const ResourceExhaustedError*>(&error)) return ErrorKind::kResourceExhausted;
  if (dynamic_cast<const ObjectLostError*>(&error)) return ErrorKind::kObjectLost;
  if (dynamic_cast<const ActorDiedError*>(&error)) return ErrorKind::kActorDied;
  if (dynamic_cast<const ActorUnavailableError*>(&error)) return ErrorKind::kActorUnavailable;
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

Outcome FailedCall(const Invocation& invocation, const Signature& callee,
                   const detail::BadCall& bad) {
  std::string call(callee.class_name);
  if (!call.empty()) call += '.';
  call.append(callee.name).append("(").append(callee.parameters).append(")");
  std::string where =
      bad.position == 0 ? call : "argument " + std::to_string(bad.position) + " of " + call;
  return Failed(invocation, ErrorKind::kInvalidArguments, where + ": " + bad.message);
}

}  // namespace

std::vector<detail::Incoming> ReadArguments(const Invocation& invocation) {
  std::vector<detail::Incoming> arguments;
  arguments.reserve(invocation.arguments.size());
  for (const auto& bytes : invocation.arguments) arguments.push_back(detail::ReadValue(bytes));
  return arguments;
}

Target TargetOf(const Invocation& invocation) {
  Target target{invocation.function, invocation.num_returns > 1};
  if (target.name.ends_with(detail::kEachSuffix)) {
    target.name.remove_suffix(detail::kEachSuffix.size());
    target.each = true;
  }
  return target;
}

Outcome RunUserCode(const Invocation& invocation, const Signature& callee,
                    const std::function<std::vector<std::shared_ptr<value::Parts>>()>& body) {
  try {
    return {body(), {}, false};
  } catch (const detail::BadCall& bad) {
    return FailedCall(invocation, callee, bad);
  } catch (const Error& error) {
    return FailedWith(invocation, error);
  } catch (const std::exception& error) {
    return Failed(invocation, ErrorKind::kTaskFailed, error.what(), Demangle(typeid(error).name()));
  } catch (const detail::ActorExit&) {
    Outcome outcome = Failed(invocation, ErrorKind::kActorDied, "the actor has ended itself");
    outcome.retryable = false;
    outcome.actor_exits = true;
    return outcome;
  } catch (const abi::__forced_unwind&) {
    throw;  // the thread is being ended; not an exception of the function
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return Failed(invocation, ErrorKind::kTaskFailed, "threw something that is no std::exception",
                  type != nullptr ? Demangle(type->name()) : "unknown");
  }
}

}  // namespace kiln::worker
