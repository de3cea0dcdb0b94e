#include "worker/python/python_functions.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "client/python/src/decode.h"
#include "client/python/src/gil.h"
#include "worker/python/current_task.h"

namespace kiln::python {

PythonFunctions::PythonFunctions(std::shared_ptr<Session> session, PyObject* execute)
    : session_(std::move(session)), execute_(execute), outcomes_(execute) {}

worker::Outcome PythonFunctions::Invoke(const worker::Invocation& invocation) {
  WithGil gil;
  TaskScope scope(invocation);
  worker::Outcome outcome;
  Function* function = nullptr;
  PyObject* result = nullptr;
  if (invocation.callee == worker::Callee::kMethod) {
    result = CallMethod(invocation);
  } else if ((function = Find(invocation)) && SetThreads(invocation.num_cpus)) {
    result = invocation.callee == worker::Callee::kConstructor
                 ? Construct(function->callable, invocation, &outcome)
                 : Call(function->callable, invocation);
  }
  if (result && invocation.stream) Py_SETREF(result, Stream(result, invocation));
  outcomes_.Fill(result, invocation, &outcome);
  if (function && function->max_calls > 0 && ++function->calls >= function->max_calls) {
    outcome.leave = true;
  }
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

void PythonFunctions::OnLeave() {
  WithGil gil;
  PyObject* done = PyObject_CallMethod(execute_, "leave", nullptr);
  if (!done) PyErr_Print();
  Py_XDECREF(done);
}

// --- finding -------------------------------------------------------------------------------------

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

PyObject* PythonFunctions::FindMethod(const std::string& name) {
  auto known = methods_.find(name);
  if (known != methods_.end()) return known->second;
  PyObject* found = PyObject_CallMethod(execute_, "find_method", "s", name.c_str());
  if (!found) return nullptr;
  // Another thread may have been faster while Python looked.
  auto [entry, inserted] = methods_.emplace(name, found);
  if (!inserted) Py_DECREF(found);
  return entry->second;
}

// --- calling -------------------------------------------------------------------------------------

bool PythonFunctions::SetThreads(double num_cpus) {
  if (num_cpus == num_cpus_) return true;
  num_cpus_ = num_cpus;
  PyObject* set = PyObject_CallMethod(execute_, "set_threads", "d", num_cpus_);
  Py_XDECREF(set);
  return set != nullptr;
}

PyObject* PythonFunctions::CallMethod(const worker::Invocation& invocation) {
  PyObject* method = FindMethod(invocation.function);
  return method ? Call(method, invocation) : nullptr;
}

PyObject* PythonFunctions::Call(PyObject* callable, const worker::Invocation& invocation,
                                std::span<PyObject* const> first) {
  const size_t count = invocation.arguments.size();
  const size_t named = std::min(invocation.keywords.size(), count);
  PyObject* names = nullptr;
  std::vector<PyObject*> objects;  // one more place before the first: see vectorcall
  objects.reserve(1 + first.size() + count);
  objects.push_back(nullptr);
  objects.insert(objects.end(), first.begin(), first.end());
  bool complete = true;
  for (size_t i = 0; complete && i < count; ++i) {
    PyObject* argument = Decode(session_, invocation.arguments[i]);
    complete = argument != nullptr;
    if (argument) objects.push_back(argument);
  }
  if (complete && named > 0) {
    names = PyTuple_New(static_cast<Py_ssize_t>(named));
    for (size_t i = 0; complete && i < named; ++i) {
      PyObject* name = PyUnicode_InternFromString(invocation.keywords[i].c_str());
      complete = name != nullptr;
      PyTuple_SET_ITEM(names, static_cast<Py_ssize_t>(i), name);
    }
  }
  PyObject* result = nullptr;
  if (complete) {
    const size_t positional = objects.size() - 1 - named;
    result = PyObject_Vectorcall(callable, objects.data() + 1,
                                 positional | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
  }
  for (size_t i = 1 + first.size(); i < objects.size(); ++i) Py_DECREF(objects[i]);
  Py_XDECREF(names);
  return result;
}

PyObject* PythonFunctions::Construct(PyObject* type, const worker::Invocation& invocation,
                                     worker::Outcome* outcome) {
  PyObject* construct = PyObject_GetAttrString(execute_, "construct");
  PyObject* id = PyUnicode_FromString(FormatRef(invocation.task).c_str());
  PyObject* attempt = PyLong_FromUnsignedLong(invocation.attempt);
  PyObject* const first[] = {type, id, attempt};
  PyObject* told = construct && id && attempt ? Call(construct, invocation, first) : nullptr;
  Py_XDECREF(construct);
  Py_XDECREF(id);
  Py_XDECREF(attempt);
  const char* repr;
  int serves_calls;
  const bool made = told && PyArg_ParseTuple(told, "sp", &repr, &serves_calls);
  if (made) {
    outcome->actor_repr = repr;
    outcome->serves_calls = serves_calls != 0;
  }
  Py_XDECREF(told);
  if (!made) return nullptr;
  Py_RETURN_NONE;
}

// The generator is closed when it is dropped, wherever it stands: its `finally` runs.
PyObject* PythonFunctions::Stream(PyObject* items, const worker::Invocation& invocation) {
  PyObject* iterator = PyObject_CallMethod(execute_, "items_of", "(O)", items);
  if (!iterator) return nullptr;
  Py_ssize_t count = 0;
  while (PyObject* item = PyIter_Next(iterator)) {
    const bool going = outcomes_.YieldItem(item, invocation);
    Py_DECREF(item);
    if (!going) break;
    ++count;
  }
  Py_DECREF(iterator);
  return PyErr_Occurred() ? nullptr : PyLong_FromSsize_t(count);
}

}  // namespace kiln::python
