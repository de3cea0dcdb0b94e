// The Python error that is set, as an object.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

namespace kiln::python {

// Requires: an error is set; it is no more afterwards.
// Returns: a new reference to the exception, with its traceback.
inline PyObject* TakeError() {
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback) PyException_SetTraceback(error, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return error;
}

// Sets this exception, whose reference it takes over; null: what is set stays.
inline void SetException(PyObject* error) {
  if (!error) return;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
  Py_DECREF(error);
}

}  // namespace kiln::python
