#include "client/python/src/actor_call.h"

#include <structmember.h>

#include <cstddef>

#include "client/python/src/object_ref.h"
#include "client/python/src/session.h"

namespace kiln::python {
namespace {

struct CallObject {
  PyObject_HEAD;
  vectorcallfunc vectorcall;
  RefObject* actor;
  TaskKind kind;
  Py_ssize_t least;  // positional arguments of a call that needs no closer look; -1: all need one
  Py_ssize_t most;
  uint64_t max_pending_calls;  // 0: no bound
  PyObject* check;
  PyObject* finish;  // or null
};

PyTypeObject* call_type = nullptr;  // never freed
KindOf kind_of_object = nullptr;

// Lets Python look at a call that has keywords or whose number of arguments may not fit.
bool Check(CallObject* self, const CallArguments& arguments, Py_ssize_t positional) {
  PyObject* args = PyTuple_New(positional);
  PyObject* kwargs = PyDict_New();
  for (Py_ssize_t i = 0; args && i < positional; ++i) {
    Py_INCREF(arguments.objects[i]);
    PyTuple_SET_ITEM(args, i, arguments.objects[i]);
  }
  const Py_ssize_t named = arguments.names ? PyTuple_GET_SIZE(arguments.names) : 0;
  for (Py_ssize_t i = 0; kwargs && i < named; ++i) {
    PyDict_SetItem(kwargs, PyTuple_GET_ITEM(arguments.names, i), arguments.objects[positional + i]);
  }
  PyObject* checked =
      args && kwargs ? PyObject_CallFunctionObjArgs(self->check, args, kwargs, nullptr) : nullptr;
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  Py_XDECREF(checked);
  return checked != nullptr;
}

PyObject* Call(PyObject* callable, PyObject* const* objects, size_t flags, PyObject* names) {
  auto* self = reinterpret_cast<CallObject*>(callable);
  const Py_ssize_t positional = PyVectorcall_NARGS(flags);
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  const CallArguments arguments{objects, static_cast<size_t>(positional + named), names};
  const bool plain =
      named == 0 && self->least >= 0 && self->least <= positional && positional <= self->most;
  if (!plain && !Check(self, arguments, positional)) return nullptr;
  Session& session = *self->actor->session;
  if (self->max_pending_calls > 0 &&
      !session.CheckPendingCalls(self->actor->id, self->max_pending_calls)) {
    return nullptr;
  }
  PyObject* result = session.Submit(self->kind, arguments, self->actor->id);
  if (result && self->finish) Py_SETREF(result, PyObject_CallOneArg(self->finish, result));
  return result;
}

PyObject* New(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *actor, *kind_object, *check, *finish;
  Py_ssize_t least, most;
  unsigned long long max_pending_calls;
  TaskKind kind;
  if (!PyArg_ParseTuple(args, "OOnnKOO", &actor, &kind_object, &least, &most, &max_pending_calls,
                        &check, &finish) ||
      !kind_of_object(kind_object, &kind)) {
    return nullptr;
  }
  if (!IsRef(actor)) {
    PyErr_SetString(PyExc_TypeError, "ActorCall: the actor is no ref");
    return nullptr;
  }
  auto* self = reinterpret_cast<CallObject*>(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  Py_INCREF(actor);
  Py_INCREF(check);
  self->vectorcall = Call;
  self->actor = reinterpret_cast<RefObject*>(actor);
  self->kind = kind;
  self->least = least;
  self->most = most;
  self->max_pending_calls = max_pending_calls;
  self->check = check;
  self->finish = finish == Py_None ? nullptr : finish;
  Py_XINCREF(self->finish);
  return reinterpret_cast<PyObject*>(self);
}

// No cycle goes through it: what `check` and `finish` hold does not know it.
void Dealloc(PyObject* object) {
  auto* self = reinterpret_cast<CallObject*>(object);
  PyTypeObject* type = Py_TYPE(object);
  Py_XDECREF(reinterpret_cast<PyObject*>(self->actor));
  Py_XDECREF(self->check);
  Py_XDECREF(self->finish);
  type->tp_free(object);
  Py_DECREF(type);
}

}  // namespace

bool AddActorCallType(PyObject* module, KindOf kind_of) {
  kind_of_object = kind_of;
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(CallObject, vectorcall), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(New)},
      {Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
      {Py_tp_members, members},
      {Py_tp_doc, const_cast<char*>("Queues a call of an actor's method.")},
      {0, nullptr}};
  static PyType_Spec spec = {"kiln._kiln.ActorCall", sizeof(CallObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  call_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!call_type) return false;
  Py_INCREF(call_type);
  return PyModule_AddObject(module, "ActorCall", reinterpret_cast<PyObject*>(call_type)) == 0;
}

}  // namespace kiln::python
