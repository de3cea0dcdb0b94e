#include "worker/invoke.h"

#include <functional>

#include "kiln/detail/task_scope.h"
#include "worker/actor_instance.h"
#include "worker/library.h"
#include "worker/registry.h"
#include "worker/stream.h"
#include "worker/user_code.h"

namespace kiln::worker {

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
  if (invocation.callee != Callee::kFunction) return TheActorInstance().Invoke(invocation);
  const Target target = TargetOf(invocation);
  Result<TaskFunction> task = FindTask(invocation.library, target.name);
  if (!task.ok()) {
    return Failed(invocation, ErrorKind::kFunctionNotFound, task.status().message());
  }
  detail::TaskScope scope(invocation.runtime, invocation.cancelled);
  StreamScope stream(invocation.stream);
  const auto call = [&] {
    return task->invoker(task->function, ReadArguments(invocation), invocation.num_returns,
                         target.each);
  };
  return RunUserCode(invocation, {"", task->name, task->signature}, std::ref(call));
}

}  // namespace kiln::worker
