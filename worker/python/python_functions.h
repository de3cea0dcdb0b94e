// Python functions as a worker's language: finds them, calls them with decoded arguments, encodes
// what they return. Also the one instance that an actor's process keeps, and its methods.
//
// Thread: the task thread, which is the main thread of the process, for signal handlers run there;
//         methods of an actor on any.
// See:    worker/python/execute.py and actor.py for the half that is written in Python.
#pragma once

#include <Python.h>

#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "client/python/src/session.h"
#include "worker/invoke.h"
#include "worker/python/outcomes.h"

namespace kiln::python {

class PythonFunctions {
 public:
  // `execute`: the module kiln.worker.execute; borrowed for the life of the process.
  PythonFunctions(std::shared_ptr<Session> session, PyObject* execute);

  // Runs one task. Blocks: as long as the function runs. Requires: the GIL is not held.
  worker::Outcome Invoke(const worker::Invocation& invocation);
  // See worker::Language. Requires: the GIL is not held.
  bool IsStale(const std::string& library);
  void OnLeave();

  // Calls a method of the instance. Requires: the GIL.
  // Returns: what it returned, a coroutine of an async one; null with a Python error set.
  PyObject* CallMethod(const worker::Invocation& invocation);

  const Outcomes& outcomes() const { return outcomes_; }
  PyObject* execute() const { return execute_; }

 private:
  struct Function {
    PyObject* callable;  // never freed: a class may be in use by what it made
    uint64_t max_calls;  // 0: without end
    uint64_t calls = 0;
  };

  // Each returns null with a Python error set.
  Function* Find(const worker::Invocation& invocation);
  PyObject* FindMethod(const std::string& name);
  // Calls with `first`, and then the arguments of the invocation.
  PyObject* Call(PyObject* callable, const worker::Invocation& invocation,
                 std::span<PyObject* const> first = {});
  PyObject* Construct(PyObject* type, const worker::Invocation& invocation,
                      worker::Outcome* outcome);
  // Hands over one item after the other. Returns: how many.
  PyObject* Stream(PyObject* items, const worker::Invocation& invocation);
  // Tells threaded libraries how many CPUs a task has. Returns: false with a Python error set.
  bool SetThreads(double num_cpus);

  const std::shared_ptr<Session> session_;
  PyObject* const execute_;
  const Outcomes outcomes_;
  double num_cpus_ = 0;                                  // that threaded libraries were told last
  std::unordered_map<std::string, Function> functions_;  // by library and function
  std::unordered_map<std::string, PyObject*> methods_;   // by name, of the instance; never freed
};

}  // namespace kiln::python
