// What a task knows of the worker it runs in: thread-local, set around each call of a function.
//
// Not part of the API. Thread: each thread has its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "kiln/detail/runtime.h"

namespace kiln::detail {

// The actor that a process is.
struct ActorContext {
  Id id = 0;
  uint32_t restarts = 0;
};

// Thrown by ExitActor. No std::exception, so that handlers of those let it pass.
struct ActorExit {};

// While it lives, this thread runs a task. Scopes nest: a task blocked in Get may run another on
// its stack.
class TaskScope {
 public:
  // `cancelled`: set from any thread to ask the task to stop; null: it cannot be asked. `actor`:
  // whose call it is; null: no actor's. Both outlive the scope.
  TaskScope(std::shared_ptr<Runtime> runtime, const std::atomic<bool>* cancelled,
            const ActorContext* actor = nullptr);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

 private:
  std::shared_ptr<Runtime> outer_runtime_;
  const std::atomic<bool>* outer_cancelled_;
  const ActorContext* outer_actor_;
};

// The token of the innermost task on this thread; null outside of a task.
const std::atomic<bool>* CurrentCancelToken();
// The actor whose call the innermost task on this thread is. Throws: std::logic_error (none).
const ActorContext& CurrentActorContext();

}  // namespace kiln::detail
