// kiln._kiln.ActorCall: what `handle.method.remote` is; submits calls of one method of one actor.
//
// A plain type of CPython that is called without a tuple or dict being made: a program calls it for
// each call.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

namespace kiln::python {

struct TaskKind;

// Reads the TaskKind of a Python object. Returns: false with a Python error set.
using KindOf = bool (*)(PyObject* object, TaskKind* kind);

// Makes the type known to `module` as ActorCall. Returns: false with a Python error set.
bool AddActorCallType(PyObject* module, KindOf kind_of);

}  // namespace kiln::python
