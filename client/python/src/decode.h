// Values on their way back into Python: arrays and out-of-band buffers are views, all else is
// built.
//
// Thread: with the GIL.
// See:    docs/wire.md, "Values".
#pragma once

#include <Python.h>

#include <memory>
#include <string_view>

#include "common/value/value.h"

namespace kiln::python {

class Session;

// `session`: whose objects the refs inside are.
// Returns: a new reference; null with a Python error set: what the value says if it is an error,
// what
//          unpickling raised, RaySystemError if the bytes are no value.
PyObject* Decode(const std::shared_ptr<Session>& session, const value::SharedBytes& bytes);

// The functions of Python that turn (bytes, buffers) into an object, and the fields of an error
// into an exception.
void SetLoad(PyObject* load);
void SetMakeError(PyObject* make_error);

// While it lives, values are decoded for this session: pickled refs become its. Nests.
class DecodingFor {
 public:
  explicit DecodingFor(const std::shared_ptr<Session>& session);
  ~DecodingFor();
  DecodingFor(const DecodingFor&) = delete;
  DecodingFor& operator=(const DecodingFor&) = delete;

 private:
  const std::shared_ptr<Session>* const outer_;
};

// What a pickled ref calls. Returns: a new reference; null with a Python error set.
PyObject* RestoreRef(uint64_t id);

}  // namespace kiln::python
