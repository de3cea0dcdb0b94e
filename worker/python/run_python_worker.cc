#include "worker/python/run_python_worker.h"

#include <pthread.h>
#include <signal.h>

#include <memory>

#include "client/python/src/gil.h"
#include "client/python/src/session.h"
#include "worker/peer_runtime.h"
#include "worker/python/actor_loop.h"
#include "worker/python/current_task.h"
#include "worker/python/python_functions.h"
#include "worker/run_worker.h"

namespace kiln::python {

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
  // One state of Python's for the whole life of the thread: what is threading.local stays.
  options.functions.on_thread = [](const std::function<void()>& body) {
    WithGil gil;
    WithoutGil others_may_run;
    body();
  };
  options.functions.serve = [&functions](worker::ActorCalls& calls) {
    ActorLoop(functions.get(), &calls).Run();
  };
  options.functions.on_leave = [&functions] { functions->OnLeave(); };
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
