#include "client/python/src/object_ref.h"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "client/python/src/encode.h"
#include "client/python/src/session.h"

namespace kiln::python {
namespace {

PyTypeObject* ref_type = nullptr;  // never freed

RefObject* AsRef(PyObject* object) {
  return reinterpret_cast<RefObject*>(object);
}

void Dealloc(PyObject* self) {
  RefObject* ref = AsRef(self);
  if (ref->weak_references) PyObject_ClearWeakRefs(self);
  PyTypeObject* type = Py_TYPE(self);
  ref->session->Release(ref->id);
  ref->session.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

Py_hash_t Hash(PyObject* self) {
  return static_cast<Py_hash_t>(AsRef(self)->id);  // below 2^63 and never -1: see common/ids.h
}

PyObject* Compare(PyObject* self, PyObject* other, int operation) {
  if (!IsRef(other) || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const bool equal = AsRef(self)->id == AsRef(other)->id;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

PyObject* Hex(PyObject* self, PyObject*) {
  return PyUnicode_FromString(FormatRef(AsRef(self)->id).c_str());
}

PyObject* Binary(PyObject* self, PyObject*) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(AsRef(self)->id >> (8 * (7 - i)));
  return PyBytes_FromStringAndSize(bytes, sizeof bytes);
}

PyObject* Repr(PyObject* self) {
  return PyUnicode_FromFormat("ObjectRef(%s)", FormatRef(AsRef(self)->id).c_str());
}

// Inside a value of kiln a ref is its id, and the value is told that it contains the object.
PyObject* Reduce(PyObject* self, PyObject*) {
  if (!AsRef(self)->session->CheckUsable()) return nullptr;
  if (!NoteContained(AsRef(self))) {
    PyErr_SetString(
        PyExc_TypeError,
        "an ObjectRef or the handle of an actor can travel only inside values and arguments of "
        "kiln; another program takes up a ref by its ref.hex() with `kiln get`, and an actor that "
        "has a name with kiln.get_actor(name)");
    return nullptr;
  }
  PyObject* module = PyImport_ImportModule("kiln._kiln");
  PyObject* restore = module ? PyObject_GetAttrString(module, "_restore_ref") : nullptr;
  Py_XDECREF(module);
  if (!restore) return nullptr;
  return Py_BuildValue("N(K)", restore, static_cast<unsigned long long>(AsRef(self)->id));
}

PyObject* Copy(PyObject* self, PyObject*) {
  Py_INCREF(self);
  return self;
}

}  // namespace

bool AddRefType(PyObject* module) {
  static PyMethodDef methods[] = {
      {"hex", Hex, METH_NOARGS, "The ref in text: 16 hexadecimal digits, as `kiln get` takes it."},
      {"binary", Binary, METH_NOARGS, "The ref in 8 bytes."},
      {"__reduce__", Reduce, METH_NOARGS, nullptr},
      {"__copy__", Copy, METH_NOARGS, nullptr},
      {"__deepcopy__", Copy, METH_O, nullptr},
      {nullptr, nullptr, 0, nullptr}};
  static PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, offsetof(RefObject, weak_references), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
      {Py_tp_hash, reinterpret_cast<void*>(Hash)},
      {Py_tp_richcompare, reinterpret_cast<void*>(Compare)},
      {Py_tp_repr, reinterpret_cast<void*>(Repr)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_doc, const_cast<char*>("Names an object that a task makes or that was put. Pass it to "
                                    "kiln.get, or as an argument of a task.")},
      {0, nullptr}};
  static PyType_Spec spec = {"kiln.ObjectRef", sizeof(RefObject), 0, Py_TPFLAGS_DEFAULT, slots};
  ref_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!ref_type) return false;
  ref_type->tp_new = nullptr;  // made here alone
  Py_INCREF(ref_type);
  return PyModule_AddObject(module, "ObjectRef", reinterpret_cast<PyObject*>(ref_type)) == 0;
}

bool IsRef(PyObject* object) {
  return Py_TYPE(object) == ref_type;
}

PyObject* MakeRef(const std::shared_ptr<Session>& session, ObjectId id, bool of_actor_call) {
  PyObject* self = ref_type->tp_alloc(ref_type, 0);
  if (!self) {
    session->Release(id);
    return nullptr;
  }
  RefObject* ref = AsRef(self);
  new (&ref->session) std::shared_ptr<Session>(session);
  ref->id = id;
  ref->of_actor_call = of_actor_call;
  ref->weak_references = nullptr;
  return self;
}

}  // namespace kiln::python
