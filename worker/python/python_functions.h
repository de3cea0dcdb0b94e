// Python functions as a worker's language: finds them, calls them with decoded arguments, encodes
// what they return.
//
// Thread: the task thread, which is the main thread of the process: signal handlers run there.
// See:    worker/python/execute.py for the half that is written in Python.
#pragma once

#include <Python.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "client/python/src/session.h"
#include "worker/executor.h"

namespace kiln::python {

// A task on the stack of this process, as `kiln.get_runtime_context` shows it.
struct RunningTask {
  const worker::Invocation* invocation;
  RunningTask* outer;
  bool interrupted = false;  // KeyboardInterrupt was raised in it
};
// Returns: the innermost one of this thread; null outside of a task.
const RunningTask* CurrentTask();
// True once for each task that was cancelled: KeyboardInterrupt is to be raised in it now.
bool TakeInterrupt();

class PythonFunctions {
 public:
  // `execute`: the module kiln.worker.execute; borrowed for the life of the process.
  PythonFunctions(std::shared_ptr<Session> session, PyObject* execute);

  // Runs one task. Blocks: as long as the function runs. Requires: the GIL is not held.
  worker::Outcome Invoke(const worker::Invocation& invocation);
  // See worker::Language. Requires: the GIL is not held.
  bool IsStale(const std::string& library);

 private:
  struct Function {
    PyObject* callable;  // never freed: a class may be in use by what it made
    uint64_t max_calls;  // 0: without end
    uint64_t calls = 0;
  };

  // Returns: null with a Python error set.
  Function* Find(const worker::Invocation& invocation);
  PyObject* Call(PyObject* callable, const worker::Invocation& invocation);
  // Hands over one item after the other. Returns: how many; null with a Python error set.
  PyObject* Stream(PyObject* items, const worker::Invocation& invocation);
  bool EncodeResults(PyObject* result, const worker::Invocation& invocation,
                     worker::Outcome* outcome);
  void ExplainResult(PyObject* result);
  // What the Python error that is set means for the task.
  void Describe(const worker::Invocation& invocation, worker::Outcome* outcome);

  const std::shared_ptr<Session> session_;
  PyObject* const execute_;
  double num_cpus_ = 0;                                  // that threaded libraries were told last
  std::unordered_map<std::string, Function> functions_;  // by library and function
};

// The life of a worker process: connects and runs tasks on this thread until the head ends the
// session. Requires: the main thread, the GIL; KILN_WORKER is set. Ends the process.
// `on_connected`: called with the session before the first task.
[[noreturn]] void RunPythonWorker(PyObject* execute, PyObject* on_connected);

}  // namespace kiln::python
