#include "worker/python/python_functions.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "client/python/src/decode.h"
#include "client/python/src/encode.h"
#include "client/python/src/gil.h"
#include "client/python/src/python_error.h"
#include "common/value/error_value.h"
#include "worker/peer_runtime.h"
#include "worker/run_worker.h"
#include "worker/stream.h"

namespace kiln::python {
namespace {

thread_local RunningTask* running = nullptr;

class Scope {
 public:
  explicit Scope(const worker::Invocation& invocation) : task_{&invocation, running} {
    running = &task_;
  }
  ~Scope() { running = task_.outer; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  RunningTask task_;
};

ErrorKind KindOf(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::kObjectLost); ++i) {
    if (ErrorKindName(static_cast<ErrorKind>(i)) == name) return static_cast<ErrorKind>(i);
  }
  return ErrorKind::kTaskFailed;
}

}  // namespace

const RunningTask* CurrentTask() {
  return running;
}

bool TakeInterrupt() {
  if (!running || running->interrupted || !running->invocation->cancelled->load()) return false;
  return running->interrupted = true;
}

PythonFunctions::PythonFunctions(std::shared_ptr<Session> session, PyObject* execute)
    : session_(std::move(session)), execute_(execute) {}

worker::Outcome PythonFunctions::Invoke(const worker::Invocation& invocation) {
  WithGil gil;
  Scope scope(invocation);
  worker::Outcome outcome;
  Function* function = Find(invocation);
  PyObject* result = function ? Call(function->callable, invocation) : nullptr;
  if (result && invocation.stream) Py_SETREF(result, Stream(result, invocation));
  if (result && !invocation.library.empty()) {
    Py_SETREF(result, PyObject_CallMethod(execute_, "portable", "(O)", result));
  }
  const bool encoded = result && EncodeResults(result, invocation, &outcome);
  Py_XDECREF(result);
  if (!encoded) Describe(invocation, &outcome);
  if (function && function->max_calls > 0 && ++function->calls >= function->max_calls) {
    outcome.leave = true;
  }
  // What it printed without an end of line belongs to this task.
  PyObject* flushed = PyObject_CallMethod(execute_, "flush", nullptr);
  if (!flushed) PyErr_Clear();
  Py_XDECREF(flushed);
  return outcome;
}

bool PythonFunctions::IsStale(const std::string& library) {
  if (library.empty()) return false;  // its functions come from the driver
  WithGil gil;
  PyObject* stale = PyObject_CallMethod(execute_, "is_stale", nullptr);
  if (!stale) PyErr_Clear();
  const bool is_stale = stale == Py_True;
  Py_XDECREF(stale);
  return is_stale;
}

PythonFunctions::Function* PythonFunctions::Find(const worker::Invocation& invocation) {
  std::string key = invocation.library + '\n' + invocation.function;
  auto known = functions_.find(key);
  if (known != functions_.end()) return &known->second;
  PyObject* found = PyObject_CallMethod(execute_, "load", "ss", invocation.library.c_str(),
                                        invocation.function.c_str());
  if (!found) return nullptr;
  PyObject* callable;
  unsigned long long max_calls;
  const bool ok = PyArg_ParseTuple(found, "OK", &callable, &max_calls);
  if (ok) Py_INCREF(callable);
  Py_DECREF(found);
  if (!ok) return nullptr;
  return &functions_.emplace(std::move(key), Function{callable, max_calls}).first->second;
}

PyObject* PythonFunctions::Call(PyObject* callable, const worker::Invocation& invocation) {
  if (invocation.num_cpus != num_cpus_) {
    num_cpus_ = invocation.num_cpus;
    PyObject* set = PyObject_CallMethod(execute_, "set_threads", "d", num_cpus_);
    if (!set) return nullptr;
    Py_DECREF(set);
  }
  const size_t count = invocation.arguments.size();
  const size_t named = std::min(invocation.keywords.size(), count);
  PyObject* arguments = PyTuple_New(static_cast<Py_ssize_t>(count - named));
  PyObject* keywords = named > 0 ? PyDict_New() : nullptr;
  bool complete = arguments && (named == 0 || keywords);
  for (size_t i = 0; complete && i < count; ++i) {
    PyObject* argument = Decode(session_, invocation.arguments[i]);
    complete = argument != nullptr;
    if (!complete) break;
    if (i < count - named) {
      PyTuple_SET_ITEM(arguments, static_cast<Py_ssize_t>(i), argument);
    } else {
      complete = PyDict_SetItemString(keywords, invocation.keywords[i - (count - named)].c_str(),
                                      argument) == 0;
      Py_DECREF(argument);
    }
  }
  PyObject* result = complete ? PyObject_Call(callable, arguments, keywords) : nullptr;
  Py_XDECREF(arguments);
  Py_XDECREF(keywords);
  return result;
}

