#include "client/python/src/plain_encoder.h"

#include <bit>
#include <cstring>

#include "common/value/value.h"

namespace kiln::python {
namespace {

// Deeper values are left to pickle, which has its own bound.
constexpr int kMaxDepth = 100;
// A bytes object that is a whole value is not copied twice from here on.
constexpr Py_ssize_t kLargeBytes = 64 * 1024;

}  // namespace

void PlainEncoder::Head(uint8_t first, uint64_t number, int number_bytes) {
  char head[9];
  head[0] = static_cast<char>(first);
  for (int i = 0; i < number_bytes; ++i) {
    head[1 + i] = static_cast<char>(number >> (8 * (number_bytes - 1 - i)));
  }
  bytes.append(head, static_cast<size_t>(1 + number_bytes));
}

void PlainEncoder::Length(size_t count, uint8_t fixed, size_t fixed_most, uint8_t first16) {
  if (count <= fixed_most) return Head(static_cast<uint8_t>(fixed | count), 0, 0);
  if (count <= UINT16_MAX) return Head(first16, count, 2);
  Head(static_cast<uint8_t>(first16 + 1), count, 4);
}

bool PlainEncoder::Add(PyObject* object, int depth) {
  PyTypeObject* type = Py_TYPE(object);
  if (type == &PyLong_Type) return AddInteger(object);
  if (type == &PyFloat_Type) {
    Head(0xcb, std::bit_cast<uint64_t>(PyFloat_AS_DOUBLE(object)), 8);
    return true;
  }
  if (type == &PyUnicode_Type) return AddText(object);
  if (object == Py_None) return bytes.push_back('\xc0'), true;
  if (type == &PyBool_Type) return bytes.push_back(object == Py_True ? '\xc3' : '\xc2'), true;
  if (type == &PyBytes_Type) return AddBytes(object, depth);
  if (depth == kMaxDepth) return false;
  if (type == &PyList_Type) return IsNew(object) && AddItems(object, depth);
  if (type == &PyTuple_Type) return IsNew(object) && AddTuple(object, depth);
  if (type == &PyDict_Type) return IsNew(object) && AddDict(object, depth);
  if (!IsRef(object)) return false;
  auto* ref = reinterpret_cast<RefObject*>(object);
  bytes.push_back('\xd7');
  Head(static_cast<uint8_t>(value::kRefExtension), ref->id, 8);
  refs.push_back(ref);
  return true;
}

// Who has one owner alone, the container around it, cannot occur twice.
bool PlainEncoder::IsNew(PyObject* container) {
  if (Py_REFCNT(container) <= 1) return true;
  if (Py_TYPE(container) == &PyTuple_Type && PyTuple_GET_SIZE(container) == 0) return true;
  return shared_.insert(container).second;
}

bool PlainEncoder::AddInteger(PyObject* object) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow < 0) return false;
  if (overflow > 0) {
    const unsigned long long large = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) return PyErr_Clear(), false;
    Head(0xcf, large, 8);
    return true;
  }
  const auto bits = static_cast<uint64_t>(number);
  if (number >= 0) {
    if (number < 0x80) {
      bytes.push_back(static_cast<char>(number));
    } else if (number <= UINT8_MAX) {
      Head(0xcc, bits, 1);
    } else if (number <= UINT16_MAX) {
      Head(0xcd, bits, 2);
    } else if (number <= UINT32_MAX) {
      Head(0xce, bits, 4);
    } else {
      Head(0xcf, bits, 8);
    }
  } else if (number >= -32) {
    bytes.push_back(static_cast<char>(bits));
  } else if (number >= INT8_MIN) {
    Head(0xd0, bits, 1);
  } else if (number >= INT16_MIN) {
    Head(0xd1, bits, 2);
  } else if (number >= INT32_MIN) {
    Head(0xd2, bits, 4);
  } else {
    Head(0xd3, bits, 8);
  }
  return true;
}

// Lone surrogates have no UTF-8; pickle knows a way.
bool PlainEncoder::AddText(PyObject* object) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (!text) return PyErr_Clear(), false;
  const auto length = static_cast<size_t>(size);
  if (length > UINT32_MAX) return false;
  if (length > 31 && length <= UINT8_MAX) {
    Head(0xd9, length, 1);
  } else {
    Length(length, 0xa0, 31, 0xda);
  }
  bytes.append(text, length);
  return true;
}

bool PlainEncoder::AddBytes(PyObject* object, int depth) {
  const Py_ssize_t size = PyBytes_GET_SIZE(object);
  const auto length = static_cast<size_t>(size);
  if (length > UINT32_MAX) return false;
  if (length <= UINT8_MAX) {
    Head(0xc4, length, 1);
  } else if (length <= UINT16_MAX) {
    Head(0xc5, length, 2);
  } else {
    Head(0xc6, length, 4);
  }
  if (depth == 0 && size >= kLargeBytes) {
    large_bytes = object;
  } else {
    bytes.append(PyBytes_AS_STRING(object), length);
  }
  return true;
}

// PySequence_Fast_ITEMS works for exact lists and tuples. Nothing here runs Python code, so the
// sequence stays as it is.
bool PlainEncoder::AddItems(PyObject* sequence, int depth) {
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence);
  if (static_cast<size_t>(size) > UINT32_MAX) return false;
  Length(static_cast<size_t>(size), 0x90, 15, 0xdc);
  PyObject** items = PySequence_Fast_ITEMS(sequence);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!Add(items[i], depth + 1)) return false;
  }
  return true;
}

bool PlainEncoder::AddTuple(PyObject* tuple, int depth) {
  if (!keep_tuples_) return AddItems(tuple, depth);
  const size_t start = bytes.size();
  bytes.append("\xc9\0\0\0\0\0", 6);  // ext 32; its length and type are filled in below
  if (!AddItems(tuple, depth)) return false;
  const size_t length = bytes.size() - start - 6;
  if (length > UINT32_MAX) return false;
  for (int i = 0; i < 4; ++i) {
    bytes[start + 1 + static_cast<size_t>(i)] = static_cast<char>(length >> (8 * (3 - i)));
  }
  bytes[start + 5] = static_cast<char>(value::kTupleExtension);
  return true;
}

bool PlainEncoder::AddDict(PyObject* dict, int depth) {
  const Py_ssize_t size = PyDict_GET_SIZE(dict);
  if (static_cast<size_t>(size) > UINT32_MAX) return false;
  Length(static_cast<size_t>(size), 0x80, 15, 0xde);
  PyObject *key, *item;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &item);) {
    if (!Add(key, depth + 1) || !Add(item, depth + 1)) return false;
  }
  return true;
}

}  // namespace kiln::python
