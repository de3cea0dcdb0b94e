// kiln.ObjectRef: one reference of this process on an object, given back when Python drops it.
//
// A plain type of CPython, not one of pybind11: a program makes one for each task.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <memory>

#include "common/ids.h"

namespace kiln::python {

class Session;

struct RefObject {
  PyObject_HEAD;
  std::shared_ptr<Session> session;
  ObjectId id;
  bool of_actor_call;  // as far as this process knows
  PyObject* weak_references;
};

// Makes the type known to `module` as ObjectRef. Returns: false with a Python error set.
bool AddRefType(PyObject* module);

bool IsRef(PyObject* object);

// Requires: IsRef(ref).
inline ObjectId IdOf(PyObject* ref) {
  return reinterpret_cast<RefObject*>(ref)->id;
}

// Takes over one reference that the session counts for the caller.
// Returns: a new reference; null with a Python error set.
PyObject* MakeRef(const std::shared_ptr<Session>& session, ObjectId id, bool of_actor_call = false);

}  // namespace kiln::python
