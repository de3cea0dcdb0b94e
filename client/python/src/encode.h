// Python objects on their way into values: plain ones as msgpack, arrays of numbers as they are,
// all others pickled.
//
// Thread: with the GIL.
// See:    docs/wire.md, "Values".
#pragma once

#include <Python.h>

#include <memory>

#include "client/python/src/object_ref.h"
#include "common/value/value.h"

namespace kiln::python {

// For whom a value is meant.
enum class Reader {
  kPython,  // tuples stay tuples; what is not plain is pickled
  kAny,     // tuples are lists; what is neither plain nor an array is refused
};

// Returns: the value, which keeps what it borrows from `object`; null with a Python error set: what
// pickling raised, or TypeError for kAny.
std::shared_ptr<value::Parts> Encode(PyObject* object, Reader reader);

// Pickles by value whatever it is: functions with what they close over.
// Returns: as Encode.
std::shared_ptr<value::Parts> EncodeByPickle(PyObject* object, PyObject* dump);

// A ref is being pickled: the value that is being encoded on this thread will contain it.
// Returns: false if none is.
bool NoteContained(RefObject* ref);

// The function of kiln._values that pickles: object -> (bytes, list of buffers).
void SetDump(PyObject* dump);

}  // namespace kiln::python
