// Bytes of the store or of a frame as a Python object with the buffer protocol: read-only, never
// copied, kept alive as long as anything in Python looks at them.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include "common/value/value.h"

namespace kiln::python {

// Makes the type known to `module` as Buffer. Returns: false with a Python error set.
bool AddBufferType(PyObject* module);

// Returns: a new reference to a buffer over [data, data + size_bytes), which `owner` keeps; null
// with a Python error set.
PyObject* MakeBuffer(std::shared_ptr<const void> owner, const std::byte* data, size_t size_bytes);

}  // namespace kiln::python
