#include "client/python/src/plain_decoder.h"

#include <bit>

#include "client/python/src/object_ref.h"
#include "client/python/src/session.h"
#include "common/large_copy.h"
#include "common/value/value.h"

namespace kiln::python {
namespace {

// As deep as JSON may be; hostile bytes nest without end.
constexpr int kMaxDepth = 256;

PyObject* Broken(const char* what) {
  PyErr_Format(PyExc_ValueError, "not a value of kiln: %s", what);
  return nullptr;
}

}  // namespace

PyObject* PlainDecoder::Decode() {
  PyObject* value = Next(0);
  if (value && !rest_.empty()) {
    Py_DECREF(value);
    return Broken("bytes after its end");
  }
  return value;
}

bool PlainDecoder::Take(uint64_t count, std::string_view* taken) {
  if (count > rest_.size()) return Broken("it is cut off"), false;
  *taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return true;
}

bool PlainDecoder::Number(int bytes, uint64_t* number) {
  std::string_view taken;
  if (!Take(static_cast<uint64_t>(bytes), &taken)) return false;
  *number = 0;
  for (char c : taken) *number = *number << 8 | static_cast<uint8_t>(c);
  return true;
}

PyObject* PlainDecoder::Next(int depth) {
  std::string_view first;
  if (!Take(1, &first)) return nullptr;
  if (depth > kMaxDepth) return Broken("nested too deep");
  const auto byte = static_cast<uint8_t>(first[0]);
  if (byte < 0x80) return PyLong_FromLong(byte);
  if (byte >= 0xe0) return PyLong_FromLong(static_cast<int8_t>(byte));
  if (byte < 0x90) return NextDict(byte & 15, depth);
  if (byte < 0xa0) return NextList(byte & 15, depth);
  if (byte < 0xc0) return Text(byte & 31);
  return NextOf(byte, depth);
}

PyObject* PlainDecoder::NextOf(uint8_t first, int depth) {
  uint64_t number = 0;
  switch (first) {
    case 0xc0:
      Py_RETURN_NONE;
    case 0xc2:
      Py_RETURN_FALSE;
    case 0xc3:
      Py_RETURN_TRUE;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return Number(1 << (first - 0xc4), &number) ? Bytes(number) : nullptr;
    case 0xc7:
    case 0xc8:
    case 0xc9:
      return Number(1 << (first - 0xc7), &number) ? NextExtension(number, depth) : nullptr;
    case 0xca:
      if (!Number(4, &number)) return nullptr;
      return PyFloat_FromDouble(std::bit_cast<float>(static_cast<uint32_t>(number)));
    case 0xcb:
      return Number(8, &number) ? PyFloat_FromDouble(std::bit_cast<double>(number)) : nullptr;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return Number(1 << (first - 0xcc), &number) ? PyLong_FromUnsignedLongLong(number) : nullptr;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: {
      const int bytes = 1 << (first - 0xd0);
      if (!Number(bytes, &number)) return nullptr;
      const int shift = 64 - 8 * bytes;  // moves the sign to the top and back
      return PyLong_FromLongLong(static_cast<int64_t>(number << shift) >> shift);
    }
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return NextExtension(uint64_t{1} << (first - 0xd4), depth);
    case 0xd9:
    case 0xda:
    case 0xdb:
      return Number(1 << (first - 0xd9), &number) ? Text(number) : nullptr;
    case 0xdc:
    case 0xdd:
      return Number(first == 0xdc ? 2 : 4, &number) ? NextList(number, depth) : nullptr;
    case 0xde:
    case 0xdf:
      return Number(first == 0xde ? 2 : 4, &number) ? NextDict(number, depth) : nullptr;
    default:
      return Broken("an unknown first byte");
  }
}

PyObject* PlainDecoder::Text(uint64_t size) {
  std::string_view text;
  if (!Take(size, &text)) return nullptr;
  // C++ programs may put any bytes into a text.
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
}

PyObject* PlainDecoder::Bytes(uint64_t size) {
  std::string_view bytes;
  if (!Take(size, &bytes)) return nullptr;
  PyObject* object = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes.size()));
  if (object) {
    kiln::Copy(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(object)), bytes.data(), bytes.size());
  }
  return object;
}

// Each item is a byte at least: a count beyond that is a lie, and would cost memory.
PyObject* PlainDecoder::NextList(uint64_t count, int depth) {
  if (count > rest_.size()) return Broken("it is cut off");
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(count));
  for (uint64_t i = 0; list && i < count; ++i) {
    PyObject* item = Next(depth + 1);
    if (!item) {
      Py_DECREF(list);
      return nullptr;
    }
    PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
  }
  return list;
}

PyObject* PlainDecoder::NextDict(uint64_t count, int depth) {
  if (count > rest_.size() / 2) return Broken("it is cut off");
  PyObject* dict = PyDict_New();
  for (uint64_t i = 0; dict && i < count; ++i) {
    PyObject* key = Next(depth + 1);
    PyObject* item = key ? Next(depth + 1) : nullptr;
    const bool added = item && PyDict_SetItem(dict, key, item) == 0;
    Py_XDECREF(key);
    Py_XDECREF(item);
    if (!added) Py_CLEAR(dict);
  }
  return dict;
}

PyObject* PlainDecoder::NextExtension(uint64_t size, int depth) {
  std::string_view type;
  if (!Take(1, &type)) return nullptr;
  if (size > rest_.size()) return Broken("it is cut off");
  if (type[0] == value::kRefExtension && size == sizeof(ObjectId)) {
    ObjectId id = 0;
    if (!Number(8, &id)) return nullptr;
    session_->Retain(id);
    return MakeRef(session_, id);
  }
  if (type[0] != value::kTupleExtension) return Broken("an unknown extension");
  const std::string_view after = rest_.substr(size);
  PyObject* list = Next(depth + 1);
  if (list && (!PyList_CheckExact(list) || rest_.data() != after.data())) {
    Py_DECREF(list);
    return Broken("a tuple that is no list");
  }
  if (!list) return nullptr;
  PyObject* tuple = PyList_AsTuple(list);
  Py_DECREF(list);
  return tuple;
}

}  // namespace kiln::python
