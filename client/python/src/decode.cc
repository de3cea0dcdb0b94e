#include "client/python/src/decode.h"

#include <string>
#include <utility>

#include "client/python/src/numpy_arrays.h"
#include "client/python/src/object_ref.h"
#include "client/python/src/plain_decoder.h"
#include "client/python/src/python_error.h"
#include "client/python/src/python_text.h"
#include "client/python/src/session.h"
#include "client/python/src/shared_buffer.h"
#include "common/value/error_value.h"
#include "common/value/ndarray.h"

namespace kiln::python {
namespace {

PyObject* load_function = nullptr;  // never freed, as the next
PyObject* make_error_function = nullptr;

thread_local const std::shared_ptr<Session>* decoding_for = nullptr;

PyObject* Unreadable(const Status& status) {
  PyErr_SetString(PyExc_ValueError, status.message().c_str());
  return nullptr;
}

PyObject* DecodeArray(const value::View& view, const value::SharedBytes& bytes) {
  Result<value::NdarrayView> array = value::ParseNdarray(view);
  if (!array.ok()) return Unreadable(array.status());
  PyObject* buffer = MakeBuffer(bytes.owner, array->data, array->count * array->item_bytes());
  if (!buffer) return nullptr;
  PyObject* result = MakeNumpyArray(*array, buffer);
  Py_DECREF(buffer);
  return result;
}

PyObject* DecodePickle(const value::View& view, const value::SharedBytes& bytes) {
  PyObject* buffers = PyList_New(static_cast<Py_ssize_t>(view.buffers.size()));
  if (!buffers) return nullptr;
  for (size_t i = 0; i < view.buffers.size(); ++i) {
    PyObject* buffer = MakeBuffer(bytes.owner, view.buffers[i].data(), view.buffers[i].size());
    if (!buffer) {
      Py_DECREF(buffers);
      return nullptr;
    }
    PyList_SET_ITEM(buffers, static_cast<Py_ssize_t>(i), buffer);
  }
  PyObject* body = MakeBuffer(bytes.owner, reinterpret_cast<const std::byte*>(view.body.data()),
                              view.body.size());
  PyObject* object =
      body ? PyObject_CallFunctionObjArgs(load_function, body, buffers, nullptr) : nullptr;
  Py_XDECREF(body);
  Py_DECREF(buffers);
  return object;
}

// Sets the exception that the error stands for. Returns: null.
PyObject* RaiseError(const ErrorInfo& error) {
  PyObject* exception = PyObject_CallFunction(
      make_error_function, "ssssLNsy#", std::string(ErrorKindName(error.kind)).c_str(),
      error.type.c_str(), error.message.c_str(), error.task.c_str(),
      static_cast<long long>(error.worker_pid), MakeTextList(error.chain), error.traceback.c_str(),
      error.exception.data(), static_cast<Py_ssize_t>(error.exception.size()));
  SetException(exception);
  return nullptr;
}

}  // namespace

void SetLoad(PyObject* load) {
  Py_XINCREF(load);
  Py_XSETREF(load_function, load);
}

void SetMakeError(PyObject* make_error) {
  Py_XINCREF(make_error);
  Py_XSETREF(make_error_function, make_error);
}

DecodingFor::DecodingFor(const std::shared_ptr<Session>& session)
    : outer_(std::exchange(decoding_for, &session)) {}

DecodingFor::~DecodingFor() {
  decoding_for = outer_;
}

PyObject* RestoreRef(uint64_t id) {
  if (!decoding_for) {
    PyErr_SetString(PyExc_RuntimeError,
                    "a pickled ObjectRef can be read only by kiln.get and in tasks");
    return nullptr;
  }
  (*decoding_for)->Retain(id);
  return MakeRef(*decoding_for, id);
}

PyObject* Decode(const std::shared_ptr<Session>& session, const value::SharedBytes& bytes) {
  Result<value::View> view = value::ParseValue(bytes.view());
  if (!view.ok()) return Unreadable(view.status());
  switch (view->kind) {
    case value::Kind::kNull:
      Py_RETURN_NONE;
    case value::Kind::kMsgpack:
      return PlainDecoder(session, view->body).Decode();
    case value::Kind::kNdarray:
      return DecodeArray(*view, bytes);
    case value::Kind::kPickle: {
      DecodingFor scope(session);
      return DecodePickle(*view, bytes);
    }
    case value::Kind::kError: {
      DecodingFor scope(session);
      return RaiseError(DecodeError(bytes.view()));
    }
  }
  return Unreadable(Status(Code::kDataLoss, "unknown kind of value"));
}

}  // namespace kiln::python
