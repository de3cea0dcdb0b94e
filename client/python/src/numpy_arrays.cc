#include "client/python/src/numpy_arrays.h"

#include <array>
#include <cstring>
#include <msgpack.hpp>
#include <string_view>

namespace kiln::python {
namespace {

using value::ItemType;

constexpr int kItemTypes = static_cast<int>(ItemType::kFloat64) + 1;

// NumPy's classes, looked up once and never freed.
struct Numpy {
  PyObject* ndarray = nullptr;
  PyObject* ascontiguousarray = nullptr;
  std::array<PyObject*, kItemTypes> dtypes{};
};

// Returns: null with a Python error set if there is no NumPy.
const Numpy* GetNumpy() {
  static Numpy numpy;
  if (numpy.ndarray) return &numpy;
  PyObject* module = PyImport_ImportModule("numpy");
  if (!module) return nullptr;
  numpy.ascontiguousarray = PyObject_GetAttrString(module, "ascontiguousarray");
  bool complete = numpy.ascontiguousarray != nullptr;
  for (int i = 0; i < kItemTypes && complete; ++i) {
    const std::string name(value::DtypeName(static_cast<ItemType>(i)));
    numpy.dtypes[static_cast<size_t>(i)] = PyObject_CallMethod(module, "dtype", "s", name.c_str());
    complete = numpy.dtypes[static_cast<size_t>(i)] != nullptr;
  }
  if (complete) numpy.ndarray = PyObject_GetAttrString(module, "ndarray");
  Py_DECREF(module);
  return numpy.ndarray ? &numpy : nullptr;
}

// The item type of a buffer's format, as the struct module writes it.
std::optional<ItemType> ItemTypeOf(const Py_buffer& view) {
  std::string_view format = view.format ? view.format : "B";
  if (!format.empty() && (format[0] == '@' || format[0] == '=' || format[0] == '<')) {
    format.remove_prefix(1);
  }
  if (format.size() != 1) return std::nullopt;
  const Py_ssize_t size = view.itemsize;
  switch (format[0]) {
    case '?':
      return ItemType::kBool;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
      return size == 1   ? ItemType::kInt8
             : size == 2 ? ItemType::kInt16
             : size == 4 ? ItemType::kInt32
                         : ItemType::kInt64;
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
      return size == 1   ? ItemType::kUint8
             : size == 2 ? ItemType::kUint16
             : size == 4 ? ItemType::kUint32
                         : ItemType::kUint64;
    case 'f':
      return ItemType::kFloat32;
    case 'd':
      return ItemType::kFloat64;
    default:
      return std::nullopt;
  }
}

}  // namespace

bool IsNumpyArray(PyObject* object) {
  return std::strcmp(Py_TYPE(object)->tp_name, "numpy.ndarray") == 0;
}

std::optional<std::string> NdarrayBody(const Py_buffer& view) {
  const std::optional<ItemType> type = ItemTypeOf(view);
  if (!type || static_cast<size_t>(view.ndim) > value::kMaxAxes) return std::nullopt;
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_map(2);
  packer.pack("dtype").pack(value::DtypeName(*type));
  packer.pack("shape").pack_array(static_cast<uint32_t>(view.ndim));
  for (int i = 0; i < view.ndim; ++i) packer.pack(static_cast<uint64_t>(view.shape[i]));
  return std::string(buffer.data(), buffer.size());
}

PyObject* MakeContiguous(PyObject* array) {
  const Numpy* numpy = GetNumpy();
  if (!numpy) return nullptr;
  Py_buffer view;
  if (PyObject_GetBuffer(array, &view, PyBUF_STRIDES) != 0) {
    PyErr_Clear();
    return nullptr;
  }
  const bool has_order = PyBuffer_IsContiguous(&view, 'A');
  PyBuffer_Release(&view);
  return has_order ? nullptr : PyObject_CallOneArg(numpy->ascontiguousarray, array);
}

PyObject* MakeNumpyArray(const value::NdarrayView& view, PyObject* buffer) {
  const Numpy* numpy = GetNumpy();
  if (!numpy) return nullptr;
  PyObject* shape = PyTuple_New(static_cast<Py_ssize_t>(view.shape.size()));
  if (!shape) return nullptr;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    PyTuple_SET_ITEM(shape, static_cast<Py_ssize_t>(i), PyLong_FromSize_t(view.shape[i]));
  }
  PyObject* array = PyObject_CallFunctionObjArgs(
      numpy->ndarray, shape, numpy->dtypes[static_cast<size_t>(view.type)], buffer, nullptr);
  Py_DECREF(shape);
  return array;
}

}  // namespace kiln::python
