// kiln._kiln: the part of the Python package that is written in C++.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/cpp/src/join.h"
#include "client/python/src/actor_call.h"
#include "client/python/src/decode.h"
#include "client/python/src/define_kinds.h"
#include "client/python/src/encode.h"
#include "client/python/src/gil.h"
#include "client/python/src/object_ref.h"
#include "client/python/src/session.h"
#include "client/python/src/shared_buffer.h"
#include "common/fork_server.h"
#include "kiln/error.h"
#include "worker/python/current_task.h"
#include "worker/python/run_python_worker.h"

namespace py = pybind11;

namespace kiln::python {
namespace {

// A new reference, or the error that is set.
py::object Checked(PyObject* object) {
  if (!object) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

std::shared_ptr<Session> Connect(const py::dict& program, const std::string& address,
                                 const std::string& session_dir, bool start_head, bool new_head,
                                 int num_cpus, uint64_t object_store_memory,
                                 const std::map<std::string, double>& resources) {
  ConnectOptions options;
  options.address = address;
  options.session_dir = session_dir;
  options.start_head = start_head;
  options.new_head = new_head;
  options.num_cpus = num_cpus;
  options.object_store_memory = object_store_memory;
  options.resources = resources;
  v1::Hello hello;
  hello.set_language("python");
  v1::Program* out = hello.mutable_program();
  out->set_executable(program["executable"].cast<std::string>());
  for (const auto& arg : program["args"].cast<std::vector<std::string>>()) out->add_args(arg);
  for (const auto& variable : program["env"].cast<std::vector<std::string>>()) {
    out->add_env(variable);
  }
  out->set_working_dir(program["working_dir"].cast<std::string>());
  out->set_fork_server(true);
  out->set_setup(program["setup"].cast<std::string>());
  Joined joined;
  {
    WithoutGil others_may_run;
    joined = Join(options, std::move(hello));
  }
  return std::make_shared<Session>(std::move(joined.peer), std::move(joined.own_head),
                                   /*worker=*/false);
}

// Returns: None when nobody wants forks any more, or this is no fork server; in a fork, what it is
// to be.
py::object ServeForks() {
  std::optional<ForkServer> server = ForkServer::FromEnvironment();
  if (!server) return py::none();
  std::optional<ForkOrder> order =
      server->Serve({PyOS_BeforeFork, PyOS_AfterFork_Parent, PyOS_AfterFork_Child});
  if (!order) return py::none();
  py::list env;
  for (const std::string& variable : order->env) env.append(py::bytes(variable));
  py::dict out;
  out["env"] = env;
  out["setup"] = py::bytes(order->setup);
  return out;
}

py::object CurrentTaskInfo() {
  const worker::Invocation* task = CurrentInvocation();
  if (!task) return py::none();
  return py::make_tuple(FormatRef(task->task), task->name.empty() ? task->function : task->name,
                        task->attempt, task->num_cpus, task->cancelled && task->cancelled->load());
}

bool ReadKind(PyObject* object, TaskKind* kind) {
  try {
    *kind = py::handle(object).cast<TaskKind>();
    return true;
  } catch (const py::cast_error&) {
    PyErr_SetString(PyExc_TypeError, "not a TaskKind");
    return false;
  }
}

void DefineSession(py::module_& module) {
  py::class_<TaskKind>(module, "TaskKind").def_readonly("num_returns", &TaskKind::num_returns);
  py::class_<Session, std::shared_ptr<Session>> session(module, "Session");
  AddKinds(session);
  session
      .def("submit",
           [](Session& self, const TaskKind& kind, const py::tuple& arguments,
              const py::dict& keywords) {
             return Checked(self.Submit(kind, arguments.ptr(), keywords.ptr()));
           })
      .def("put", [](Session& self, py::handle value) { return Checked(self.Put(value.ptr())); })
      .def("put_pickled",
           [](Session& self, py::handle value, py::handle dump) {
             return Checked(self.PutPickled(value.ptr(), dump.ptr()));
           })
      .def("get",
           [](Session& self, py::handle ref, std::optional<double> timeout) {
             return Checked(self.Get(ref.ptr(), timeout));
           })
      .def("get_list",
           [](Session& self, const py::list& refs, std::optional<double> timeout) {
             return Checked(self.GetList(refs.ptr(), timeout));
           })
      .def("wait",
           [](Session& self, const py::list& refs, size_t num_returns,
              std::optional<double> timeout) {
             return Checked(self.Wait(refs.ptr(), num_returns, timeout));
           })
      .def("cancel", [](Session& self, py::handle ref,
                        bool force) { return Checked(self.Cancel(ref.ptr(), force)); })
      .def("next_item",
           [](Session& self, py::handle end, std::optional<double> timeout) {
             return Checked(self.NextItem(end.ptr(), timeout));
           })
      .def("drop_stream", [](Session& self, py::handle end) { self.DropStream(end.ptr()); })
      .def("watch",
           [](Session& self, py::handle ref) {
             if (!self.Watch(ref.ptr())) throw py::error_already_set();
           })
      .def("next_events", [](Session& self) { return Checked(self.NextEvents()); })
      .def("ref_of",
           [](Session& self, const std::string& hex) {
             std::optional<ObjectId> id = ParseRef(hex);
             if (!id)
               throw py::value_error("not a ref: \"" + hex + "\"; it has 16 hexadecimal digits");
             return Checked(self.RefOf(*id));
           })
      .def("keep_lines", [](Session& self, bool keep) { self.peer().KeepLines(keep); })
      .def("shutdown", &Session::Shutdown)
      .def_property_readonly("usable", &Session::usable)
      .def_property_readonly("address", [](Session& self) { return self.peer().address(); })
      .def_property_readonly("num_cpus",
                             [](Session& self) { return self.peer().welcome().num_cpus(); })
      .def_property_readonly("session_number",
                             [](Session& self) { return self.peer().welcome().session_number(); })
      .def_property_readonly(
          "store_bytes", [](Session& self) { return self.peer().welcome().store_capacity_bytes(); })
      .def_property_readonly("head_version",
                             [](Session& self) { return self.peer().welcome().version(); })
      .def_property_readonly("own_head", [](Session& self) { return self.own_head() != nullptr; });
}

}  // namespace

PyObject* WrapSession(const std::shared_ptr<Session>& session) {
  return py::cast(session).release().ptr();
}

PYBIND11_MODULE(_kiln, module) {
  module.doc() = "The part of kiln that is written in C++: sessions, refs, values.";
  if (!AddRefType(module.ptr()) || !AddBufferType(module.ptr()) ||
      !AddActorCallType(module.ptr(), &ReadKind)) {
    throw py::error_already_set();
  }
  DefineSession(module);
  module.attr("version") = KILN_VERSION;
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const ConnectionError& error) {
      PyErr_SetString(PyExc_ConnectionError, error.what());
    }
  });
  module.def("connect", &Connect, py::kw_only(), py::arg("program"), py::arg("address"),
             py::arg("session_dir"), py::arg("start_head"), py::arg("new_head"),
             py::arg("num_cpus"), py::arg("object_store_memory"), py::arg("resources"));
  module.def("find_binary", [](const std::string& name) {
    Result<std::string> path = FindBinary(name);
    if (!path.ok()) throw py::value_error(path.status().message());
    return *path;
  });
  module.def("set_hooks",
             [](py::handle dump, py::handle load, py::handle make_error, py::handle explain) {
               SetDump(dump.ptr());
               SetLoad(load.ptr());
               SetMakeError(make_error.ptr());
               SetExplainArgument(explain.ptr());
             });
  module.def("_restore_ref", [](uint64_t id) { return Checked(RestoreRef(id)); });
  module.def("is_actor_call", [](py::handle ref) {
    return IsRef(ref.ptr()) && reinterpret_cast<RefObject*>(ref.ptr())->of_actor_call;
  });
  module.def("current_task", &CurrentTaskInfo,
             "(id, name, attempt, num_cpus, cancelled) of the task on this thread, or None.");
  module.def("cancelled", [] {
    const worker::Invocation* task = CurrentInvocation();
    return task && task->cancelled && task->cancelled->load();
  });
  module.def("serve_forks", &ServeForks);
  module.def("take_interrupt", &TakeInterrupt);
  module.def("run_worker", [](py::handle execute, py::handle on_connected) {
    RunPythonWorker(execute.ptr(), on_connected.ptr());
  });
}

}  // namespace kiln::python
