#include "worker/python/outcomes.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "client/python/src/encode.h"
#include "client/python/src/gil.h"
#include "client/python/src/python_error.h"
#include "client/python/src/session.h"
#include "common/value/error_value.h"
#include "worker/python/current_task.h"
#include "worker/stream.h"

namespace kiln::python {
namespace {

ErrorKind KindOf(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::kActorUnavailable); ++i) {
    if (ErrorKindName(static_cast<ErrorKind>(i)) == name) return static_cast<ErrorKind>(i);
  }
  return ErrorKind::kTaskFailed;
}

}  // namespace

void Outcomes::Fill(PyObject* result, const worker::Invocation& invocation,
                    worker::Outcome* outcome) const {
  if (result) Py_SETREF(result, Portable(result, invocation));
  const bool encoded = result && EncodeResults(result, invocation, outcome);
  Py_XDECREF(result);
  if (!encoded) Describe(invocation, outcome);
  // What it printed without an end of line belongs to this task.
  PyObject* flushed = PyObject_CallMethod(execute_, "flush", nullptr);
  if (!flushed) PyErr_Clear();
  Py_XDECREF(flushed);
}

PyObject* Outcomes::Portable(PyObject* value, const worker::Invocation& invocation) const {
  if (!invocation.any_language && invocation.library.empty()) {
    Py_INCREF(value);
    return value;
  }
  return PyObject_CallMethod(execute_, "portable", "(O)", value);
}

bool Outcomes::YieldItem(PyObject* item, const worker::Invocation& invocation) const {
  PyObject* portable = Portable(item, invocation);
  if (!portable) return false;
  std::shared_ptr<value::Parts> parts = Encode(portable, Reader::kPython);
  Py_DECREF(portable);
  if (!parts) return ExplainResult(item), false;
  Status status;
  {
    WithoutGil others_may_run;
    status = invocation.stream->Yield(parts);
  }
  if (status.ok()) return true;
  if (status.code() == Code::kCancelled && invocation.callee == worker::Callee::kFunction) {
    (void)TakeInterrupt();
    PyErr_SetNone(PyExc_KeyboardInterrupt);
  } else {
    SetError(status);
  }
  return false;
}

// Says of the error that is set which result could not be encoded.
void Outcomes::ExplainResult(PyObject* result) const {
  PyObject* error = TakeError();
  SetException(PyObject_CallMethod(execute_, "explain_result", "OO", result, error));
  Py_DECREF(error);
}

bool Outcomes::EncodeResults(PyObject* result, const worker::Invocation& invocation,
                             worker::Outcome* outcome) const {
  PyObject* split = nullptr;
  PyObject* const* results = &result;
  if (invocation.num_returns > 1) {
    split = PyObject_CallMethod(execute_, "split", "OI", result, invocation.num_returns);
    if (!split) return false;
    results = &PyTuple_GET_ITEM(split, 0);
  }
  bool encoded = true;
  for (uint32_t i = 0; encoded && i < std::max<uint32_t>(invocation.num_returns, 1); ++i) {
    std::shared_ptr<value::Parts> parts = Encode(results[i], Reader::kPython);
    encoded = parts != nullptr;
    outcome->results.push_back(std::move(parts));
  }
  Py_XDECREF(split);
  if (encoded) return true;
  outcome->results.clear();
  ExplainResult(result);
  return false;
}

void Outcomes::Describe(const worker::Invocation& invocation, worker::Outcome* outcome) const {
  ErrorInfo error;
  error.task = invocation.name.empty() ? invocation.function : invocation.name;
  error.worker_pid = getpid();
  PyObject* exception = TakeError();
  const bool cancelled = invocation.cancelled && invocation.cancelled->load();
  PyObject* described = PyObject_CallMethod(execute_, "describe", "OsO", exception,
                                            error.task.c_str(), cancelled ? Py_True : Py_False);
  const char *kind, *type_name, *message, *text;
  const char* pickle = nullptr;
  Py_ssize_t pickle_bytes = 0;
  int retryable = 0;
  if (described && PyArg_ParseTuple(described, "sssz#sp", &kind, &type_name, &message, &pickle,
                                    &pickle_bytes, &text, &retryable)) {
    error.kind = KindOf(kind);
    error.type = type_name;
    error.message = message;
    error.traceback = text;
    if (pickle) error.exception.assign(pickle, static_cast<size_t>(pickle_bytes));
  } else {
    PyErr_Clear();
    error.kind = cancelled ? ErrorKind::kCancelled : ErrorKind::kTaskFailed;
    error.type = Py_TYPE(exception)->tp_name;
    error.message = "the exception could not be described";
  }
  // Python says so only of what ends the actor: an error that came from another one is a failure.
  outcome->actor_exits = error.kind == ErrorKind::kActorDied;
  outcome->error = std::move(error);
  outcome->retryable = retryable != 0 && outcome->error->kind != ErrorKind::kCancelled;
  Py_XDECREF(described);
  Py_DECREF(exception);
}

}  // namespace kiln::python