// The generator is closed when it is dropped, wherever it stands: its `finally` runs.
PyObject* PythonFunctions::Stream(PyObject* items, const worker::Invocation& invocation) {
  PyObject* iterator = PyObject_CallMethod(execute_, "items_of", "(O)", items);
  if (!iterator) return nullptr;
  Py_ssize_t count = 0;
  bool going = true;
  while (going) {
    PyObject* item = PyIter_Next(iterator);
    if (!item) break;
    std::shared_ptr<value::Parts> parts = Encode(item, Reader::kPython);
    going = parts != nullptr;
    if (going) {
      Status status;
      {
        WithoutGil others_may_run;
        status = invocation.stream->Yield(parts);
      }
      going = status.ok();
      if (status.code() == Code::kCancelled) {
        (void)TakeInterrupt();
        PyErr_SetNone(PyExc_KeyboardInterrupt);
      } else if (!going) {
        SetError(status);
      }
    } else {
      ExplainResult(item);
    }
    Py_DECREF(item);
    count += going ? 1 : 0;
  }
  Py_DECREF(iterator);
  return PyErr_Occurred() ? nullptr : PyLong_FromSsize_t(count);
}

// Says of the error that is set which result could not be encoded.
void PythonFunctions::ExplainResult(PyObject* result) {
  PyObject* error = TakeError();
  SetException(PyObject_CallMethod(execute_, "explain_result", "OO", result, error));
  Py_DECREF(error);
}

bool PythonFunctions::EncodeResults(PyObject* result, const worker::Invocation& invocation,
                                    worker::Outcome* outcome) {
  PyObject* results = result;
  if (invocation.num_returns == 1) {
    results = PyTuple_Pack(1, result);
  } else {
    results = PyObject_CallMethod(execute_, "split", "OI", result, invocation.num_returns);
  }
  if (!results) return false;
  bool encoded = true;
  for (Py_ssize_t i = 0; encoded && i < PyTuple_GET_SIZE(results); ++i) {
    std::shared_ptr<value::Parts> parts = Encode(PyTuple_GET_ITEM(results, i), Reader::kPython);
    encoded = parts != nullptr;
    outcome->results.push_back(std::move(parts));
  }
  Py_DECREF(results);
  if (encoded) return true;
  outcome->results.clear();
  ExplainResult(result);
  return false;
}

void PythonFunctions::Describe(const worker::Invocation& invocation, worker::Outcome* outcome) {
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
  outcome->error = std::move(error);
  outcome->retryable = retryable != 0 && outcome->error->kind != ErrorKind::kCancelled;
  Py_XDECREF(described);
  Py_DECREF(exception);
}

void RunPythonWorker(PyObject* execute, PyObject* on_connected) {
  SetInterruptHook([] {
    if (!TakeInterrupt()) return false;
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return true;
  });
  std::shared_ptr<PythonFunctions> functions;
  const pthread_t main_thread = pthread_self();
  worker::WorkerOptions options;
  options.language = "python";
  options.on_this_thread = true;
  options.functions.invoke = [&functions](const worker::Invocation& invocation) {
    return functions->Invoke(invocation);
  };
  options.functions.is_stale = [&functions](const std::string& library) {
    return functions->IsStale(library);
  };
  // Python's handler runs in the main thread, also when that sleeps in a system call.
  options.functions.on_cancel = [main_thread] { pthread_kill(main_thread, SIGINT); };
  options.on_connected = [&](const std::shared_ptr<detail::Runtime>& runtime) {
    WithGil gil;
    auto session = std::make_shared<Session>(worker::PeerOf(*runtime).shared_from_this(), nullptr,
                                             /*worker=*/true);
    functions = std::make_shared<PythonFunctions>(session, execute);
    PyObject* wrapped = WrapSession(session);
    PyObject* done = wrapped ? PyObject_CallOneArg(on_connected, wrapped) : nullptr;
    if (!done) PyErr_Print();
    Py_XDECREF(done);
    Py_XDECREF(wrapped);
  };
  PyEval_SaveThread();
  worker::RunWorker(options);
}

}  // namespace kiln::python
