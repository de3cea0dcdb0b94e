// What a task knows of the worker it runs in: thread-local, set around each call of a function.
//
// Not part of the API. Thread: each thread has its own.
#pragma once

#include <atomic>
#include <memory>

#include "kiln/detail/runtime.h"

namespace kiln::detail {

// While it lives, this thread runs a task. Scopes nest: a task blocked in Get may run another on
// its stack.
class TaskScope {
 public:
  // `cancelled`: set from any thread to ask the task to stop; null: it cannot be asked. Both
  // outlive the scope.
  TaskScope(std::shared_ptr<Runtime> runtime, const std::atomic<bool>* cancelled);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

 private:
  std::shared_ptr<Runtime> outer_runtime_;
  const std::atomic<bool>* outer_cancelled_;
};

// The token of the innermost task on this thread; null outside of a task.
const std::atomic<bool>* CurrentCancelToken();

}  // namespace kiln::detail
