// Text of other processes as Python's: what is not UTF-8 in it is U+FFFD.
//
// Thread: with the GIL.
#pragma once

#include <Python.h>

#include <string_view>

namespace kiln::python {

// Returns: a new reference; null with a Python error set (no memory).
inline PyObject* MakeText(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

// Returns: as MakeText, a list of them.
template <typename Texts>
PyObject* MakeTextList(const Texts& texts) {
  PyObject* list = PyList_New(0);
  for (const auto& text : texts) {
    PyObject* item = list ? MakeText(text) : nullptr;
    if (!item || PyList_Append(list, item) != 0) Py_CLEAR(list);
    Py_XDECREF(item);
  }
  return list;
}

}  // namespace kiln::python
