// Plain Python values as msgpack: None, bool, int of 64 bits, float, str, bytes, list, dict, tuple
// and ObjectRef, and nothing derived from them.
//
// Pickle could tell apart what is one object from what is two equal ones, and msgpack cannot. So a
// value in which one list or dict occurs twice, or that contains itself, is not plain.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "client/python/src/object_ref.h"

namespace kiln::python {

class PlainEncoder {
 public:
  // `keep_tuples`: as value::kTupleExtension, not as lists.
  explicit PlainEncoder(bool keep_tuples) : keep_tuples_(keep_tuples) {}

  // Returns: false if the value is not plain; no Python error is set.
  bool Encode(PyObject* object) { return Add(object, 0); }

  std::string bytes;
  std::vector<RefObject*> refs;  // borrowed, in the order of the value
  // Set when the whole value is one large bytes object: `bytes` is its header, this its content.
  PyObject* large_bytes = nullptr;

 private:
  bool Add(PyObject* object, int depth);
  bool AddInteger(PyObject* object);
  bool AddText(PyObject* object);
  bool AddBytes(PyObject* object, int depth);
  bool AddItems(PyObject* sequence, int depth);
  bool AddDict(PyObject* dict, int depth);
  bool AddTuple(PyObject* tuple, int depth);
  // False if the container was there before.
  bool IsNew(PyObject* container);
  void Head(uint8_t first, uint64_t number, int number_bytes);
  void Length(size_t count, uint8_t fixed, size_t fixed_most, uint8_t first16);

  const bool keep_tuples_;
  std::unordered_set<PyObject*> shared_;  // containers with several owners seen so far
};

}  // namespace kiln::python
