#include "client/python/src/shared_buffer.h"

#include <new>
#include <utility>

namespace kiln::python {
namespace {

struct BufferObject {
  PyObject_HEAD;
  std::shared_ptr<const void> owner;
  const std::byte* data;
  size_t size_bytes;
};

PyTypeObject* buffer_type = nullptr;  // never freed

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<BufferObject*>(self)->owner.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

int GetBuffer(PyObject* self, Py_buffer* view, int flags) {
  auto* buffer = reinterpret_cast<BufferObject*>(self);
  return PyBuffer_FillInfo(view, self, const_cast<std::byte*>(buffer->data),
                           static_cast<Py_ssize_t>(buffer->size_bytes), /*readonly=*/1, flags);
}

Py_ssize_t Length(PyObject* self) {
  return static_cast<Py_ssize_t>(reinterpret_cast<BufferObject*>(self)->size_bytes);
}

}  // namespace

bool AddBufferType(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
      {Py_bf_getbuffer, reinterpret_cast<void*>(GetBuffer)},
      {Py_sq_length, reinterpret_cast<void*>(Length)},
      {Py_tp_doc, const_cast<char*>("Read-only bytes of an object of kiln, not copied.")},
      {0, nullptr}};
  static PyType_Spec spec = {"kiln._kiln.Buffer", sizeof(BufferObject), 0, Py_TPFLAGS_DEFAULT,
                             slots};
  buffer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!buffer_type) return false;
  buffer_type->tp_new = nullptr;  // made here alone
  Py_INCREF(buffer_type);
  return PyModule_AddObject(module, "Buffer", reinterpret_cast<PyObject*>(buffer_type)) == 0;
}

PyObject* MakeBuffer(std::shared_ptr<const void> owner, const std::byte* data, size_t size_bytes) {
  PyObject* self = buffer_type->tp_alloc(buffer_type, 0);
  if (!self) return nullptr;
  auto* buffer = reinterpret_cast<BufferObject*>(self);
  new (&buffer->owner) std::shared_ptr<const void>(std::move(owner));
  buffer->data = data;
  buffer->size_bytes = size_bytes;
  return self;
}

}  // namespace kiln::python
