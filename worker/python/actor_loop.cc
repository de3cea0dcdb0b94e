#include "worker/python/actor_loop.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "client/python/src/gil.h"
#include "client/python/src/session.h"
#include "worker/python/current_task.h"

namespace kiln::python {
namespace {

// What an exception that reaches nobody says on standard error.
void Report() {
  if (PyErr_Occurred()) PyErr_Print();
}

}  // namespace

bool ActorLoop::Prepare(PyObject* module) {
  PyObject* bounds = PyObject_CallMethod(module, "bounds", nullptr);
  if (!bounds) return false;
  PyObject *name, *most;
  for (Py_ssize_t at = 0; PyDict_Next(bounds, &at, &name, &most);) {
    groups_[PyUnicode_AsUTF8(name)].most = static_cast<uint32_t>(PyLong_AsUnsignedLong(most));
  }
  Py_DECREF(bounds);
  loop_ = PyObject_CallMethod(module, "loop", nullptr);
  task_type_ = PyObject_GetAttrString(module, "Task");
  stream_ = PyObject_GetAttrString(module, "stream");
  task_options_ = Py_BuildValue("(ss)", "loop", "name");
  return loop_ && task_type_ && stream_ && task_options_;
}

void ActorLoop::Run() {
  WithGil gil;
  static PyMethodDef on_readable = {"on_readable", OnReadable, METH_NOARGS, nullptr};
  static PyMethodDef on_room = {"on_room", OnRoom, METH_NOARGS, nullptr};
  PyObject* module = PyImport_ImportModule("kiln.worker.async_actor");
  PyObject* self = PyCapsule_New(this, nullptr, nullptr);
  if (module && self && Prepare(module)) {
    call_on_room_ =
        PyObject_CallMethod(module, "caller_soon", "N", PyCFunction_New(&on_room, self));
    PyObject* callback = PyCFunction_New(&on_readable, self);
    PyObject* ended = PyObject_CallMethod(module, "serve", "iO", calls_->fd(), callback);
    Py_XDECREF(ended);
  }
  Report();
}

PyObject* ActorLoop::OnReadable(PyObject* self, PyObject*) {
  static_cast<ActorLoop*>(PyCapsule_GetPointer(self, nullptr))->TakeCalls();
  Py_RETURN_NONE;
}

PyObject* ActorLoop::OnRoom(PyObject* self, PyObject*) {
  auto* loop = static_cast<ActorLoop*>(PyCapsule_GetPointer(self, nullptr));
  loop->starts_soon_ = false;
  loop->StartCalls();
  Py_RETURN_NONE;
}

ActorLoop::Group& ActorLoop::GroupOf(const AsyncCallObject& call) {
  auto found = groups_.find(call.call->concurrency_group());
  return found == groups_.end() ? groups_[""] : found->second;
}

void ActorLoop::TakeCalls() {
  for (std::shared_ptr<worker::ActorCall>& taken : calls_->Take()) {
    const TaskId id = taken->invocation().task;
    AsyncCallObject* call = MakeAsyncCall(std::move(taken), this);
    if (!call) return Report();  // no memory
    under_way_[id] = call;
    GroupOf(*call).waiting.push_back(call);
  }
  StartCalls();
  for (TaskId id : calls_->TakeCancelled()) Cancel(id);
  if (calls_->over()) {
    PyObject* removed = PyObject_CallMethod(loop_, "remove_reader", "i", calls_->fd());
    Report();
    Py_XDECREF(removed);
  }
}

void ActorLoop::StartCalls() {
  starting_ = true;
  for (auto& [name, group] : groups_) {
    while (group.running < group.most && !group.waiting.empty()) {
      AsyncCallObject* call = group.waiting.front();
      group.waiting.pop_front();
      ++group.running;
      Start(call);
    }
  }
  SetCallOfContext(nullptr);
  starting_ = false;
}

void ActorLoop::StartCallsSoon() {
  if (starting_ || starts_soon_) return;
  starts_soon_ = true;
  PyObject* handle = PyObject_CallNoArgs(call_on_room_);
  Report();
  Py_XDECREF(handle);
}

void ActorLoop::Start(AsyncCallObject* call) {
  auto* object = reinterpret_cast<PyObject*>(call);
  const worker::Invocation& invocation = call->invocation();
  PyObject* result = SetCallOfContext(object) ? functions_->CallMethod(invocation) : nullptr;
  if (result && invocation.stream) {
    Py_SETREF(result, PyObject_CallFunctionObjArgs(stream_, object, result, nullptr));
  }
  if (!result || !PyCoro_CheckExact(result)) return End(call, result);
  if (!RunInTask(call, result)) End(call, nullptr);
}

// The coroutine is taken over. Returns: false with a Python error set.
bool ActorLoop::RunInTask(AsyncCallObject* call, PyObject* coroutine) {
  PyObject* name = PyUnicode_FromString(call->invocation().name.c_str());
  call->coroutine = coroutine;
  PyObject* const arguments[] = {nullptr, reinterpret_cast<PyObject*>(call), loop_, name};
  call->task = name ? PyObject_Vectorcall(task_type_, arguments + 1,
                                          1 | PY_VECTORCALL_ARGUMENTS_OFFSET, task_options_)
                    : nullptr;
  Py_XDECREF(name);
  if (!call->task) Py_CLEAR(call->coroutine);
  return call->task != nullptr;
}

bool ActorLoop::MayRepeat(AsyncCallObject& call, const worker::Outcome& outcome) {
  const worker::Invocation& invocation = call.invocation();
  if (!outcome.error || !outcome.retryable || outcome.actor_exits || invocation.stream ||
      invocation.cancelled->load()) {
    return false;
  }
  PyObject* most =
      PyObject_CallMethod(functions_->execute(), "most_repeats", "s", invocation.function.c_str());
  const int64_t count = most ? PyLong_AsLongLong(most) : 0;
  Report();
  Py_XDECREF(most);
  if (count >= 0 && call.repeats >= count) return false;
  ++call.repeats;
  return true;
}

void ActorLoop::End(AsyncCallObject* call, PyObject* result) {
  worker::Outcome outcome;
  outcomes().Fill(result, call->invocation(), &outcome);
  Group& group = GroupOf(*call);
  --group.running;
  if (MayRepeat(*call, outcome)) {
    group.waiting.push_front(call);
  } else {
    under_way_.erase(call->invocation().task);
    {
      WithoutGil others_may_run;
      call->call->Finish(std::move(outcome));
    }
    Py_DECREF(reinterpret_cast<PyObject*>(call));
  }
  if (!group.waiting.empty()) StartCallsSoon();
}

void ActorLoop::Cancel(TaskId id) {
  auto found = under_way_.find(id);
  if (found == under_way_.end()) return;
  AsyncCallObject* call = found->second;
  if (call->task) {
    PyObject* cancelled = PyObject_CallMethod(call->task, "cancel", nullptr);
    Report();
    Py_XDECREF(cancelled);
    return;
  }
  Group& group = GroupOf(*call);
  auto waiting = std::find(group.waiting.begin(), group.waiting.end(), call);
  if (waiting == group.waiting.end()) return;
  group.waiting.erase(waiting);
  ++group.running;
  Raise("TaskCancelledError", "the call was cancelled before it began");
  End(call, nullptr);
}

}  // namespace kiln::python
