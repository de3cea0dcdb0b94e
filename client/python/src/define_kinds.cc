#include "client/python/src/define_kinds.h"

#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/python/src/object_ref.h"

namespace py = pybind11;

namespace kiln::python {
namespace {

using Amounts = std::map<std::string, double>;
// See kiln._actor_info.
using WireMethod =
    std::tuple<std::string, uint32_t, bool, uint32_t, std::string, std::optional<int32_t>, bool>;
using WireClass = std::tuple<std::string, std::string, std::vector<WireMethod>, int32_t, uint32_t>;

// See kiln._placement.
using Placement = std::pair<uint64_t, int>;
// CPUs, memory, custom resources.
using Bundle = std::tuple<double, uint64_t, Amounts>;

[[noreturn]] void ThrowError() {
  throw py::error_already_set();
}

void SetResources(v1::Resources* out, double num_cpus, uint64_t memory, const Amounts& resources) {
  out->set_num_cpus(num_cpus);
  out->set_memory_bytes(memory);
  for (const auto& [name, amount] : resources) (*out->mutable_custom())[name] = amount;
}

void SetPlacement(v1::TaskClass* out, const Placement& placement) {
  out->set_placement_group(placement.first);
  out->set_bundle_index(placement.second);
}

TaskKind Tell(Session& session, const v1::TaskClass& task_class, Reader reader) {
  if (!session.CheckUsable()) ThrowError();
  Result<uint32_t> id = session.peer().Define(task_class);
  if (!id.ok()) {
    SetError(id.status());
    ThrowError();
  }
  return {*id, std::max<uint32_t>(task_class.num_returns(), 1), reader};
}

Reader ReaderOf(bool any_language) {
  return any_language ? Reader::kAny : Reader::kPython;
}

TaskKind Define(Session& session, const std::string& library, const std::string& function,
                const std::string& name, double num_cpus, uint64_t memory, const Amounts& resources,
                int max_retries, bool retry_exceptions, int64_t timeout_ms, int priority,
                uint32_t num_returns, bool streaming, uint32_t stream_window, bool detached,
                bool any_language, const Placement& placement) {
  v1::TaskClass out;
  SetPlacement(&out, placement);
  out.set_library(library);
  out.set_function(function);
  out.set_name(name);
  SetResources(out.mutable_resources(), num_cpus, memory, resources);
  out.set_max_retries(max_retries);
  out.set_retry_exceptions(retry_exceptions);
  out.set_timeout_ms(timeout_ms);
  out.set_priority(priority);
  out.set_num_returns(num_returns);
  out.set_detached(detached);
  out.set_streaming(streaming);
  out.set_stream_window(stream_window);
  TaskKind kind = Tell(session, out, ReaderOf(any_language));
  if (library.empty() && session.in_worker()) kind.keep = ParseRef(function).value_or(0);
  return kind;
}

TaskKind DefineMethod(Session& session, const std::string& function, const std::string& name,
                      int max_retries, bool retry_exceptions, uint32_t num_returns, bool streaming,
                      uint32_t stream_window, const std::string& concurrency_group,
                      bool any_language) {
  v1::TaskClass out;
  out.set_function(function);
  out.set_name(name);
  SetResources(out.mutable_resources(), 0, 0, {});
  out.set_method(true);
  out.set_max_retries(max_retries);
  out.set_retry_exceptions(retry_exceptions);
  out.set_num_returns(num_returns);
  out.set_streaming(streaming);
  out.set_stream_window(stream_window);
  out.set_concurrency_group(concurrency_group);
  out.set_any_language(any_language);
  return Tell(session, out, ReaderOf(any_language));
}

TaskKind DefineActor(Session& session, const std::string& library, const std::string& function,
                     const std::string& name, double num_cpus, double held_cpus, uint64_t memory,
                     const Amounts& resources, bool detached, int max_restarts,
                     uint32_t max_concurrency,
                     const std::map<std::string, uint32_t>& concurrency_groups, bool any_language,
                     const Placement& placement) {
  v1::TaskClass out;
  SetPlacement(&out, placement);
  out.set_library(library);
  out.set_function(function);
  out.set_name(name);
  SetResources(out.mutable_resources(), num_cpus, memory, resources);
  out.set_num_returns(1);
  out.set_detached(detached);
  v1::ActorOptions* actor = out.mutable_actor();
  SetResources(actor->mutable_held(), held_cpus, memory, resources);
  actor->set_max_restarts(max_restarts);
  actor->set_max_concurrency(max_concurrency);
  for (const auto& [group, most] : concurrency_groups) {
    (*actor->mutable_concurrency_groups())[group] = most;
  }
  TaskKind kind = Tell(session, out, ReaderOf(any_language));
  if (library.empty()) kind.keep = ParseRef(function).value_or(0);
  return kind;
}

v1::ActorClass ToProto(const WireClass& from) {
  v1::ActorClass out;
  out.set_name(std::get<0>(from));
  out.set_language(std::get<1>(from));
  for (const auto& [name, num_returns, streaming, window, group, retries, retry_exceptions] :
       std::get<2>(from)) {
    v1::ActorMethod* method = out.add_methods();
    method->set_name(name);
    method->set_num_returns(num_returns);
    method->set_streaming(streaming);
    method->set_stream_window(window);
    method->set_concurrency_group(group);
    if (retries) method->set_max_task_retries(*retries);
    method->set_retry_exceptions(retry_exceptions);
  }
  out.set_max_task_retries(std::get<3>(from));
  out.set_max_pending_calls(std::get<4>(from));
  return out;
}

WireClass FromProto(const v1::ActorClass& from) {
  std::vector<WireMethod> methods;
  for (const v1::ActorMethod& method : from.methods()) {
    std::optional<int32_t> retries;
    if (method.has_max_task_retries()) retries = method.max_task_retries();
    methods.emplace_back(method.name(), std::max<uint32_t>(method.num_returns(), 1),
                         method.streaming(), method.stream_window(), method.concurrency_group(),
                         retries, method.retry_exceptions());
  }
  return {from.name(), from.language(), std::move(methods), from.max_task_retries(),
          from.max_pending_calls()};
}

py::object WrapRef(Session& session, ObjectId id) {
  PyObject* ref = MakeRef(session.shared_from_this(), id);
  if (!ref) ThrowError();
  return py::reinterpret_steal<py::object>(ref);
}

py::tuple CreateActor(Session& session, const TaskKind& kind, const py::tuple& arguments,
                      const py::dict& keywords, const std::string& name,
                      const std::string& name_space, bool get_if_exists,
                      const WireClass& actor_class) {
  v1::CreateActor request;
  request.set_name(name);
  request.set_namespace_(name_space);
  request.set_get_if_exists(get_if_exists);
  *request.mutable_class_() = ToProto(actor_class);
  ObjectId id = 0;
  std::optional<v1::ActorClass> found;
  if (!session.CreateActor(kind, arguments.ptr(), keywords.ptr(), std::move(request), &id,
                           &found)) {
    ThrowError();
  }
  py::object ref = WrapRef(session, id);
  if (!found) return py::make_tuple(ref, py::none());
  return py::make_tuple(ref, FromProto(*found));
}

py::tuple FindActor(Session& session, const std::string& name, const std::string& name_space) {
  ObjectId id = 0;
  v1::ActorClass found;
  if (!session.FindActor(name, name_space, &id, &found)) ThrowError();
  return py::make_tuple(WrapRef(session, id), FromProto(found));
}

py::object CreateGroup(Session& session, const std::vector<Bundle>& bundles,
                       const std::string& name, bool detached) {
  if (!session.CheckUsable()) ThrowError();
  v1::CreateGroup request;
  for (const auto& [num_cpus, memory, custom] : bundles) {
    SetResources(request.add_bundles(), num_cpus, memory, custom);
  }
  request.set_name(name);
  request.set_detached(detached);
  request.set_value(Encode(Py_None, Reader::kAny)->ToString());
  Result<ObjectId> id = session.peer().CreateGroup(std::move(request));
  if (!id.ok()) {
    SetError(id.status());
    ThrowError();
  }
  return WrapRef(session, *id);
}

void RemoveGroup(Session& session, py::handle ref) {
  if (!session.CheckUsable()) ThrowError();
  session.peer().RemoveGroup(IdOf(ref.ptr()));
}

}  // namespace

void AddKinds(py::class_<Session, std::shared_ptr<Session>>& session) {
  session
      .def("define", &Define, py::kw_only(), py::arg("library"), py::arg("function"),
           py::arg("name"), py::arg("num_cpus"), py::arg("memory"), py::arg("resources"),
           py::arg("max_retries"), py::arg("retry_exceptions"), py::arg("timeout_ms"),
           py::arg("priority"), py::arg("num_returns"), py::arg("streaming"),
           py::arg("stream_window"), py::arg("detached"), py::arg("any_language"),
           py::arg("placement"))
      .def("define_method", &DefineMethod, py::kw_only(), py::arg("function"), py::arg("name"),
           py::arg("max_retries"), py::arg("retry_exceptions"), py::arg("num_returns"),
           py::arg("streaming"), py::arg("stream_window"), py::arg("concurrency_group"),
           py::arg("any_language"))
      .def("define_actor", &DefineActor, py::kw_only(), py::arg("library"), py::arg("function"),
           py::arg("name"), py::arg("num_cpus"), py::arg("held_cpus"), py::arg("memory"),
           py::arg("resources"), py::arg("detached"), py::arg("max_restarts"),
           py::arg("max_concurrency"), py::arg("concurrency_groups"), py::arg("any_language"),
           py::arg("placement"))
      .def("create_group", &CreateGroup)
      .def("remove_group", &RemoveGroup)
      .def("create_actor", &CreateActor)
      .def("find_actor", &FindActor)
      .def("kill_actor", [](Session& self, py::handle ref, bool may_restart) {
        if (!self.KillActor(ref.ptr(), may_restart)) ThrowError();
      });
}

}  // namespace kiln::python
