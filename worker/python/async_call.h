// A call of an async actor while it is under way: a coroutine around that of the method, which
// reports the call when the method has ended.
//
// So nothing but the asyncio.Task itself is needed for a call: no callback, which costs asyncio
// about as much as the task.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <cstdint>
#include <memory>

#include "worker/actor_calls.h"
#include "worker/invoke.h"

namespace kiln::python {

class ActorLoop;

struct AsyncCallObject {
  PyObject_HEAD;
  std::shared_ptr<worker::ActorCall> call;
  ActorLoop* loop;      // lives as long as the process
  PyObject* coroutine;  // of the method; null: not begun, or ended
  PyObject* task;       // of asyncio that runs it; as above
  int64_t repeats;      // how often it has run again because it raised

  const worker::Invocation& invocation() const { return call->invocation(); }
};

// Returns: a new reference; null with a Python error set.
AsyncCallObject* MakeAsyncCall(std::shared_ptr<worker::ActorCall> call, ActorLoop* loop);

// Returns: what is called, for as long as the object lives; null if it is no such object.
const worker::Invocation* InvocationOf(PyObject* object);

}  // namespace kiln::python
