#include "worker/python/async_call.h"

#include <new>
#include <utility>

#include "worker/python/actor_loop.h"
#include "worker/stream.h"

namespace kiln::python {
namespace {

PyTypeObject* async_call_type = nullptr;  // never freed

AsyncCallObject* AsCall(PyObject* object) {
  return reinterpret_cast<AsyncCallObject*>(object);
}

// --- as a coroutine ------------------------------------------------------------------------------

// The method has ended with `result`, or with the error that is set: that is told to whoever called
// it, and nothing to asyncio.
void End(PyObject* object, PyObject* result) {
  AsyncCallObject* call = AsCall(object);
  Py_INCREF(object);  // the loop forgets it
  Py_CLEAR(call->coroutine);
  Py_CLEAR(call->task);
  call->loop->End(call, result);
  Py_DECREF(object);
}

#if PY_VERSION_HEX >= 0x030A0000
PySendResult Send(PyObject* object, PyObject* value, PyObject** result) {
  PyObject* coroutine = AsCall(object)->coroutine;
  if (!coroutine) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  const PySendResult status = PyIter_Send(coroutine, value, result);
  if (status == PYGEN_NEXT) return status;
  End(object, status == PYGEN_RETURN ? *result : nullptr);
  *result = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}
#endif

// What `send` or `throw` of the coroutine has returned, or raised.
PyObject* Next(PyObject* object, PyObject* yielded) {
  if (yielded) return yielded;
  PyObject* result = nullptr;
  if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    result = PyObject_GetAttrString(error, "value");
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
  }
  End(object, result);
  PyErr_SetNone(PyExc_StopIteration);
  return nullptr;
}

PyObject* SendMethod(PyObject* object, PyObject* value) {
  PyObject* coroutine = AsCall(object)->coroutine;
  if (!coroutine) return PyErr_SetNone(PyExc_StopIteration), nullptr;
  return Next(object, PyObject_CallMethod(coroutine, "send", "(O)", value));
}

PyObject* ThrowMethod(PyObject* object, PyObject* arguments) {
  PyObject* coroutine = AsCall(object)->coroutine;
  if (!coroutine) return PyErr_SetNone(PyExc_StopIteration), nullptr;
  PyObject* throw_method = PyObject_GetAttrString(coroutine, "throw");
  PyObject* yielded = throw_method ? PyObject_CallObject(throw_method, arguments) : nullptr;
  Py_XDECREF(throw_method);
  return Next(object, yielded);
}

PyObject* CloseMethod(PyObject* object, PyObject*) {
  PyObject* coroutine = AsCall(object)->coroutine;
  if (!coroutine) Py_RETURN_NONE;
  return PyObject_CallMethod(coroutine, "close", nullptr);
}

PyObject* Self(PyObject* object) {
  return Py_NewRef(object);
}

// --- for kiln.worker.async_actor -----------------------------------------------------------------

PyObject* YieldItem(PyObject* object, PyObject* item) {
  if (!AsCall(object)->loop->outcomes().YieldItem(item, AsCall(object)->invocation())) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* MayBlock(PyObject* object, void*) {
  const worker::Invocation& invocation = AsCall(object)->invocation();
  return PyBool_FromLong(invocation.stream && invocation.stream->has_window());
}

// -------------------------------------------------------------------------------------------------

// A call that is under way is held by its loop, so no cycle through it needs to be found.
void Dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  Py_XDECREF(AsCall(object)->coroutine);
  Py_XDECREF(AsCall(object)->task);
  AsCall(object)->call.~shared_ptr();
  type->tp_free(object);
  Py_DECREF(type);
}

bool MakeType() {
  static PyMethodDef methods[] = {
      {"send", SendMethod, METH_O, nullptr},
      {"throw", ThrowMethod, METH_VARARGS, nullptr},
      {"close", CloseMethod, METH_NOARGS, nullptr},
      {"yield_item", YieldItem, METH_O, "Hands over one item of the stream that the call makes."},
      {nullptr, nullptr, 0, nullptr}};
  static PyGetSetDef properties[] = {
      {"may_block", MayBlock, nullptr, "yield_item may wait for the consumer.", nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr}};
  static PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
    {Py_am_await, reinterpret_cast<void*>(Self)},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, reinterpret_cast<void*>(Send)},
#endif
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, nullptr}
  };
  static PyType_Spec spec = {"kiln._kiln.AsyncCall", sizeof(AsyncCallObject), 0, Py_TPFLAGS_DEFAULT,
                             slots};
  async_call_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return async_call_type != nullptr;
}

}  // namespace

AsyncCallObject* MakeAsyncCall(std::shared_ptr<worker::ActorCall> call, ActorLoop* loop) {
  if (!async_call_type && !MakeType()) return nullptr;
  AsyncCallObject* self = AsCall(async_call_type->tp_alloc(async_call_type, 0));
  if (!self) return nullptr;
  new (&self->call) std::shared_ptr<worker::ActorCall>(std::move(call));
  self->loop = loop;
  self->coroutine = nullptr;
  self->task = nullptr;
  self->repeats = 0;
  return self;
}

const worker::Invocation* InvocationOf(PyObject* object) {
  return Py_TYPE(object) == async_call_type ? &AsCall(object)->invocation() : nullptr;
}

}  // namespace kiln::python
