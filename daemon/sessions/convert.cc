#include "daemon/sessions/convert.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "common/clock.h"

namespace kiln::sessions {
namespace {

// Ten years: longer is as good as never, and keeps arithmetic on time from overflowing.
constexpr int64_t kMaxTimeoutMs = int64_t{10} * 365 * 24 * 3600 * 1000;
// 2^31 CPUs, or of a custom resource: far above any machine, far below the fixed point's range.
constexpr double kMaxAmount = 2147483648.0;

Status CheckAmount(const std::string& name, double amount) {
  if (std::isfinite(amount) && amount >= 0 && amount <= kMaxAmount) return Status();
  return Status(Code::kInvalidArgument,
                "resource " + name + " = " + std::to_string(amount) + "; it must be 0 or more");
}

constexpr std::string_view kPythonPrefix = "python:";

bool IsPython(const std::string& library) {
  return library.starts_with(kPythonPrefix);
}

std::string PythonRoot(const std::string& library) {
  return library.substr(kPythonPrefix.size());
}

Status CheckFunction(const std::string& library, const std::string& function) {
  if (function.empty()) return Status(Code::kInvalidArgument, "a task class has no function");
  const auto refuse = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "the task library \"" + library + "\" " + what);
  };
  if (library.find('\0') != library.npos) return refuse("has a zero byte in its path");
  if (!IsPython(library)) {
    if (library.empty() || library[0] == '/') return Status();
    return refuse("must be an absolute path, or python: and the absolute path of a directory");
  }
  if (!PythonRoot(library).starts_with('/')) {
    return refuse("must name a directory by its absolute path, as in python:/home/me/project");
  }
  const size_t colon = function.find(':');
  if (colon == function.npos || colon == 0 || colon + 1 == function.size()) {
    return Status(Code::kInvalidArgument, "the function \"" + function +
                                              "\" of a python: library " +
                                              "must be named as in package.module:name");
  }
  return Status();
}

}  // namespace

Result<core::Resources> FromProto(const v1::Resources& in) {
  if (Status s = CheckAmount("num_cpus", in.num_cpus()); !s.ok()) return s;
  core::Resources out(in.num_cpus(), std::min<uint64_t>(in.memory_bytes(), INT64_MAX));
  for (const auto& [name, amount] : in.custom()) {
    if (Status s = CheckAmount(name, amount); !s.ok()) return s;
    out.SetCustom(name, amount);
  }
  return out;
}

Result<core::TaskClass> FromProto(
    const v1::TaskClass& in, core::ProgramId program,
    const std::function<core::ProgramId(const std::string& root)>& python_host) {
  if (Status s = CheckFunction(in.library(), in.function()); !s.ok()) return s;
  core::TaskClass out;
  out.library = in.library();
  out.function = in.function();
  out.name = in.name().empty() ? in.function() : in.name();
  if (in.has_resources()) {
    Result<core::Resources> resources = FromProto(in.resources());
    if (!resources.ok()) return resources.status();
    out.resources = std::move(*resources);
  }
  out.max_retries = in.max_retries();
  out.retry_exceptions = in.retry_exceptions();
  out.timeout = milliseconds(std::clamp<int64_t>(in.timeout_ms(), 0, kMaxTimeoutMs));
  out.priority = in.priority();
  out.detached = in.detached();
  out.num_returns = std::max<uint32_t>(in.num_returns(), 1);
  out.program = in.library().empty()     ? program
                : IsPython(in.library()) ? python_host(PythonRoot(in.library()))
                                         : core::kLibraryHost;
  out.streaming = in.streaming();
  out.stream_window = in.streaming() ? in.stream_window() : 0;
  out.any_language = in.any_language();
  out.method = in.method();
  if (out.method) {  // runs where its actor is, and takes nothing beyond what that holds
    out.group = in.concurrency_group();
    out.resources = core::Resources();
    out.program = core::kLibraryHost;
    out.timeout = Duration{0};
    out.priority = 0;
  }
  if (in.placement_group() != 0 && !out.method) {
    out.placement_group = in.placement_group();
    out.bundle_index = in.bundle_index();
  }
  if (in.has_actor()) {
    Result<core::Resources> held = FromProto(in.actor().held());
    if (!held.ok()) return held.status();
    core::ActorOptions& options = out.actor.emplace();
    options.held = std::move(*held);
    options.max_restarts = in.actor().max_restarts();
    options.max_concurrency = std::max<uint32_t>(in.actor().max_concurrency(), 1);
    options.groups = {in.actor().concurrency_groups().begin(),
                      in.actor().concurrency_groups().end()};
    out.max_retries = 0;  // a lost constructor runs again with its actor
    out.retry_exceptions = false;
    out.timeout = Duration{0};
    out.num_returns = 1;
  }
  return out;
}

void ToProto(const core::Resources& in, v1::Resources* out) {
  out->set_num_cpus(in.num_cpus());
  out->set_memory_bytes(static_cast<uint64_t>(std::max<int64_t>(in.memory_bytes(), 0)));
  for (const auto& [name, units] : in.custom()) {
    (*out->mutable_custom())[name] = static_cast<double>(units) / core::Resources::kUnit;
  }
}

void ToProto(const core::TaskClass& in, core::ClassId id, v1::TaskClass* out) {
  out->set_class_id(id);
  out->set_library(in.library);
  out->set_function(in.function);
  out->set_name(in.name);
  ToProto(in.resources, out->mutable_resources());
  out->set_max_retries(in.max_retries);
  out->set_retry_exceptions(in.retry_exceptions);
  out->set_timeout_ms(std::chrono::duration_cast<milliseconds>(in.timeout).count());
  out->set_priority(in.priority);
  out->set_detached(in.detached);
  out->set_num_returns(in.num_returns);
  out->set_streaming(in.streaming);
  out->set_stream_window(in.stream_window);
  out->set_any_language(in.any_language);
  out->set_method(in.method);
  out->set_concurrency_group(in.group);
  out->set_placement_group(in.placement_group);
  if (in.placement_group != 0) out->set_bundle_index(in.bundle_index);
  if (in.actor) {
    v1::ActorOptions* options = out->mutable_actor();
    ToProto(in.actor->held, options->mutable_held());
    options->set_max_restarts(in.actor->max_restarts);
    options->set_max_concurrency(in.actor->max_concurrency);
    for (const auto& [name, limit] : in.actor->groups) {
      (*options->mutable_concurrency_groups())[name] = limit;
    }
  }
}

}  // namespace kiln::sessions
