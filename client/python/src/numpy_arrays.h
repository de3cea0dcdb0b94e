// NumPy arrays as values of kind ndarray, and back. NumPy is looked up when the first array comes
// by, never imported before.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <optional>
#include <string>

#include "common/value/ndarray.h"

namespace kiln::python {

// True for numpy.ndarray itself, not for what derives from it.
bool IsNumpyArray(PyObject* object);

// Returns: the value's body for an array of this type and shape; nothing if its items are none that
//          every language has.
std::optional<std::string> NdarrayBody(const Py_buffer& view);

// Returns: a new reference to a copy in C order of an array that has neither C nor Fortran order;
//          null for one that has, without a Python error: pickle keeps its layout.
PyObject* MakeContiguous(PyObject* array);

// Returns: a new reference to a read-only array over `buffer`, an object with the buffer protocol;
// null
//          with a Python error set.
PyObject* MakeNumpyArray(const value::NdarrayView& view, PyObject* buffer);

}  // namespace kiln::python
