// Which task or call the running Python code belongs to, as `kiln.get_runtime_context` shows it.
//
// On a thread that runs tasks it is the innermost one on the stack. In an event loop calls overlap
// on one thread: there it is in Python's context, which each asyncio.Task has a copy of.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include "worker/invoke.h"

namespace kiln::python {

// While it lives, this thread runs that task. Nests.
class TaskScope {
 public:
  explicit TaskScope(const worker::Invocation& invocation);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

 private:
  friend bool TakeInterrupt();
  friend const worker::Invocation* CurrentInvocation();

  const worker::Invocation& invocation_;
  TaskScope* const outer_;
  bool interrupted_ = false;  // KeyboardInterrupt was raised in it
};

// Returns: null outside of a task.
const worker::Invocation* CurrentInvocation();

// True once for each task that was cancelled: KeyboardInterrupt is to be raised in it now. Never
// for actors, whose methods look for themselves.
bool TakeInterrupt();

// The call that code of an event loop belongs to from now on; null: none. Tasks of asyncio that are
// made meanwhile belong to it for good. Returns: false with a Python error set.
bool SetCallOfContext(PyObject* call);

}  // namespace kiln::python
