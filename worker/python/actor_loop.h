// The event loop of an async actor: takes its calls, begins as many as its groups allow, and
// reports each when it has ended.
//
// One callback of asyncio takes all calls that wait. A coroutine becomes an asyncio.Task around an
// AsyncCallObject, which says when it has ended; a plain method runs at once. No Python of ours
// runs for a call.
//
// Thread: its own, with the GIL.
// Owner:  RunPythonWorker; lives until the process ends.
// See:    worker/python/async_actor.py for the half that is written in Python.
#pragma once

#include <Python.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "worker/actor_calls.h"
#include "worker/python/async_call.h"
#include "worker/python/python_functions.h"

namespace kiln::python {

class ActorLoop {
 public:
  ActorLoop(PythonFunctions* functions, worker::ActorCalls* calls)
      : functions_(functions), calls_(calls) {}
  ActorLoop(const ActorLoop&) = delete;
  ActorLoop& operator=(const ActorLoop&) = delete;

  // Requires: the GIL is not held; the actor was constructed. Does not return.
  void Run();

  // The call's method has ended. `result` is taken over; null: a Python error is set. Forgets the
  // call, unless it runs again.
  void End(AsyncCallObject* call, PyObject* result);
  const Outcomes& outcomes() const { return functions_->outcomes(); }

 private:
  struct Group {
    uint32_t most = 1;
    uint32_t running = 0;
    std::deque<AsyncCallObject*> waiting;  // owned
  };

  // For Python: the descriptor is readable; groups have room again.
  static PyObject* OnReadable(PyObject* self, PyObject*);
  static PyObject* OnRoom(PyObject* self, PyObject*);
  // Returns: false with a Python error set.
  bool Prepare(PyObject* module);
  void TakeCalls();
  // Begins what waits in the groups that have room.
  void StartCalls();
  void Start(AsyncCallObject* call);
  bool RunInTask(AsyncCallObject* call, PyObject* coroutine);
  // Has StartCalls called once the running step of asyncio is over: it belongs to another call.
  void StartCallsSoon();
  // A call that raised what is worth another attempt, and has one left.
  bool MayRepeat(AsyncCallObject& call, const worker::Outcome& outcome);
  void Cancel(TaskId id);
  Group& GroupOf(const AsyncCallObject& call);

  PythonFunctions* const functions_;
  worker::ActorCalls* const calls_;
  PyObject* loop_ = nullptr;  // of asyncio; constant once running, as the next
  PyObject* task_type_ = nullptr;
  PyObject* task_options_ = nullptr;     // ("loop", "name")
  PyObject* stream_ = nullptr;           // kiln.worker.async_actor.stream
  PyObject* call_on_room_ = nullptr;     // loop_.call_soon(OnRoom), outside of what calls have set
  bool starting_ = false;                // StartCalls is at work
  bool starts_soon_ = false;             // StartCallsSoon was called
  std::map<std::string, Group> groups_;  // by name; constant but for what is in them
  std::unordered_map<TaskId, AsyncCallObject*> under_way_;  // taken and not reported; owned
};

}  // namespace kiln::python
