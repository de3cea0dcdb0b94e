#include "worker/python/current_task.h"

#include "worker/python/async_call.h"

namespace kiln::python {
namespace {

thread_local TaskScope* running = nullptr;

PyObject* call_of_context = nullptr;  // a contextvars.ContextVar; never freed

}  // namespace

TaskScope::TaskScope(const worker::Invocation& invocation)
    : invocation_(invocation), outer_(running) {
  running = this;
}

TaskScope::~TaskScope() {
  running = outer_;
}

const worker::Invocation* CurrentInvocation() {
  if (running) return &running->invocation_;
  if (!call_of_context) return nullptr;
  PyObject* call = nullptr;
  if (PyContextVar_Get(call_of_context, Py_None, &call) != 0) {
    PyErr_Clear();
    return nullptr;
  }
  // What holds the context holds the call.
  const worker::Invocation* invocation = call != Py_None ? InvocationOf(call) : nullptr;
  Py_DECREF(call);
  return invocation;
}

bool TakeInterrupt() {
  if (!running || running->interrupted_) return false;
  const worker::Invocation& invocation = running->invocation_;
  if (invocation.callee != worker::Callee::kFunction || !invocation.cancelled->load()) return false;
  return running->interrupted_ = true;
}

bool SetCallOfContext(PyObject* call) {
  if (!call_of_context) call_of_context = PyContextVar_New("kiln_call", nullptr);
  PyObject* token =
      call_of_context ? PyContextVar_Set(call_of_context, call ? call : Py_None) : nullptr;
  Py_XDECREF(token);
  return token != nullptr;
}

}  // namespace kiln::python
