#include "client/python/src/encode.h"

#include <cstring>
#include <utility>
#include <vector>

#include "client/python/src/gil.h"
#include "client/python/src/numpy_arrays.h"
#include "client/python/src/plain_encoder.h"
#include "client/python/src/session.h"

namespace kiln::python {
namespace {

PyObject* dump_function = nullptr;  // never freed

// What a value borrows from Python until it is written.
struct Borrowed {
  std::vector<Py_buffer> buffers;
  std::vector<PyObject*> objects;

  void Keep(PyObject* object) {
    Py_INCREF(object);
    objects.push_back(object);
  }
  ~Borrowed() {
    if (buffers.empty() && objects.empty()) return;
    WithGil gil;
    for (Py_buffer& buffer : buffers) PyBuffer_Release(&buffer);
    for (PyObject* object : objects) Py_DECREF(object);
  }
};

// The refs of the value that is being pickled on this thread; null: none is.
thread_local std::vector<RefObject*>* contained_refs = nullptr;

std::span<const std::byte> Bytes(const Py_buffer& buffer) {
  return {static_cast<const std::byte*>(buffer.buf), static_cast<size_t>(buffer.len)};
}

std::shared_ptr<value::Parts> FromPlain(PlainEncoder& plain) {
  auto parts = std::make_shared<value::Parts>();
  parts->kind = value::Kind::kMsgpack;
  parts->body = std::move(plain.bytes);
  if (plain.refs.empty() && !plain.large_bytes) return parts;
  auto borrowed = std::make_shared<Borrowed>();
  for (RefObject* ref : plain.refs) {
    if (!ref->session->CheckUsable()) return nullptr;
    parts->contained.push_back(ref->id);
    borrowed->Keep(reinterpret_cast<PyObject*>(ref));
  }
  if (plain.large_bytes) {
    borrowed->Keep(plain.large_bytes);
    parts->body_rest = {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(plain.large_bytes)),
                        static_cast<size_t>(PyBytes_GET_SIZE(plain.large_bytes))};
  }
  parts->owner = std::move(borrowed);
  return parts;
}

// Returns: null without a Python error if the array's type or layout has no place in kNdarray.
std::shared_ptr<value::Parts> FromArray(PyObject* array) {
  auto borrowed = std::make_shared<Borrowed>();
  Py_buffer view;
  if (PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
    PyErr_Clear();
    return nullptr;
  }
  borrowed->buffers.push_back(view);
  std::optional<std::string> body = NdarrayBody(view);
  if (!body || !PyBuffer_IsContiguous(&view, 'C')) return nullptr;
  auto parts = std::make_shared<value::Parts>();
  parts->kind = value::Kind::kNdarray;
  parts->body = std::move(*body);
  parts->buffers.push_back(Bytes(view));
  parts->owner = std::move(borrowed);
  return parts;
}

}  // namespace

void SetDump(PyObject* dump) {
  Py_XINCREF(dump);
  Py_XSETREF(dump_function, dump);
}

bool NoteContained(RefObject* ref) {
  if (!contained_refs) return false;
  contained_refs->push_back(ref);
  Py_INCREF(reinterpret_cast<PyObject*>(ref));
  return true;
}

std::shared_ptr<value::Parts> EncodeByPickle(PyObject* object, PyObject* dump) {
  auto borrowed = std::make_shared<Borrowed>();
  std::vector<RefObject*> refs;
  std::vector<RefObject*>* outer = std::exchange(contained_refs, &refs);
  PyObject* dumped = PyObject_CallOneArg(dump, object);
  contained_refs = outer;
  for (RefObject* ref : refs) borrowed->objects.push_back(reinterpret_cast<PyObject*>(ref));
  if (!dumped) return nullptr;
  borrowed->objects.push_back(dumped);
  PyObject *pickle, *buffers;
  if (!PyArg_ParseTuple(dumped, "SO!", &pickle, &PyList_Type, &buffers)) return nullptr;
  auto parts = std::make_shared<value::Parts>();
  parts->kind = value::Kind::kPickle;
  parts->body_rest = {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(pickle)),
                      static_cast<size_t>(PyBytes_GET_SIZE(pickle))};
  for (RefObject* ref : refs) parts->contained.push_back(ref->id);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); ++i) {
    Py_buffer view;
    if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &view, PyBUF_ANY_CONTIGUOUS) != 0) {
      return nullptr;
    }
    borrowed->buffers.push_back(view);
    parts->buffers.push_back(Bytes(view));
  }
  parts->owner = std::move(borrowed);
  return parts;
}

std::shared_ptr<value::Parts> Encode(PyObject* object, Reader reader) {
  PlainEncoder plain(/*keep_tuples=*/reader == Reader::kPython);
  if (plain.Encode(object)) return FromPlain(plain);
  if (IsNumpyArray(object)) {
    if (std::shared_ptr<value::Parts> parts = FromArray(object)) return parts;
    if (PyObject* packed = MakeContiguous(object)) {
      std::shared_ptr<value::Parts> parts = FromArray(packed);
      Py_DECREF(packed);
      if (parts) return parts;
    }
    if (PyErr_Occurred()) return nullptr;
  }
  if (reader == Reader::kPython) return EncodeByPickle(object, dump_function);
  PyErr_Format(PyExc_TypeError,
               "a value of type %s cannot be given to another language; None, bool, int (64 bits), "
               "float, str, bytes, list, dict and tuple of them and arrays of numbers can",
               Py_TYPE(object)->tp_name);
  return nullptr;
}

}  // namespace kiln::python
