// The life of a Python worker process.
#pragma once

#include <Python.h>

namespace kiln::python {

// Connects and runs tasks on this thread until the head ends the session. Requires: the main
// thread, the GIL; KILN_WORKER is set. Ends the process. `execute`: the module kiln.worker.execute.
// `on_connected`: called with the session before the first task.
[[noreturn]] void RunPythonWorker(PyObject* execute, PyObject* on_connected);

}  // namespace kiln::python
